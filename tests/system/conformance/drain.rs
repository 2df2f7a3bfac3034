//! C17 and C18: a worker that is told to end.

use anyhow::Result;
use gen_worker_proto::pb::{Drain, JobStatus, RunJob, scheduler_message::Msg as Outbound};
use gen_worker_tests::{Event, Peer, Relay};
use serde_json::json;

use super::{Scene, field, wire};

/// Waits for the end of the process, which is the end of an orderly drain.
fn drained(peer: Peer, scene: &mut Scene, relay: &Relay) -> Result<()> {
    let status = scene.worker.process.wait()?;
    if peer == Peer::Ours {
        // The others end with 0 or 1 by chance (docs/peers.md).
        assert_eq!(status.code(), Some(0), "{}", scene.worker.process.log());
    }
    relay.wait("the half-close", |entries| {
        entries.iter().find(|entry| matches!(entry.event, Event::HalfClosed)).map(drop)
    })?;
    relay.wait("the end of the call", |entries| {
        let ended = entries.iter().find_map(|entry| entry.ended())?;
        assert_eq!(ended.code(), tonic::Code::Ok, "O18: {ended}");
        Some(())
    })
}

fn c17_drain_with_time(peer: Peer) -> Result<()> {
    let (mut scene, relay) = Scene::relayed(peer)?;
    scene.hold("h1")?;
    relay.tell_worker(Outbound::Drain(Drain { deadline_ms: 30_000 }))?;
    let late = RunJob { request_id: "late".into(), ..wire::sent(&relay, "h1", 1)? };
    relay.tell_worker(Outbound::RunJob(late.clone()))?;
    let refused = wire::result(&relay, "late")?;
    assert_eq!((refused.status(), refused.safe_message.as_str()), (JobStatus::Retryable, "worker draining"));
    assert_eq!(refused.metrics, None, "W11: no metrics with a refusal");
    relay.tell_worker(Outbound::RunJob(late))?;
    relay.wait("W11: another refusal", |entries| (wire::results(entries, "late").len() == 2).then_some(()))?;
    relay.look(|entries| assert_eq!(wire::accepted(entries, "late", 1), 0, "no acceptance"));
    scene.succeeds("h1", 1)?;
    drained(peer, &mut scene, &relay)?;
    assert_eq!(scene.api().get("/v1/requests/late")?.status, 404, "the orchestrator never had it");
    Ok(())
}

fn c18_drain_deadline(peer: Peer) -> Result<()> {
    let (mut scene, relay) = Scene::relayed(peer)?;
    scene.hold("h1")?;
    relay.tell_worker(Outbound::Drain(Drain { deadline_ms: 500 }))?;
    let given_back = wire::result(&relay, "h1")?;
    assert_eq!((given_back.status(), given_back.safe_message.as_str()), (JobStatus::Retryable, "worker draining"));
    drained(peer, &mut scene, &relay)?;
    // The job waits for another worker.
    let (mut next, wire) = (peer.start("w2", scene.pool.wire()?)?, &scene.pool);
    wire.worker("w2")?;
    std::mem::swap(&mut scene.worker, &mut next);
    scene.started(1)?;
    scene.succeeds("h1", 2)?;
    let view = scene.api().get("/v1/requests/h1")?;
    assert_eq!(field(&view.body, "/worker_id"), &json!("w2"));
    relay.look(|entries| assert_eq!(wire::results(entries, "h1").len(), 1, "one result of the drained worker"));
    Ok(())
}

with_every_peer!(c17_drain_with_time, c18_drain_deadline);
