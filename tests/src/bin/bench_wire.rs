//! Our worker beside a bare tonic client on the same stream: what the job machinery costs.
//!
//! One scripted server dispatches jobs and counts results. The floor answers each `RunJob` at once with
//! `JobAccepted` and `JobResult` (or with frames); ours decodes, runs a real endpoint, encodes. Both run in turns in
//! this process on the same threads, several rounds each; medians are compared. The Python worker of the same contract
//! then takes the same jobs, fewer of them, in a process of its own. Figures go to standard output as JSON lines.
//!
//! ```text
//! bench_wire [<part of a load's name>][=<floor|ours>]    one side alone, for a profiler: no figures
//! ```

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use futures::StreamExt;
use gen_worker::prelude::*;
use gen_worker_core::{Address, LocalModels, Registry, Worker, WorkerOptions};
use gen_worker_proto::pb::{
    self, SchedulerMessage, WorkerMessage,
    job_result::Output,
    scheduler_message::Msg as Outbound,
    worker_message::Msg,
    worker_scheduler_client::WorkerSchedulerClient,
    worker_scheduler_server::{WorkerScheduler, WorkerSchedulerServer},
};
use gen_worker_tasks::{Cancel, Scope};
use gen_worker_tests::{Peer, PeerWorker};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds per side; odd, so that the median is a measurement.
const ROUNDS: usize = 5;

/// Rounds of the peer, which is slow enough to be measured in fewer.
const PEER_ROUNDS: usize = 3;

/// The Python worker that is measured.
const PEER: &str = "0.11.2";

/// Messages the scripted server may have queued; above every load below.
const CHANNEL: usize = 32_768;

/// Chunks of one streamed job.
const CHUNKS: u64 = 100;

#[derive(Payload)]
struct Marco {
    text: String,
}

#[derive(Output)]
struct Polo {
    response: String,
}

/// The endpoint whose cost is measured: decode, one move, encode.
#[endpoint]
async fn bench_echo(_context: &RequestContext, input: Marco) -> Result<Polo, WorkerError> {
    Ok(Polo { response: input.text })
}

#[derive(Payload)]
struct Length {
    chunks: u64,
}

/// Streams short texts that are all ready at once.
#[endpoint]
fn bench_chunks(
    _context: &RequestContext,
    input: Length,
) -> impl Stream<Item = Result<TokenDelta, WorkerError>> + Send + use<> {
    futures::stream::iter((0..input.chunks).map(|_| Ok(TokenDelta { text: "token".to_owned(), item_id: None })))
}

/// One load: so many jobs of this kind, so many at once.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    function: &'static str,
    jobs: usize,
    in_flight: usize,
    measure: Measure,
    /// The function and the number of jobs that take the peer some seconds; none where it is not measured.
    peer: Option<(&'static str, usize)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Measure {
    /// Jobs per second, at least this share of the floor.
    JobsPerSecond(f64),
    /// Time per job with one in flight, at most this multiple of the floor's.
    RoundTrip(f64),
    /// Frames per second, at least this share of the floor.
    ChunksPerSecond(f64),
}

const LOADS: [Load; 4] = [
    Load {
        name: "wire-1-in-flight",
        function: "bench-echo",
        jobs: 20_000,
        in_flight: 1,
        measure: Measure::RoundTrip(2.0),
        peer: Some(("echo", 2_000)),
    },
    Load {
        name: "wire-64-in-flight",
        function: "bench-echo",
        jobs: 300_000,
        in_flight: 64,
        measure: Measure::JobsPerSecond(0.25),
        peer: Some(("echo", 4_000)),
    },
    Load {
        name: "wire-10000-in-flight",
        function: "bench-echo",
        jobs: 500_000,
        in_flight: 10_000,
        measure: Measure::JobsPerSecond(0.4),
        peer: None,
    },
    Load {
        name: "wire-8-streams",
        function: "bench-chunks",
        jobs: 10_000,
        in_flight: 8,
        measure: Measure::ChunksPerSecond(0.3),
        peer: Some(("count-up", 160)),
    },
];

fn main() -> Result<()> {
    let only = std::env::args().nth(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(bench(only.as_deref()))
}

async fn bench(only: Option<&str>) -> Result<()> {
    let side = only.and_then(|only| only.split_once('=')).map(|(_, side)| side);
    let only = only.map(|only| only.split('=').next().unwrap_or(only));
    for load in LOADS.into_iter().filter(|load| only.is_none_or(|only| load.name.contains(only))) {
        let (mut floor, mut ours) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            if side != Some("ours") {
                floor.push(run(load, Side::Floor).await?);
            }
            if side != Some("floor") {
                ours.push(run(load, Side::Ours).await?);
            }
            eprintln!("{} round {round}: floor {:?}, ours {:?}", load.name, floor.last(), ours.last());
        }
        if side.is_none() {
            let (floor, ours) = (load.rate(median(floor)?), load.rate(median(ours)?));
            report(load, ours, floor);
            if let Some((function, jobs)) = load.peer {
                let load = Load { function, jobs, ..load };
                let mut peer = Vec::new();
                for _ in 0..PEER_ROUNDS {
                    peer.push(run(load, Side::Peer).await?);
                }
                report_peer(load, ours, load.rate(median(peer)?));
            }
        }
    }
    Ok(())
}

