//! From the start of a worker's process to the last of the results that an earlier one had finished, and could not
//! deliver before it was killed. Their bytes are in the page cache, as after a crash of the process alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use gen_worker_proto::pb::{self, job_result::Output, worker_message::Msg};
use gen_worker_tests::{Figure, OwnWorker, Scripted, ScriptedSession, eventually, own_dir, percentile};
use rustix::process::Signal;
use tempfile::TempDir;

/// Bytes of one output: near the largest that travels in the stream.
const OUTPUT_BYTES: u64 = 60_000;

/// Bytes of outputs that are on the disk when the worker is killed.
const KEPT_BYTES: u64 = 100_000_000;

/// Jobs that finish while nobody listens. A few more than are wanted: the last may still be on their way to the disk.
const JOBS: u64 = KEPT_BYTES.div_ceil(OUTPUT_BYTES) + 20;

/// Rounds; odd, so that the median is a measurement.
const ROUNDS: usize = 3;

/// The spool, below the directory of a worker.
const SPOOL: &str = "spool";

/// One replay.
struct Replayed {
    seconds: f64,
    results: usize,
    /// Results that came more than once.
    again: usize,
}

pub(crate) async fn bench() -> Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(replay(left_behind().await?).await?);
    }
    let bytes = |round: &Replayed| round.results as f64 * OUTPUT_BYTES as f64;
    let mut seconds: Vec<f64> = rounds.iter().map(|round| round.seconds).collect();
    let mut rates: Vec<f64> = rounds.iter().map(|round| bytes(round) / round.seconds / 1e6).collect();
    let figure = |metric: &str, unit: &str, value| Figure::of("worker-replay-100-mb", metric, unit, value);
    figure("process start to the last result", "s", percentile(&mut seconds, 50)).at_most(1.0).print();
    figure("throughput of outputs", "MB/s", percentile(&mut rates, 50)).print();
    let fewest = rounds.iter().map(|round| round.results).min().unwrap_or_default();
    figure("results of 60 kB, fewest of a round", "1", fewest as f64).print();
    let again: usize = rounds.iter().map(|round| round.again).sum();
    figure("results that came again, all rounds", "1", again as f64).at_most(0.0).print();
    Ok(())
}

/// The directory of a worker that was killed once it had kept enough.
async fn left_behind() -> Result<TempDir> {
    let mut scripted = Scripted::listen().await?;
    let mut worker = start(own_dir()?, scripted.address())?;
    let mut session = scripted.session().await?;
    let payload = super::payload(&BTreeMap::from([("bytes", OUTPUT_BYTES)]))?;
    for _ in 0..JOBS {
        let id = session.dispatch("hold", &payload).await?;
        super::accepted(&mut session, &id).await?;
    }
    drop(session);
    scripted.end().await;
    let dir = worker.dir.path();
    fs::write(dir.join("release"), "").context("release the handlers")?;
    // A record is more than its output, so this says that nearly all are there; the next Hello says which.
    let enough = (JOBS - 1) * OUTPUT_BYTES;
    eventually("the results on the disk", || (bytes_below(&dir.join(SPOOL)) >= enough).then_some(()))?;
    worker.process.signal(Signal::KILL)?;
    worker.process.wait()?;
    let OwnWorker { dir, .. } = worker;
    fs::remove_file(dir.path().join("release")).context("hold the handlers again")?;
    Ok(dir)
}

/// Starts a worker with what the earlier one left; each of its results has to come.
async fn replay(dir: TempDir) -> Result<Replayed> {
    let mut scripted = Scripted::listen().await?;
    let started = Instant::now();
    let _worker = start(dir, scripted.address())?;
    let mut session = scripted.session().await?;
    // What it has not delivered, it lists.
    let mut waiting: BTreeSet<String> = session.hello.in_flight.iter().map(|job| job.request_id.clone()).collect();
    let results = waiting.len();
    ensure!(results as u64 * OUTPUT_BYTES >= KEPT_BYTES, "only {results} results were kept");
    let mut again = 0;
    while !waiting.is_empty() {
        again += usize::from(!waiting.remove(&delivered(&mut session).await?));
    }
    let seconds = started.elapsed().as_secs_f64();
    again += after(&mut session).await?;
    Ok(Replayed { seconds, results, again })
}

/// The request of the next result, whose output has to be whole.
async fn delivered(session: &mut ScriptedSession) -> Result<String> {
    let result = session.result().await?;
    let len = match &result.output {
        Some(Output::Inline(output)) => output.len() as u64,
        _ => 0,
    };
    ensure!(len >= OUTPUT_BYTES, "{} has {len} bytes", result.request_id);
    Ok(result.request_id)
}

/// Results that come although all have come: those before the result of one more job.
async fn after(session: &mut ScriptedSession) -> Result<usize> {
    // The earlier server has used its numbers.
    let last = "last";
    session.dispatch_as(last, "echo", &super::payload(&BTreeMap::from([("text", "marco")]))?).await?;
    let mut again = 0;
    loop {
        match session.next().await? {
            Msg::JobResult(result) if result.request_id == last => {
                ensure!(result.status() == pb::JobStatus::Ok, "{}", result.safe_message);
                return Ok(again);
            }
            Msg::JobResult(_) => again += 1,
            _ => {}
        }
    }
}

fn start(dir: TempDir, address: SocketAddr) -> Result<OwnWorker> {
    let spool = dir.path().join(SPOOL);
    OwnWorker::start_in(dir, "measured-endpoint", address, |command| {
        command.args(["--worker-id", "bench", "--spool", "always", "--spool-dir"]).arg(spool);
    })
}

/// Bytes of all files below a directory; those that go meanwhile do not count.
fn bytes_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}
