//! Hours of work in a worker process, and what it keeps of them: memory and handles, sampled all the time.
//!
//! ```text
//! soak <minutes>
//! ```
//! The load has short jobs, streams, large payloads, cancels, and connections that break. Machines change over an hour:
//! all the time a bare client does the short jobs in turns with the worker, and what is compared is the ratio of both.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use gen_worker_proto::pb::{self, scheduler_message::Msg as Outbound, worker_message::Msg};
use gen_worker_tasks::Scope;
use gen_worker_tests::{
    Figure, Jobs, OwnWorker, Scripted, ScriptedSession, floor, open_handles, own_dir, percentile, resident_mb,
};

/// Samples over the whole time.
const SAMPLES: u32 = 100;

/// Part of the samples at either end that are compared, after a first part in which caches and pools fill.
const PART: usize = 10;

/// Jobs between two looks at the clock.
const BATCH: usize = 2_000;

/// Bytes of the large payloads.
const LARGE_BYTES: usize = 1_000_000;

/// What one look at the process saw.
struct Sample {
    resident: f64,
    handles: f64,
    /// Jobs per second since the sample before.
    rate: f64,
    /// Those of the bare client meanwhile.
    floor: f64,
}

fn main() -> Result<()> {
    let minutes = std::env::args().nth(1).context("soak <minutes>")?.parse::<f64>()?;
    let length = Duration::try_from_secs_f64(minutes * 60.0)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let samples = runtime.block_on(soak(length))?;
    report(minutes, &samples)
}

async fn soak(length: Duration) -> Result<Vec<Sample>> {
    let mut scripted = Scripted::listen().await?;
    let worker = OwnWorker::start_in(own_dir()?, "marco-polo", scripted.address(), |command| {
        // Connections are broken for every sample: with its usual backoff the worker would wait most of the time.
        command.env("RECONNECT_DELAY", "0.01").env("RECONNECT_MAX_DELAY", "0.05");
    })?;
    let process = worker.process.id();
    let loads = loads()?;
    let [short, ..] = &loads;
    let mut reference = Reference::connect().await?;
    let mut samples = Vec::new();
    let started = Instant::now();
    for index in 1..=SAMPLES {
        let mut session = scripted.session().await?;
        let until = started + length * index / SAMPLES;
        let (mut jobs, mut took) = (0, Duration::ZERO);
        let (mut floor_jobs, mut floor_took) = (0, Duration::ZERO);
        while Instant::now() < until {
            let began = Instant::now();
            for load in &loads {
                session.run(load).await?;
                jobs += load.count;
            }
            cancel_one(&mut session).await?;
            took += began.elapsed();
            floor_took += reference.session.run(short).await?;
            floor_jobs += short.count;
        }
        let rate = |jobs: usize, took: Duration| jobs as f64 / took.as_secs_f64();
        let handles = open_handles(process)? as f64;
        let (rate, floor) = (rate(jobs, took), rate(floor_jobs, floor_took));
        samples.push(Sample { resident: resident_mb(process)?, handles, rate, floor });
        // Dropping it ends the stream, and the worker makes another one.
    }
    Ok(samples)
}

/// A bare client and the server it works for.
struct Reference {
    session: ScriptedSession,
    // Both end with their guards.
    _server: Scripted,
    _client: Scope,
}

impl Reference {
    async fn connect() -> Result<Self> {
        let mut server = Scripted::listen().await?;
        let (address, client) = (server.address(), Scope::new("floor"));
        client.spawn("floor", async move {
            if let Err(error) = floor(address, 0, Bytes::new()).await {
                eprintln!("floor: {error}");
            }
        });
        Ok(Self { session: server.session().await?, _server: server, _client: client })
    }
}

fn loads() -> Result<[Jobs; 3]> {
    let text = Bytes::from(rmp_serde::to_vec_named(&BTreeMap::from([("text", "marco")]))?);
    let large = "x".repeat(LARGE_BYTES);
    // A stream takes the text and gives small chunks; an echo of it would have to be uploaded.
    let large = rmp_serde::to_vec_named(&(Streamed { text: &large, count: 0 }))?;
    let streamed = rmp_serde::to_vec_named(&(Streamed { text: "marco", count: 50 }))?;
    let jobs = |function, payload, count| Jobs { function, payload, count, in_flight: 64.min(count) };
    Ok([
        jobs("marco", text, BATCH),
        jobs("marco-stream", streamed.into(), BATCH / 50),
        jobs("marco-stream", large.into(), 4),
    ])
}

#[derive(serde::Serialize)]
struct Streamed<'a> {
    text: &'a str,
    count: u64,
}

/// Starts a long job and cancels it.
async fn cancel_one(session: &mut ScriptedSession) -> Result<()> {
    let payload = Bytes::from(rmp_serde::to_vec_named(&BTreeMap::from([("delay_ms", 600_000_u64)]))?);
    let request_id = session.dispatch("marco-slow", &payload).await?;
    session.send(Outbound::CancelJob(pb::CancelJob { request_id, attempt: 1 })).await?;
    loop {
        if let Msg::JobResult(result) = session.next().await? {
            ensure!(result.status() == pb::JobStatus::Canceled, "{}: {}", result.request_id, result.safe_message);
            return Ok(());
        }
    }
}

fn report(minutes: f64, samples: &[Sample]) -> Result<()> {
    let bench = format!("soak of {minutes} min");
    let middle = |range: Option<&[Sample]>, value: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = range.unwrap_or_default().iter().map(value).collect();
        percentile(&mut values, 50)
    };
    let early = samples.get(PART..2 * PART);
    let late = samples.get(samples.len().saturating_sub(PART)..);
    let both = |value| (middle(early, value), middle(late, value));
    let figure = |metric: &str, unit: &str, (early, late): (f64, f64)| {
        let reference_name = Some("in its second tenth".to_owned());
        Figure { reference: Some(early), reference_name, ..Figure::of(&bench, metric, unit, late) }
    };
    let resident = both(|sample| sample.resident);
    let handles = both(|sample| sample.handles);
    figure("resident memory in the last tenth", "MB", resident).print();
    Figure::of(&bench, "growth of resident memory", "MB", resident.1 - resident.0).at_most(1.0).print();
    figure("open handles in the last tenth", "1", handles).print();
    // At the moment of a look one more may be open: a connection that is going, the file that keeps the latest costly
    // results. A leak would be one for each connection.
    Figure::of(&bench, "growth of open handles", "1", handles.1 - handles.0).at_most(1.0).print();
    figure("jobs in the last tenth", "1/s", both(|sample| sample.rate)).print();
    let (early, late) = both(|sample| sample.rate / sample.floor);
    let share = figure("jobs per job of a bare client in the last tenth", "1", (early, late));
    let ratio = late / early;
    Figure { ratio: Some(ratio), bar: Some(">= 0.9x".to_owned()), met: Some(ratio >= 0.9), ..share }.print();
    Ok(())
}
