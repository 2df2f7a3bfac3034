//! A worker of marco-polo in release: from the start of its process to its Hello, and what it keeps resident while it
//! is idle and while it works. The orchestrator is a bare stream.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use gen_worker_tests::{Figure, Jobs, OwnWorker, Scripted, own_dir, percentile, resident_mb, resident_peak_mb};

/// The worker that is measured.
const BINARY: &str = "marco-polo";

/// Starts measured.
const STARTS: usize = 20;

/// What a worker gets to become idle in before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// Jobs of each load: some seconds.
const JOBS: usize = 300_000;

/// `{"text": "marco"}` in MessagePack.
const PAYLOAD: Bytes = Bytes::from_static(b"\x81\xa4text\xa5marco");

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(bench())
}

async fn bench() -> Result<()> {
    let mut scripted = Scripted::listen().await?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let dir = own_dir()?;
        let started = Instant::now();
        let _worker = OwnWorker::start_in(dir, BINARY, scripted.address(), |_| {})?;
        let session = scripted.session().await?;
        starts.push(session.greeted.duration_since(started).as_secs_f64() * 1e3);
    }
    let worker = OwnWorker::start(BINARY, scripted.address(), &[])?;
    let process = worker.process.id();
    let mut session = scripted.session().await?;
    tokio::time::sleep(SETTLE).await;
    let idle = resident_mb(process)?;
    let load = |in_flight| Jobs { function: "marco", payload: PAYLOAD, count: JOBS, in_flight };
    session.run(&load(64)).await?;
    let loaded = resident_peak_mb(process)?;
    tokio::time::sleep(SETTLE).await;
    let after = resident_mb(process)?;
    session.run(&load(10_000)).await?;
    let heavy = resident_peak_mb(process)?;
    let figure = |metric: &str, unit: &str, value| Figure::of("worker-start", metric, unit, value);
    figure("process start to Hello p50", "ms", percentile(&mut starts, 50)).at_most(20.0).print();
    figure("process start to Hello max", "ms", percentile(&mut starts, 100)).print();
    figure("resident memory, idle", "MB", idle).at_most(12.0).print();
    figure("resident memory, peak with 64 in flight", "MB", loaded).at_most(30.0).print();
    figure("resident memory, idle again", "MB", after).print();
    figure("resident memory, peak with 10,000 in flight", "MB", heavy).print();
    Ok(())
}
