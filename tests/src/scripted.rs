//! A scheduler that dispatches what a bench says and counts what comes back: no queue, no bookkeeping.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use gen_worker_proto::{
    limits::MESSAGE_BYTES_MAX,
    pb::{
        self, SchedulerMessage, WorkerMessage,
        scheduler_message::Msg as Outbound,
        worker_message::Msg,
        worker_scheduler_server::{WorkerScheduler, WorkerSchedulerServer},
    },
};
use gen_worker_tasks::Scope;
use tokio::{
    net::TcpListener,
    sync::mpsc::{self, Receiver, Sender},
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// Messages that may be queued for a worker; above every load of the benches, so that dispatching never waits.
const CHANNEL: usize = 32_768;

/// Sessions that may wait to be taken.
const SESSIONS: usize = 64;

/// Bytes in flight that either side allows: a small window would be what is measured.
const WINDOW_BYTES: u32 = 8 * 1024 * 1024;

/// The listening server. It ends with its guard.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    sessions: Receiver<ScriptedSession>,
    scope: Scope,
}

/// A worker that was greeted.
#[derive(Debug)]
pub struct ScriptedSession {
    inbound: Streaming<WorkerMessage>,
    sender: Sender<Result<SchedulerMessage, Status>>,
    /// When its Hello came.
    pub greeted: Instant,
    /// Its Hello.
    pub hello: pb::Hello,
    /// Numbers the requests of all sessions: a worker remembers those of earlier ones.
    sent: Arc<AtomicU64>,
    /// Number of requests of earlier sessions, whose results may come again.
    sent_before: u64,
}

/// A load: so many equal jobs, so many at once.
#[derive(Clone, Debug)]
pub struct Jobs {
    /// The function.
    pub function: &'static str,
    /// MessagePack of its payload.
    pub payload: Bytes,
    /// How many.
    pub count: usize,
    /// How many at once.
    pub in_flight: usize,
}

impl Scripted {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When the system has none.
    pub async fn listen() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (sender, sessions) = mpsc::channel(SESSIONS);
        let scope = Scope::new("scripted");
        scope.spawn("server", async move {
            let incoming = TcpListenerStream::new(listener).map(|stream| {
                let stream = stream?;
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(stream)
            });
            let service = WorkerSchedulerServer::new(Service { sessions: sender, sent: Arc::default() });
            let service = service.max_decoding_message_size(MESSAGE_BYTES_MAX);
            let mut server =
                Server::builder().initial_stream_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
            if let Err(error) = server.add_service(service).serve_with_incoming(incoming).await {
                eprintln!("server: {error}");
            }
        });
        Ok(Self { address, sessions, scope })
    }

    /// Where workers connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next worker, greeted.
    ///
    /// # Errors
    /// When the server ended.
    pub async fn session(&mut self) -> Result<ScriptedSession> {
        self.sessions.recv().await.context("the scripted server ended")
    }

    /// Ends every connection.
    pub async fn end(self) {
        self.scope.cancel().kill();
        self.scope.join(Duration::from_secs(5)).await;
    }
}

impl ScriptedSession {
    /// Sends a message.
    ///
    /// # Errors
    /// When the worker is gone.
    pub async fn send(&self, message: Outbound) -> Result<()> {
        let message = SchedulerMessage { msg: Some(message) };
        self.sender.send(Ok(message)).await.map_err(|_| anyhow!("the stream is closed"))
    }

    /// The next message.
    ///
    /// # Errors
    /// When the worker is gone.
    pub async fn next(&mut self) -> Result<Msg> {
        loop {
            let message = self.inbound.message().await?.context("the worker went away")?;
            match message.msg {
                // Its first copy arrived with the session before, but the worker could not know.
                Some(Msg::JobResult(result)) if result.request_id <= request_id(self.sent_before) => {}
                Some(msg) => return Ok(msg),
                None => {}
            }
        }
    }

    /// Sends one new job and gives its id.
    ///
    /// # Errors
    /// When the worker is gone.
    pub async fn dispatch(&mut self, function: &str, payload: &Bytes) -> Result<String> {
        let request_id = request_id(self.sent.fetch_add(1, Ordering::Relaxed) + 1);
        self.dispatch_as(&request_id, function, payload).await?;
        Ok(request_id)
    }

    /// Sends a job with an id that is not one of this server's numbers.
    ///
    /// # Errors
    /// When the worker is gone.
    pub async fn dispatch_as(&self, request_id: &str, function: &str, payload: &Bytes) -> Result<()> {
        let job = pb::RunJob {
            request_id: request_id.to_owned(),
            attempt: 1,
            function_name: function.to_owned(),
            input_payload: payload.clone(),
            tenant: "acme".to_owned(),
            ..pb::RunJob::default()
        };
        self.send(Outbound::RunJob(job)).await
    }

    /// The next result, which has to be OK.
    ///
    /// # Errors
    /// When it is not, or the worker is gone.
    pub async fn result(&mut self) -> Result<pb::JobResult> {
        loop {
            if let Msg::JobResult(result) = self.next().await? {
                ensure!(result.status() == pb::JobStatus::Ok, "{}: {}", result.request_id, result.safe_message);
                return Ok(result);
            }
        }
    }

    /// Runs a load to its end; gives the time from the first dispatch to the last result.
    ///
    /// # Errors
    /// When a job fails, or the worker is gone.
    pub async fn run(&mut self, jobs: &Jobs) -> Result<Duration> {
        let began = Instant::now();
        let mut sent = 0;
        while sent < jobs.in_flight.min(jobs.count) {
            self.dispatch(jobs.function, &jobs.payload).await?;
            sent += 1;
        }
        for _ in 0..jobs.count {
            self.result().await?;
            if sent < jobs.count {
                self.dispatch(jobs.function, &jobs.payload).await?;
                sent += 1;
            }
        }
        Ok(began.elapsed())
    }
}

/// Looks like an id of the orchestrator, and sorts as the numbers do.
fn request_id(number: u64) -> String {
    format!("01890a5d-ac96-774b-bcce-{number:012}")
}

struct Service {
    sessions: Sender<ScriptedSession>,
    sent: Arc<AtomicU64>,
}

type Reply = Pin<Box<dyn Stream<Item = Result<SchedulerMessage, Status>> + Send>>;

#[tonic::async_trait]
impl WorkerScheduler for Service {
    type ConnectStream = Reply;

    async fn connect(&self, request: Request<Streaming<WorkerMessage>>) -> Result<Response<Reply>, Status> {
        let mut inbound = request.into_inner();
        let first = inbound.message().await?.and_then(|message| message.msg);
        let greeted = Instant::now();
        let Some(Msg::Hello(hello)) = first else {
            return Err(Status::failed_precondition("the first message is not Hello"));
        };
        let (sender, outbound) = mpsc::channel(CHANNEL);
        let ack = pb::HelloAck { protocol_version: pb::ProtocolVersion::Current.into(), ..pb::HelloAck::default() };
        let ack = SchedulerMessage { msg: Some(Outbound::HelloAck(ack)) };
        sender.try_send(Ok(ack)).map_err(|_| Status::internal("no room for the ack"))?;
        let sent_before = self.sent.load(Ordering::Relaxed);
        let session = ScriptedSession { inbound, sender, greeted, hello, sent: self.sent.clone(), sent_before };
        self.sessions.try_send(session).map_err(|_| Status::unavailable("nobody takes this worker"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(outbound))))
    }
}