impl Load {
    /// What the figures say of a round that `took` so long, in the unit of [`Measure::unit`].
    fn rate(self, took: Duration) -> f64 {
        let seconds = took.as_secs_f64();
        let jobs = self.jobs as f64;
        match self.measure {
            Measure::JobsPerSecond(_) => jobs / seconds,
            Measure::ChunksPerSecond(_) => jobs * CHUNKS as f64 / seconds,
            Measure::RoundTrip(_) => seconds * 1e6 / jobs,
        }
    }
}

impl Measure {
    /// Metric and unit.
    fn unit(self) -> (&'static str, &'static str) {
        match self {
            Self::JobsPerSecond(_) => ("throughput", "jobs/s"),
            Self::ChunksPerSecond(_) => ("throughput", "chunks/s"),
            Self::RoundTrip(_) => ("round trip", "us"),
        }
    }
}

fn report(load: Load, ours: f64, floor: f64) {
    let ratio = ours / floor;
    let (bar, met) = match load.measure {
        Measure::JobsPerSecond(bar) | Measure::ChunksPerSecond(bar) => (format!(">= {bar}x"), ratio >= bar),
        Measure::RoundTrip(bar) => (format!("<= {bar}x"), ratio <= bar),
    };
    let (metric, unit) = load.measure.unit();
    let figure = serde_json::json!({
        "bench": load.name, "metric": metric, "unit": unit, "ours": ours, "reference": floor,
        "reference_name": "bare tonic client", "ratio": ratio, "bar": bar, "met": met,
    });
    println!("{figure}");
}

/// The same figure beside the peer's. No bar: what we want is measured against the floor.
fn report_peer(load: Load, ours: f64, peer: f64) {
    let (metric, unit) = load.measure.unit();
    let figure = serde_json::json!({
        "bench": load.name, "metric": metric, "unit": unit, "ours": ours, "reference": peer,
        "reference_name": format!("gen-worker {PEER} on Python"), "ratio": ours / peer,
    });
    println!("{figure}");
}

fn median(mut took: Vec<Duration>) -> Result<Duration> {
    took.sort();
    took.get(took.len() / 2).copied().context("no round was run")
}

#[derive(Clone, Copy)]
enum Side {
    Floor,
    Ours,
    Peer,
}

/// One round: server and worker from nothing, the load, and both gone again.
async fn run(load: Load, side: Side) -> Result<Duration> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (done, took) = oneshot::channel();
    let scope = Arc::new(Scope::new("bench"));
    let service = Dispatcher { load, scope: scope.clone(), done: Mutex::new(Some(done)) };
    scope.spawn("server", async move {
        let incoming = TcpListenerStream::new(listener).map(|stream| {
            let stream = stream?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        });
        let window = 8 * 1024 * 1024;
        let mut server = Server::builder().initial_stream_window_size(window).initial_connection_window_size(window);
        let served = server.add_service(WorkerSchedulerServer::new(service)).serve_with_incoming(incoming);
        if let Err(error) = served.await {
            eprintln!("server: {error}");
        }
    });
    let cancel = Cancel::new();
    let mut peer: Option<PeerWorker> = None;
    match side {
        Side::Peer => peer = Some(Peer::Python(PEER).start("bench", address)?),
        Side::Floor => scope.spawn("floor", async move {
            if let Err(error) = floor(format!("http://{address}")).await {
                eprintln!("floor: {error}");
            }
        }),
        Side::Ours => {
            let mut options = WorkerOptions::new(Address::parse(&format!("grpc://{address}"), false)?);
            options.worker_id = "bench".into();
            let registry = Registry::collect().map_err(|errors| anyhow!("{errors}"))?;
            let worker = Worker::new(options, registry, Arc::new(LocalModels::new()));
            let cancel = cancel.clone();
            scope.spawn("ours", async move { drop(worker.run(cancel).await) });
        }
    }
    let took = took.await.context("the load did not finish")?;
    drop(peer);
    cancel.kill();
    scope.cancel().kill();
    scope.join(Duration::from_secs(5)).await;
    Ok(took)
}

/// The scripted server: one handshake, then the load.
struct Dispatcher {
    load: Load,
    scope: Arc<Scope>,
    done: Mutex<Option<oneshot::Sender<Duration>>>,
}

