//! The reading side of a stream, one task per worker.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use gen_worker_proto::{limits, pb};
use pb::worker_message::Msg;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use tracing::{debug, warn};

use super::{
    gate::{Identity, admit},
    outbound::Outbound,
    outputs,
    report::{HelloReport, Parser},
};
use crate::{
    hub::Hub,
    pool::input::{Arrival, Input},
};

/// Number of a stream, unique within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) u64);

/// Whom a stream reports to, and where the files are of which it speaks.
pub(crate) struct Owner {
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) hub: Arc<dyn Hub>,
}

/// Most messages handed to the owner at once: enough to spread the cost of a wake-up, few enough to stay fair
/// between workers.
const BATCH_MESSAGES_MAX: usize = 256;

/// How long a stream that the owner is done with is still read: the contract's limit for the end of a call. Results
/// that were under way when the worker moved to another stream arrive in that time.
const AFTERLIFE: Duration = Duration::from_secs(5);

/// Runs one stream to its end. Everything that leaves goes through the owner, except refusals.
pub(crate) async fn run(
    session: SessionId,
    identity: Identity,
    mut inbound: Streaming<pb::WorkerMessage>,
    outbound: Outbound,
    owner: Owner,
) {
    let hello = match hello(&mut inbound, &identity).await {
        Ok(hello) => hello,
        Err(status) => {
            warn!(session = session.0, code = ?status.code(), reason = status.message(), "worker stream refused");
            // Counted before the worker knows, so that the count is never behind what it sees.
            drop(owner.inputs.send(Input::Refused).await);
            outbound.cut(status);
            return;
        }
    };
    let over = outbound.over();
    let worker_id = Arc::clone(&hello.worker_id);
    let arrival = Arrival { session, hello, outbound };
    if owner.inputs.send(Input::Arrived(Box::new(arrival))).await.is_err() {
        // The pool is closing; dropping the outbound end finishes the call and the worker redials.
        return;
    }
    let afterlife = async {
        over.cancelled().await;
        tokio::time::sleep(AFTERLIFE).await;
    };
    let clean = tokio::select! {
        clean = read(session, inbound, &owner) => clean,
        () = afterlife => false,
    };
    debug!(session = session.0, worker = %worker_id, clean, "worker stream was read to its end");
    drop(owner.inputs.send(Input::Departed { session, clean }).await);
}

/// Waits for the first message and checks it.
async fn hello(inbound: &mut Streaming<pb::WorkerMessage>, identity: &Identity) -> Result<HelloReport, Status> {
    let first = tokio::time::timeout(limits::HELLO_TIMEOUT, inbound.message())
        .await
        .map_err(|_| Status::deadline_exceeded("hello_timeout"))??;
    let Some(pb::WorkerMessage { msg: Some(Msg::Hello(hello)) }) = first else {
        return Err(Status::failed_precondition("first message must be hello"));
    };
    admit(&hello, identity)?;
    Ok(HelloReport::new(hello))
}

/// Reads until the stream ends; true when the worker ended it itself.
async fn read(session: SessionId, inbound: Streaming<pb::WorkerMessage>, owner: &Owner) -> bool {
    let mut parser = Parser::default();
    let mut batches = inbound.ready_chunks(BATCH_MESSAGES_MAX);
    while let Some(batch) = batches.next().await {
        let mut reports = Vec::with_capacity(batch.len());
        let mut broken = false;
        for message in batch {
            match message {
                Ok(message) => reports.extend(parser.report(message)),
                Err(status) => {
                    debug!(session = session.0, code = ?status.code(), reason = status.message(), "worker stream broke");
                    broken = true;
                    break;
                }
            }
        }
        outputs::check(&mut reports, owner).await;
        if !reports.is_empty() && owner.inputs.send(Input::Reports { session, reports }).await.is_err() {
            return false;
        }
        if broken {
            return false;
        }
    }
    true
}
