//! An orchestrator that does what the test says: it takes connections, answers calls and reads messages, nothing
//! else.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use gen_worker_core::{Address, Dial, DialedIo};
use gen_worker_proto::pb::{
    self, SchedulerMessage, WorkerMessage,
    scheduler_message::Msg as Outbound,
    worker_message::Msg,
    worker_scheduler_server::{WorkerScheduler, WorkerSchedulerServer},
};
use gen_worker_tasks::Scope;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{
    Code, Request, Response, Status, Streaming,
    transport::server::{Connected, Server},
};

/// Longest wait for something that must come. The clock is paused, so it costs nothing.
const PATIENCE: Duration = Duration::from_secs(300);

/// Bytes an in-memory pipe holds; small enough that a reader who stops is felt.
const PIPE_BYTES: usize = 64 * 1024;

pub struct Orchestrator {
    dials: mpsc::UnboundedReceiver<(Address, Instant)>,
    calls: mpsc::UnboundedReceiver<Call>,
    reachable: Arc<AtomicBool>,
    pub dial: Arc<PipeDial>,
    _scope: Scope,
}

/// A call that waits for an answer.
pub struct Call {
    pub authorization: Option<String>,
    pub at: Instant,
    inbound: Streaming<WorkerMessage>,
    answer: oneshot::Sender<Result<mpsc::Sender<Result<SchedulerMessage, Status>>, Status>>,
    outbound: Option<mpsc::Receiver<Result<SchedulerMessage, Status>>>,
    sender: mpsc::Sender<Result<SchedulerMessage, Status>>,
    cut: Wire,
}

/// An accepted call.
pub struct Session {
    inbound: Streaming<WorkerMessage>,
    sender: Option<mpsc::Sender<Result<SchedulerMessage, Status>>>,
    cut: Wire,
}

/// Dials the scripted orchestrator, whatever the address.
pub struct PipeDial {
    dials: mpsc::UnboundedSender<(Address, Instant)>,
    pipes: mpsc::UnboundedSender<io::Result<Pipe>>,
    reachable: Arc<AtomicBool>,
}

/// The orchestrator's end of a connection, which can be cut or frozen.
pub struct Pipe {
    io: DuplexStream,
    wire: Wire,
    cut_wait: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What can happen to a connection from outside.
#[derive(Clone, Default)]
pub struct Wire {
    cut: CancellationToken,
    frozen: Arc<AtomicBool>,
}

impl Wire {
    fn cut(&self) {
        self.cut.cancel();
    }

    fn freeze(&self) {
        self.frozen.store(true, Ordering::SeqCst);
    }
}

struct Service {
    calls: mpsc::UnboundedSender<Call>,
}

impl Orchestrator {
    pub fn start() -> Self {
        let (dial_sender, dials) = mpsc::unbounded_channel();
        let (pipe_sender, pipes) = mpsc::unbounded_channel();
        let (call_sender, calls) = mpsc::unbounded_channel();
        let reachable = Arc::new(AtomicBool::new(true));
        let scope = Scope::new("orchestrator");
        scope.spawn("serve", async move {
            let service = WorkerSchedulerServer::new(Service { calls: call_sender });
            let served =
                Server::builder().add_service(service).serve_with_incoming(UnboundedReceiverStream::new(pipes));
            served.await.expect("the scripted server serves");
        });
        let dial = PipeDial { dials: dial_sender, pipes: pipe_sender, reachable: reachable.clone() };
        Self { dials, calls, reachable, dial: Arc::new(dial), _scope: scope }
    }

    /// Whether dials succeed.
    pub fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::SeqCst);
    }

    pub async fn next_dial(&mut self) -> (Address, Instant) {
        timeout(PATIENCE, self.dials.recv()).await.expect("a dial in time").expect("the worker runs")
    }

    pub async fn next_call(&mut self) -> Call {
        timeout(PATIENCE, self.calls.recv()).await.expect("a call in time").expect("the server runs")
    }

    /// Takes the next call through the handshake.
    pub async fn connect(&mut self) -> (Session, pb::Hello) {
        let mut session = self.next_call().await.accept();
        let hello = session.hello().await;
        session.ack().await;
        (session, hello)
    }
}

impl Call {
    pub fn accept(self) -> Session {
        drop(self.answer.send(Ok(self.sender.clone())));
        drop(self.outbound);
        Session { inbound: self.inbound, sender: Some(self.sender), cut: self.cut }
    }

    pub fn refuse(self, code: Code, detail: &str) {
        drop(self.answer.send(Err(Status::new(code, detail))));
    }
}

impl Session {
    pub async fn hello(&mut self) -> pb::Hello {
        match self.next().await {
            Msg::Hello(hello) => hello,
            other => panic!("the first message is {other:?}"),
        }
    }

    pub async fn send(&self, message: Outbound) {
        let sender = self.sender.as_ref().expect("the call is open");
        sender.send(Ok(SchedulerMessage { msg: Some(message) })).await.expect("the call is open");
    }

    pub async fn ack(&self) {
        self.send(Outbound::HelloAck(pb::HelloAck {
            protocol_version: 2,
            file_base_url: "http://files".into(),
            ..Default::default()
        }))
        .await;
    }

    /// A message of a kind that nobody knows.
    pub async fn send_unknown(&self) {
        let sender = self.sender.as_ref().expect("the call is open");
        sender.send(Ok(SchedulerMessage { msg: None })).await.expect("the call is open");
    }