#[tonic::async_trait]
impl WorkerScheduler for Dispatcher {
    type ConnectStream = ReceiverStream<Result<SchedulerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (sender, outbound) = mpsc::channel(CHANNEL);
        let done = self.done.lock().ok().and_then(|mut done| done.take());
        let done = done.ok_or_else(|| Status::unavailable("one worker at a time"))?;
        let load = self.load;
        self.scope.spawn("dispatch", async move {
            match dispatch(load, request.into_inner(), sender).await {
                Ok(took) => drop(done.send(took)),
                Err(error) => eprintln!("dispatch: {error:#}"),
            }
        });
        Ok(Response::new(ReceiverStream::new(outbound)))
    }
}

type Sender = mpsc::Sender<Result<SchedulerMessage, Status>>;

async fn dispatch(load: Load, mut inbound: Streaming<WorkerMessage>, sender: Sender) -> Result<Duration> {
    let first = inbound.message().await?.context("no Hello")?;
    anyhow::ensure!(matches!(first.msg, Some(Msg::Hello(_))), "the first message is not Hello");
    let ack = pb::HelloAck { protocol_version: 2, ..Default::default() };
    send(&sender, Outbound::HelloAck(ack)).await?;
    let payload = match load.measure {
        Measure::ChunksPerSecond(_) => rmp_serde::to_vec_named(&std::collections::BTreeMap::from([(
            if load.function == "count-up" { "count" } else { "chunks" },
            CHUNKS,
        )]))?,
        _ => rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("text", "marco")]))?,
    };
    let payload = bytes::Bytes::from(payload);
    let job = |at: usize| {
        Outbound::RunJob(pb::RunJob {
            request_id: format!("01890a5d-ac96-774b-bcce-{at:012}"),
            attempt: 1,
            function_name: load.function.into(),
            input_payload: payload.clone(),
            tenant: "acme".into(),
            ..Default::default()
        })
    };
    // A first batch warms both sides up.
    let warm_up = load.jobs / 20;
    let (mut sent, mut ended, mut began) = (0, 0, Instant::now());
    let total = warm_up + load.jobs;
    while sent < load.in_flight.min(total) {
        send(&sender, job(sent)).await?;
        sent += 1;
    }
    while ended < total {
        let message = inbound.message().await?.context("the worker went away")?;
        let Some(Msg::JobResult(result)) = message.msg else { continue };
        anyhow::ensure!(result.status() == pb::JobStatus::Ok, "{}: {}", result.request_id, result.safe_message);
        ended += 1;
        if ended == warm_up {
            began = Instant::now();
        }
        if sent < total {
            send(&sender, job(sent)).await?;
            sent += 1;
        }
    }
    Ok(began.elapsed())
}

async fn send(sender: &Sender, message: Outbound) -> Result<()> {
    sender.send(Ok(SchedulerMessage { msg: Some(message) })).await.map_err(|_| anyhow!("the stream is closed"))
}

/// The bare client: no decoding, no bookkeeping, no limits.
async fn floor(address: String) -> Result<()> {
    let window = 8 * 1024 * 1024;
    let channel = tonic::transport::Endpoint::from_shared(address)?
        .tcp_nodelay(true)
        .initial_stream_window_size(window)
        .initial_connection_window_size(window)
        .connect()
        .await?;
    let (sender, outbound) = mpsc::channel(CHANNEL);
    let reply = |msg| WorkerMessage { msg: Some(msg) };
    let hello = pb::Hello { protocol_version: 2, worker_id: "floor".into(), ..Default::default() };
    sender.send(reply(Msg::Hello(hello))).await?;
    let mut client = WorkerSchedulerClient::new(channel);
    let mut inbound = client.connect(ReceiverStream::new(outbound)).await?.into_inner();
    while let Some(message) = inbound.message().await? {
        let Some(Outbound::RunJob(run)) = message.msg else { continue };
        let (request_id, attempt) = (run.request_id, run.attempt);
        sender.send(reply(Msg::JobAccepted(pb::JobAccepted { request_id: request_id.clone(), attempt }))).await?;
        if run.function_name == "bench-chunks" {
            for seq in 1..=i64::try_from(CHUNKS)? {
                let progress = pb::JobProgress {
                    request_id: request_id.clone(),
                    attempt,
                    seq,
                    data: bytes::Bytes::from_static(b"token"),
                    content_type: "text/plain".into(),
                };
                sender.send(reply(Msg::JobProgress(progress))).await?;
            }
        }
        let result = pb::JobResult {
            request_id,
            attempt,
            status: pb::JobStatus::Ok.into(),
            output: Some(Output::Inline(run.input_payload)),
            ..Default::default()
        };
        sender.send(reply(Msg::JobResult(result))).await?;
    }
    Ok(())
}
