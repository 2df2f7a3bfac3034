//! One reader of events: items, then one end, then nothing; and a new subscription when the orchestrator went away.

use std::time::Duration;

use futures::StreamExt;
use gen_worker_orchestrator::pool::{Event, EventId, Subscription};

use crate::{client::Client, clock::pass, handlers::Proof};

/// What a reader has read.
#[derive(Debug, Default)]
struct Read {
    last: Option<EventId>,
    /// Attempt, execution and index of the last item.
    item: Option<Proof>,
    items: usize,
}

/// Reads events as planned, until the end of the request.
pub(crate) async fn watches(client: &Client) {
    let Some(after) = client.plan.watch else { return };
    pass(after).await;
    let (world, id) = (&client.world, &client.plan.id);
    let mut read = Read::default();
    while client.is_patient() {
        let leader = world.leader().await;
        match leader.handle.subscribe(id, read.last).await {
            Ok(Some(events)) => {
                if follow(client, events, &mut read).await {
                    world.trace.note(format_args!("{id}: read {} items", read.items));
                    return;
                }
                world.trace.check(!world.leads(leader.generation), || format!("events of {id} stop without an end"));
            }
            Ok(None) => {
                world.trace.violation(format_args!("{id} was accepted and has no events"));
                return;
            }
            Err(_) => pass(Duration::from_millis(100)).await,
        }
        // A new process numbers its events anew.
        read.last = None;
    }
}

/// Reads a subscription; true when it ended with the end of the request.
async fn follow(client: &Client, mut events: Subscription, read: &mut Read) -> bool {
    let (trace, id) = (&client.world.trace, &client.plan.id);
    while let Some(event) = events.next().await {
        if let Some(at) = event.id() {
            let in_order = read.last.is_none_or(|last| last < at);
            trace.check(in_order, || format!("{id}: event {at} after {:?}", read.last));
            read.last = Some(at);
        }
        match event {
            Event::Chunk { id: at, data, .. } => item(client, at, &data, read),
            Event::Result(request) | Event::Error(request) => {
                let ended = client.world.outcomes.saw(&client.plan, &request, "events", false);
                trace.check(ended, || format!("{id}: its last event says {:?}", request.state));
                let more = events.next().await;
                trace.check(more.is_none(), || format!("{id}: {more:?} after the end"));
                return true;
            }
            _ => {}
        }
    }
    false
}

/// Items of one attempt come from one execution, each once and in order.
fn item(client: &Client, at: EventId, data: &[u8], read: &mut Read) {
    let (trace, id) = (&client.world.trace, client.plan.id.as_str());
    read.items += 1;
    let Ok(item) = serde_json::from_slice::<Proof>(data) else {
        trace.violation(format_args!("{id}: item {data:?} is not what was streamed"));
        return;
    };
    let belongs = item.request == id && item.attempt == at.attempt;
    trace.check(belongs, || format!("{id}: {item:?} came as {at}"));
    let follows = read.item.as_ref().is_none_or(|last| {
        last.attempt != item.attempt || (last.execution == item.execution && last.index < item.index)
    });
    trace.check(follows, || format!("{id}: {item:?} after {:?}", read.item));
    read.item = Some(item);
}