    pub async fn run(&self, request_id: &str, attempt: i64, function: &str, payload: &[u8]) {
        self.run_job(pb::RunJob {
            request_id: request_id.into(),
            attempt,
            function_name: function.into(),
            input_payload: payload.to_vec().into(),
            ..Default::default()
        })
        .await;
    }

    pub async fn run_job(&self, run: pb::RunJob) {
        self.send(Outbound::RunJob(run)).await;
    }

    pub async fn cancel(&self, request_id: &str, attempt: i64) {
        self.send(Outbound::CancelJob(pb::CancelJob { request_id: request_id.into(), attempt })).await;
    }

    pub async fn drain(&self, deadline_ms: i64) {
        self.send(Outbound::Drain(pb::Drain { deadline_ms })).await;
    }

    /// The next message that carries anything.
    pub async fn next(&mut self) -> Msg {
        self.try_next().await.expect("the stream goes on")
    }

    /// The next message; nothing once the worker ended its side.
    pub async fn try_next(&mut self) -> Option<Msg> {
        loop {
            let message = timeout(PATIENCE, self.inbound.message()).await.expect("a message in time");
            match message {
                Ok(Some(WorkerMessage { msg: Some(msg) })) => return Some(msg),
                Ok(Some(WorkerMessage { msg: None })) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }

    pub async fn accepted(&mut self) -> (String, i64) {
        loop {
            match self.next().await {
                Msg::JobAccepted(accepted) => return (accepted.request_id, accepted.attempt),
                Msg::StateDelta(_) => {}
                other => panic!("not an acceptance: {other:?}"),
            }
        }
    }

    /// The next result; other messages are skipped.
    pub async fn result(&mut self) -> pb::JobResult {
        loop {
            if let Msg::JobResult(result) = self.next().await {
                return result;
            }
        }
    }

    /// The next state; other messages are skipped.
    pub async fn state(&mut self) -> pb::StateDelta {
        loop {
            if let Msg::StateDelta(state) = self.next().await {
                return state;
            }
        }
    }

    /// Reads until the worker says that it started.
    pub async fn ready(&mut self) -> pb::StateDelta {
        loop {
            let state = self.state().await;
            if state.phase() == pb::WorkerPhase::Ready {
                return state;
            }
        }
    }

    /// Nothing but state comes for a while.
    pub async fn silence(&mut self) {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            match tokio::time::timeout_at(until, self.inbound.message()).await {
                Err(_) => return,
                Ok(Ok(Some(WorkerMessage { msg: Some(Msg::StateDelta(_)) }))) => {}
                Ok(other) => panic!("expected silence, got {other:?}"),
            }
        }
    }

    /// From here on no byte moves in either direction, and nobody is told: a half-open connection.
    pub fn freeze(self) -> impl Sized {
        self.cut.freeze();
        // Ending the call would be a word.
        (self.sender, self.inbound)
    }

    /// Cuts the transport without a word.
    pub fn cut(self) {
        self.cut.cut();
    }

    /// Ends the call with an error.
    pub async fn end(self, code: Code, detail: &str) {
        let sender = self.sender.expect("the call is open");
        sender.send(Err(Status::new(code, detail))).await.expect("the call is open");
    }

    /// Ends our side of the call; the worker's messages can still be read.
    pub fn finish(&mut self) {
        self.sender = None;
    }
}

#[tonic::async_trait]
impl WorkerScheduler for Service {
    type ConnectStream = ReceiverStream<Result<SchedulerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let cut = request.extensions().get::<Wire>().expect("the pipe's token").clone();
        let authorization =
            request.metadata().get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (sender, outbound) = mpsc::channel(64);
        let (answer, answered) = oneshot::channel();
        let call = Call {
            authorization,
            at: Instant::now(),
            inbound: request.into_inner(),
            answer,
            outbound: None,
            sender,
            cut,
        };
        self.calls.send(call).map_err(|_| Status::unavailable("the test is over"))?;
        match answered.await {
            Ok(Ok(_)) => Ok(Response::new(ReceiverStream::new(outbound))),
            Ok(Err(status)) => Err(status),
            Err(_) => Err(Status::unavailable("the test is over")),
        }
    }
}

impl Dial for PipeDial {
    fn dial(&self, address: &Address) -> BoxFuture<'static, io::Result<Box<dyn DialedIo>>> {
        drop(self.dials.send((address.clone(), Instant::now())));
        if !self.reachable.load(Ordering::SeqCst) {
            return async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) }.boxed();
        }
        let (ours, theirs) = duplex(PIPE_BYTES);
        let wire = Wire::default();
        let cut_wait = Box::pin(wire.cut.clone().cancelled_owned());
        drop(self.pipes.send(Ok(Pipe { io: theirs, wire, cut_wait })));
        async move { Ok(Box::new(ours) as Box<dyn DialedIo>) }.boxed()
    }
}

impl Pipe {
    /// Ready while bytes may move.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.cut_wait.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionReset))),
            Poll::Pending if self.wire.frozen.load(Ordering::SeqCst) => Poll::Pending,
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }
}

impl Connected for Pipe {
    type ConnectInfo = Wire;

    fn connect_info(&self) -> Wire {
        self.wire.clone()
    }
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_up(cx))?;
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_up(cx))?;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
