//! What a worker process does beside answering fast: how soon a cancel stops a handler, and how often a job allocates.
//! The orchestrator is a bare stream.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use gen_worker_proto::pb::{self, job_result::Output, scheduler_message::Msg as Outbound, worker_message::Msg};
use gen_worker_tests::{Figure, Jobs, Process, Scripted, ScriptedSession, built, percentile};

/// Cancels measured.
const CANCELS: usize = 500;

/// Handlers that run at once when one of them is canceled.
const RUNNING: usize = 16;

/// How long the canceled handlers would run, in milliseconds.
const LONG_MS: u64 = 600_000;

/// Jobs between two counts of allocations: enough that what grows once no longer shows.
const COUNTED_JOBS: usize = 50_000;

/// Jobs at once while allocations are counted.
const IN_FLIGHT: usize = 64;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        cancels().await.context("cancels")?;
        allocations().await.context("allocations")
    })
}

/// A worker of `binary`, and its stream.
async fn start(binary: &str) -> Result<(Process, Scripted, ScriptedSession)> {
    let mut scripted = Scripted::listen().await?;
    let mut command = Command::new(built(binary)?);
    let address = format!("grpc://{}", scripted.address());
    let worker = Process::start(binary, command.args(["worker", "--addr", &address]))?;
    let session = scripted.session().await?;
    Ok((worker, scripted, session))
}

/// From a cancel to the result of its job. The handler awaits, so it is stopped before the result goes out.
async fn cancels() -> Result<()> {
    let (_worker, _scripted, mut session) = start("marco-polo").await?;
    let payload = Bytes::from(rmp_serde::to_vec_named(&BTreeMap::from([("delay_ms", LONG_MS)]))?);
    let mut running = std::collections::VecDeque::new();
    let mut took = Vec::new();
    while took.len() < CANCELS {
        while running.len() < RUNNING {
            let id = session.dispatch("marco-slow", &payload).await?;
            accepted(&mut session, &id).await?;
            running.push_back(id);
        }
        let request_id = running.pop_front().context("a running job")?;
        // Handlers are in different places: a moment after the last one was accepted, another one each time.
        tokio::time::sleep(Duration::from_micros((took.len() as u64 * 37) % 3_000)).await;
        let sent = Instant::now();
        session.send(Outbound::CancelJob(pb::CancelJob { request_id: request_id.clone(), attempt: 1 })).await?;
        let result = loop {
            if let Msg::JobResult(result) = session.next().await? {
                break result;
            }
        };
        took.push(sent.elapsed().as_secs_f64() * 1e3);
        ensure!(result.request_id == request_id && result.status() == pb::JobStatus::Canceled, "{result:?}");
    }
    let figure = |metric: &str, value| Figure::of("worker-cancel", metric, "ms", value);
    figure("cancel to handler stopped p50", percentile(&mut took, 50)).print();
    figure("cancel to handler stopped p99", percentile(&mut took, 99)).at_most(50.0).print();
    Ok(())
}

async fn accepted(session: &mut ScriptedSession, id: &str) -> Result<()> {
    loop {
        match session.next().await? {
            Msg::JobAccepted(accepted) if accepted.request_id == id => return Ok(()),
            Msg::JobResult(result) => anyhow::bail!("{}: {}", result.request_id, result.safe_message),
            _ => {}
        }
    }
}

/// What one echo job asks of the allocator of its worker process. Nothing is timed here.
async fn allocations() -> Result<()> {
    let (_worker, _scripted, mut session) = start("counting-worker").await?;
    let payload = Bytes::from(rmp_serde::to_vec_named(&BTreeMap::from([("text", "marco")]))?);
    let jobs = Jobs { function: "echo", payload, count: COUNTED_JOBS, in_flight: IN_FLIGHT };
    session.run(&jobs).await?;
    let before = counted(&mut session).await?;
    session.run(&jobs).await?;
    let after = counted(&mut session).await?;
    let per_job = |name: &str| {
        let count = |counts: &BTreeMap<String, u64>| counts.get(name).copied().unwrap_or_default();
        count(&after).saturating_sub(count(&before)) as f64 / COUNTED_JOBS as f64
    };
    Figure::of("worker-allocations", "allocations per job, 64 in flight", "1", per_job("allocations")).print();
    Figure::of("worker-allocations", "allocated per job, 64 in flight", "bytes", per_job("bytes")).print();
    Ok(())
}

/// What the worker process has allocated so far.
async fn counted(session: &mut ScriptedSession) -> Result<BTreeMap<String, u64>> {
    session.dispatch("allocated", &Bytes::from_static(b"\x80")).await?;
    let Some(Output::Inline(output)) = session.result().await?.output else { anyhow::bail!("no output") };
    rmp_serde::from_slice(&output).context("read the counts")
}
