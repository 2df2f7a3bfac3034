//! A worker of marco-polo in release: from the start of its process to its Hello, and what it keeps resident while idle.
//! The orchestrator is a bare stream that acknowledges and stays silent.

use std::{
    fs,
    pin::Pin,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures::{Stream, StreamExt as _, stream};
use gen_worker_proto::pb::{
    self, SchedulerMessage, WorkerMessage, scheduler_message, worker_message,
    worker_scheduler_server::{WorkerScheduler, WorkerSchedulerServer},
};
use gen_worker_tasks::Scope;
use gen_worker_tests::{Figure, Process, built, percentile};
use tokio::{net::TcpListener, sync::mpsc};
use tonic::{Request, Response, Status, Streaming};

/// Starts measured.
const STARTS: usize = 20;

/// What a worker gets to become idle in before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// Says when a Hello came, acknowledges it, and reads on.
struct Scripted {
    hello: mpsc::Sender<Instant>,
}

type Outbound = Pin<Box<dyn Stream<Item = Result<SchedulerMessage, Status>> + Send>>;

#[tonic::async_trait]
impl WorkerScheduler for Scripted {
    type ConnectStream = Outbound;

    async fn connect(&self, request: Request<Streaming<WorkerMessage>>) -> Result<Response<Outbound>, Status> {
        let mut inbound = request.into_inner();
        let first = inbound.message().await?.and_then(|message| message.msg);
        if !matches!(first, Some(worker_message::Msg::Hello(_))) {
            return Err(Status::failed_precondition("the first message is not Hello"));
        }
        // There is room for every start; a late one finds nobody and needs nobody.
        let _ = self.hello.try_send(Instant::now());
        let ack = pb::HelloAck { protocol_version: pb::ProtocolVersion::Current.into(), ..pb::HelloAck::default() };
        let ack = SchedulerMessage { msg: Some(scheduler_message::Msg::HelloAck(ack)) };
        let silence = inbound.filter_map(|_| async { None });
        Ok(Response::new(Box::pin(stream::once(async { Ok(ack) }).chain(silence))))
    }
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (hello, mut hellos) = mpsc::channel(STARTS);
    let scope = Scope::new("scripted");
    let address = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = tonic::transport::Server::builder().add_service(WorkerSchedulerServer::new(Scripted { hello }));
        let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        scope.spawn("server", async move { drop(server.serve_with_incoming(incoming).await) });
        anyhow::Ok(address)
    })?;
    let mut starts = Vec::new();
    let mut resident = 0.0;
    for turn in 0..STARTS {
        let mut command = Command::new(built("marco-polo")?);
        command.args(["worker", "--addr", &format!("grpc://{address}")]);
        let started = Instant::now();
        let worker = Process::start("marco-polo", &mut command)?;
        let hello = hellos.blocking_recv().context("the server ended")?;
        starts.push(hello.duration_since(started).as_secs_f64() * 1e3);
        if turn + 1 == STARTS {
            std::thread::sleep(SETTLE);
            resident = resident_mb(worker.id())?;
        }
    }
    Figure::of("worker-start", "process start to Hello p50", "ms", percentile(&mut starts, 50)).at_most(50.0).print();
    Figure::of("worker-start", "process start to Hello max", "ms", percentile(&mut starts, 100)).print();
    Figure::of("worker-start", "idle resident memory", "MB", resident).at_most(20.0).print();
    Ok(())
}

/// Resident memory of a process in units of 10^6 bytes.
fn resident_mb(id: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).context("read the process status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().context("VmRSS")?;
    Ok(kib * 1024.0 / 1e6)
}
