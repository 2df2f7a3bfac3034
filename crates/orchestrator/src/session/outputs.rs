//! Outputs that a worker stored elsewhere are looked for before they count: a ref that nothing stands behind is no result
//! (wire contract, 9.2; Hub contract, 9.10).

use std::time::Duration;

use gen_worker_proto::RequestId;
use tokio::sync::oneshot;
use tracing::warn;

use super::{
    reader::Owner,
    report::{Report, ResultReport, Verdict},
};
use crate::{lifecycle::Status, pool::input::Input, request::Output};

/// How long a hub may take to say. The stream of one worker waits for it, and nobody else.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// What clients read when an output is not there.
const NOT_STORED: &str = "output was not stored";

/// Makes a retryable failure of every success in `reports` whose output is not where it should be. A hub that cannot say is
/// no reason to run a job again.
///
/// # Cancel safety
/// A dropped call has changed some of the reports; they are dropped with it.
pub(super) async fn check(reports: &mut [Report], owner: &Owner) {
    if !owner.hub.is_present() {
        return;
    }
    for report in reports {
        let Report::Result(result) = report else { continue };
        if let Some(Output::Blob(reference)) = &result.output
            && result.verdict == Verdict::Status(Status::Ok)
            && is_missing(&result.pair.request_id, reference, owner).await
        {
            warn!(request = result.pair.request_id, "worker names an output that is not stored");
            fail(result);
        }
    }
}

fn fail(result: &mut ResultReport) {
    result.verdict = Verdict::Status(Status::Retryable);
    result.output = None;
    NOT_STORED.clone_into(&mut result.message);
}

async fn is_missing(request_id: &str, reference: &str, owner: &Owner) -> bool {
    let Ok(id) = RequestId::parse(request_id) else { return false };
    let (reply, request) = oneshot::channel();
    if owner.inputs.send(Input::Get { id, reply }).await.is_err() {
        return false;
    }
    // Of a request that is not there the result does not count anyway.
    let Ok(Some(request)) = request.await else { return false };
    let look = owner.hub.output(&request.submitted.tenant, reference);
    matches!(tokio::time::timeout(LOOK_LIMIT, look).await, Ok(Ok(None)))
}
