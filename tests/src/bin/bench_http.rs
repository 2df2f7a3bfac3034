//! Durable HTTP submit -> handler -> result on SQLite, as users run it: `gen-worker up` with one worker of marco-polo,
//! the load generator on the same machine. Every reply is checked.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use gen_worker_tasks::Scope;
use gen_worker_tests::{Figure, Pool, PoolOptions, percentile};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Clients of the throughput run: the issue's number.
const CLIENTS: usize = 64;

/// Time that counts.
const MEASURED: Duration = Duration::from_secs(6);

/// Time before it, in which files, caches and connections warm up.
const WARM_UP: Duration = Duration::from_secs(2);

const FUNCTION: &str = "marco";
const PAYLOAD: &str = r#"{"text":"marco"}"#;

fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for clients in [CLIENTS, 1] {
        let options = PoolOptions {
            endpoints: vec!["marco-polo".into()],
            db: Some(dir.path().join(format!("{clients}.sqlite"))),
            ..PoolOptions::default()
        };
        let pool = Pool::start(&options)?;
        let samples = runtime.block_on(load(pool.http()?, clients))?;
        report(clients, samples);
    }
    Ok(())
}

/// What one request took, in milliseconds.
struct Sample {
    /// Until the whole reply was there.
    round_trip: f64,
    /// From submit to the start of the handler, by the request's own timings.
    to_handler: f64,
}

async fn load(address: SocketAddr, clients: usize) -> Result<Vec<Sample>> {
    let scope = Scope::new("clients");
    let start = Instant::now() + WARM_UP;
    let end = start + MEASURED;
    let tasks: Vec<_> = (0..clients).map(|_| scope.spawn_bare(client(address, start, end))).collect();
    let mut samples = Vec::new();
    for task in tasks {
        samples.extend(task.await.context("client")??);
    }
    Ok(samples)
}

async fn client(address: SocketAddr, start: Instant, end: Instant) -> Result<Vec<Sample>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let scope = Scope::new("connection");
    scope.spawn("connection", async move { drop(connection.await) });
    let mut samples = Vec::new();
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(samples);
        }
        let request = Request::post(format!("/v1/run/{FUNCTION}"))
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(PAYLOAD.as_bytes())))?;
        let reply = sender.send_request(request).await?;
        let status = reply.status();
        let bytes = reply.into_body().collect().await?.to_bytes();
        let round_trip = sent.elapsed();
        let reply: Value = serde_json::from_slice(&bytes)?;
        ensure!(status == 200 && reply.get("state") == Some(&"succeeded".into()), "status {status}: {reply}");
        if sent >= start {
            samples.push(Sample { round_trip: round_trip.as_secs_f64() * 1e3, to_handler: to_handler(&reply)? });
        }
    }
}

fn to_handler(reply: &Value) -> Result<f64> {
    let timings = reply.get("timings").context("no timings")?;
    let part = |name: &str| timings.get(name).and_then(Value::as_f64).with_context(|| format!("no {name}"));
    let parts = ["queue_ms", "dispatch_ms", "download_ms", "load_ms", "slot_wait_ms"];
    parts.iter().try_fold(0.0, |sum, name| Ok(sum + part(name)?))
}

fn report(clients: usize, samples: Vec<Sample>) {
    let bench = format!("http-durable-{clients}-clients");
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    let rate = samples.len() as f64 / MEASURED.as_secs_f64();
    let mut round_trips: Vec<f64> = samples.iter().map(|sample| sample.round_trip).collect();
    let mut to_handlers: Vec<f64> = samples.iter().map(|sample| sample.to_handler).collect();
    let rate = Figure::of(&bench, "requests", "1/s", rate);
    if clients == 1 { rate } else { rate.at_least(3_000.0) }.print();
    Figure::of(&bench, "request to reply p50", "ms", percentile(&mut round_trips, 50)).print();
    Figure::of(&bench, "request to reply p99", "ms", percentile(&mut round_trips, 99)).print();
    let to_handler = Figure::of(&bench, "submit to handler start p50", "ms", percentile(&mut to_handlers, 50));
    if clients == 1 { to_handler.at_most(3.0) } else { to_handler }.print();
}
