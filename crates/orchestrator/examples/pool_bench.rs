//! How many jobs a second go from in-process callers through the pool to a worker on a real stream and back. The
//! worker answers every RunJob at once, so what is measured is the orchestrator and the transport.
//!
//! `cargo run --release --example pool_bench -- [seconds]`

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use gen_worker_orchestrator::{
    pool::{self, Handle},
    queue::{
        Queue,
        memory::MemoryQueue,
        sqlite::{self, SqliteQueue},
    },
    request::{Durability, NewRequest, Options, UnixMs},
    session::OpenGate,
    wire,
};
use gen_worker_proto::{
    FunctionName, RequestId,
    pb::{self, scheduler_message as down, worker_message as up, worker_scheduler_client::WorkerSchedulerClient},
};
use gen_worker_tasks::Scope;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// The allocator of our binaries.
#[global_allocator]
static ALLOCATOR: gen_worker_allocator::Allocator = gen_worker_allocator::Allocator;

fn main() -> anyhow::Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let span = Duration::from_secs(seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{:<34} {:>12} {:>10} {:>10}", "case", "jobs/s", "p50", "p99");
    for (durability, callers) in [
        (Durability::Memory, 1),
        (Durability::Memory, 64),
        (Durability::Memory, 1_024),
        (Durability::Durable, 1),
        (Durability::Durable, 64),
        (Durability::Durable, 1_024),
    ] {
        let (rate, p50, p99) = runtime.block_on(measure(durability, callers, span))?;
        let case = format!("{durability:?}, {callers} callers");
        println!("{case:<34} {rate:>12.0} {p50:>10.3?} {p99:>10.3?}");
    }
    Ok(())
}

async fn measure(durability: Durability, callers: usize, span: Duration) -> anyhow::Result<(f64, Duration, Duration)> {
    let scope = Arc::new(Scope::new("bench"));
    let directory = tempfile::tempdir()?;
    let store: Arc<dyn Queue> = match durability {
        Durability::Memory => Arc::new(MemoryQueue::default()),
        Durability::Durable => {
            let path = directory.path().join("queue.sqlite");
            Arc::new(SqliteQueue::open(sqlite::Options { path, size_bytes_max: None, history_kept: None }).await?)
        }
    };
    let options = pool::Options { jobs_per_worker_max: 1_024, ..pool::Options::default() };
    let handle = pool::start(options, Arc::clone(&store), &scope).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = wire::serve(listener, handle.clone(), Arc::new(OpenGate), Arc::clone(&scope), scope.cancel().clone());
    scope.spawn("wire", async move { drop(server.await) });
    worker(&scope, format!("http://{address}")).await?;
    while handle.functions().is_empty() {
        tokio::task::yield_now().await;
    }
    let until = Instant::now() + span;
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let (handle, done) = (handle.clone(), Arc::clone(&done));
        tasks.push(scope.spawn_bare(calls(handle, durability, caller, until, done)));
    }
    let start = Instant::now();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let rate = done.load(Relaxed) as f64 / start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let quantile = |q: f64| latencies.get((latencies.len() as f64 * q) as usize).copied().unwrap_or_default();
    scope.cancel().stop();
    scope.join(Duration::from_secs(2)).await;
    store.close().await?;
    Ok((rate, quantile(0.5), quantile(0.99)))
}

async fn calls(
    handle: Handle,
    durability: Durability,
    caller: usize,
    until: Instant,
    done: Arc<AtomicU64>,
) -> anyhow::Result<Vec<Duration>> {
    let function = FunctionName::parse("echo")?;
    let mut latencies = Vec::new();
    for number in 0_u64.. {
        let start = Instant::now();
        if start >= until {
            break;
        }
        let id = RequestId::parse(format!("{caller:05}-{number:030}"))?;
        let new = NewRequest {
            id: id.clone(),
            function: function.clone(),
            tenant: "dev".into(),
            release_id: "dev".into(),
            payload: Bytes::from_static(b"\x81\xa4text\xa5marco"),
            body_digest: [0; 32],
            options: Options { durability, ..Options::default() },
            metadata: serde_json::Value::Null,
            created_at: UnixMs(0),
        };
        handle.submit(vec![new], false).await?.remove(0)?;
        let ended = handle.wait(&id, Duration::from_secs(10)).await?.context("known")?;
        anyhow::ensure!(ended.state.is_terminal(), "timed out");
        latencies.push(start.elapsed());
        done.fetch_add(1, Relaxed);
    }
    Ok(latencies)
}

/// A worker that accepts and finishes every job at once.
async fn worker(scope: &Arc<Scope>, address: String) -> anyhow::Result<()> {
    let channel = tonic::transport::Endpoint::from_shared(address)?
        .initial_stream_window_size(8 * 1024 * 1024)
        .initial_connection_window_size(16 * 1024 * 1024)
        .tcp_nodelay(true)
        .connect()
        .await?;
    let (sender, messages) = mpsc::channel(4_096);
    let hello = pb::Hello {
        protocol_version: pb::ProtocolVersion::Current.into(),
        worker_id: "bench".into(),
        state: Some(pb::StateDelta {
            phase: pb::WorkerPhase::Ready.into(),
            available_functions: vec!["echo".into()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let message = |msg| pb::WorkerMessage { msg: Some(msg) };
    sender.send(message(up::Msg::Hello(hello))).await?;
    let mut client = WorkerSchedulerClient::new(channel);
    let mut inbound = client.connect(ReceiverStream::new(messages)).await?.into_inner();
    scope.spawn("worker", async move {
        while let Ok(Some(received)) = inbound.message().await {
            let Some(down::Msg::RunJob(run)) = received.msg else { continue };
            let accepted = pb::JobAccepted { request_id: run.request_id.clone(), attempt: run.attempt };
            let result = pb::JobResult {
                request_id: run.request_id,
                attempt: run.attempt,
                status: pb::JobStatus::Ok.into(),
                output: Some(pb::job_result::Output::Inline(run.input_payload)),
                ..Default::default()
            };
            if sender.send(message(up::Msg::JobAccepted(accepted))).await.is_err()
                || sender.send(message(up::Msg::JobResult(result))).await.is_err()
            {
                break;
            }
        }
    });
    Ok(())
}
