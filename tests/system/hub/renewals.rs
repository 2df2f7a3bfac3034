//! The newer peer renews the token of a job that goes on.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures::{FutureExt as _, future::BoxFuture};
use gen_worker_hub::{
    BearerToken,
    token::{Area, Right},
};
use gen_worker_hubd::{NotRunning, RunningJobs};
use gen_worker_tests::OwnHub;
use serde_json::json;

use super::{COMMITS, hash};

/// The token of the worker that runs the only job, which is called as in the tokens of these hubs.
const WORKER: &str = "the-token-of-worker-w1";

struct OneJob;

impl RunningJobs for OneJob {
    fn check<'a>(
        &'a self,
        worker: &'a BearerToken,
        request: &'a str,
        attempt: u32,
    ) -> BoxFuture<'a, Result<String, NotRunning>> {
        let answer = match (worker.reveal(), request, attempt) {
            (WORKER, "r1", 1) => Ok("w1".to_owned()),
            (WORKER, "r1", _) => Err(NotRunning::OtherAttempt),
            (WORKER, _, _) => Err(NotRunning::Unknown),
            _ => Err(NotRunning::Token),
        };
        async move { answer }.boxed()
    }
}

#[test]
fn h9_5_the_newer_wheel_renews_a_token_and_works_on_with_it() -> Result<()> {
    let hub = OwnHub::start_with_jobs(Arc::new(OneJob))?;
    // So short that the loop of the peer renews it after its shortest sleep.
    let token = hub.token_for("acme", &[(Area::Media, Right::Write, "acme")], 1)?;
    let call = |worker: &str, request: &str, attempt: u32| {
        let job = json!({
            "token": token.reveal(), "worker": worker, "request_id": request, "attempt": attempt,
        });
        hub.peer(COMMITS, "renew", job)
    };
    let done = call(WORKER, "r1", 1)?;
    for name in ["token", "loop"] {
        let renewed = done["ok"][name].as_str().with_context(|| done.to_string())?;
        ensure!(renewed != token.reveal(), "{done}");
        let call = json!({"token": renewed, "owner": "acme", "ref": format!("outputs/{name}.txt"), "text": name});
        let saved = hub.peer_does(COMMITS, "save_bytes", call)?;
        ensure!(saved["size_bytes"] == name.len(), "{saved}");
        let call = json!({"token": renewed, "owner": "acme", "digest": hash(name.as_bytes())});
        ensure!(hub.peer_does(COMMITS, "blob", call)? == hash(name.as_bytes()), "{name}");
    }
    for (worker, request, attempt, status) in [("other", "r1", 1, 401), (WORKER, "r2", 1, 404), (WORKER, "r1", 2, 409)]
    {
        let refused = call(worker, request, attempt)?;
        let message = refused["message"].as_str().unwrap_or_default();
        ensure!(refused["error"] == "RenewDenied" && message.contains(&status.to_string()), "{refused}");
    }
    Ok(())
}
