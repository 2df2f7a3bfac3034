//! What a worker process does beside answering fast: how soon a cancel stops a handler, what a process of its own
//! costs a call, how often a job allocates, and how soon what an earlier process left is delivered. The orchestrator
//! is a bare stream.
//!
//! ```text
//! bench_worker [<part of a part's name>]
//! ```

mod allocations;
mod cancels;
mod replay;
mod slots;

use anyhow::{Context, Result};
use bytes::Bytes;
use gen_worker_proto::pb::worker_message::Msg;
use gen_worker_tests::{OwnWorker, Scripted, ScriptedSession};
use serde::Serialize;

fn main() -> Result<()> {
    let only = std::env::args().nth(1).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let wanted = |name: &str| name.contains(&only);
    runtime.block_on(async {
        if wanted("cancel") {
            cancels::cooperative().await.context("cancels")?;
            cancels::hard().await.context("cancels of a handler that ignores them")?;
        }
        if wanted("slot") {
            slots::bench().await.context("slots")?;
        }
        if wanted("replay") {
            replay::bench().await.context("replay")?;
        }
        if wanted("allocations") {
            allocations::bench().await.context("allocations")?;
        }
        Ok(())
    })
}

/// A worker of `binary`, and its stream.
async fn start(binary: &str, words: &[&str]) -> Result<(OwnWorker, Scripted, ScriptedSession)> {
    let mut scripted = Scripted::listen().await?;
    let worker = OwnWorker::start(binary, scripted.address(), words)?;
    let session = scripted.session().await?;
    Ok((worker, scripted, session))
}

/// A payload as it travels.
fn payload(value: &impl Serialize) -> Result<Bytes> {
    Ok(Bytes::from(rmp_serde::to_vec_named(value)?))
}

/// Waits until a job that must not end yet is accepted.
async fn accepted(session: &mut ScriptedSession, id: &str) -> Result<()> {
    loop {
        match session.next().await? {
            Msg::JobAccepted(accepted) if accepted.request_id == id => return Ok(()),
            Msg::JobResult(result) => anyhow::bail!("{}: {}", result.request_id, result.safe_message),
            _ => {}
        }
    }
}
