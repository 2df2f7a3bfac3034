//! A pool on in-memory connections, and a worker under the control of the test.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
pub(super) use gen_worker_proto::pb::scheduler_message as down;
use gen_worker_proto::{
    FunctionName, Pair, RequestId,
    pb::{self, worker_message as up, worker_scheduler_client::WorkerSchedulerClient},
};
use gen_worker_tasks::Scope;
use hyper_util::rt::TokioIo;
use tokio::{
    io::DuplexStream,
    sync::{mpsc, oneshot},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Endpoint};

use crate::{
    pool::{Handle, Options, Submitted},
    queue::{Queue, memory::MemoryQueue},
    request::{self, Durability, NewRequest, Request, State, UnixMs},
    session::{OpenGate, WorkerVerifier},
};

/// Longest any test waits for a message, in virtual time: above every wait of the contract.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct Pool {
    pub(super) handle: Handle,
    pub(super) store: Arc<dyn Queue>,
    scope: Scope,
    connections: mpsc::Sender<Result<DuplexStream, std::io::Error>>,
}

impl Pool {
    pub(super) async fn start() -> Self {
        Self::start_with(Options::default(), Arc::new(MemoryQueue::default()), Arc::new(OpenGate)).await
    }

    pub(super) async fn start_on(store: Arc<dyn Queue>) -> Self {
        Self::start_with(Options::default(), store, Arc::new(OpenGate)).await
    }

    pub(super) async fn start_with(options: Options, store: Arc<dyn Queue>, verifier: Arc<dyn WorkerVerifier>) -> Self {
        let scope = Scope::new("test");
        let handle = crate::pool::start(options, Arc::clone(&store), &scope).await.expect("pool starts");
        let (connections, incoming) = mpsc::channel(8);
        let sessions = Arc::new(Scope::under("sessions", scope.cancel()));
        let server = crate::wire::serve_on(
            ReceiverStream::new(incoming),
            handle.clone(),
            verifier,
            sessions,
            scope.cancel().clone(),
        );
        scope.spawn("wire", async move { server.await.expect("wire server") });
        Self { handle, store, scope, connections }
    }

    /// Stops the pool as a crash would look to the store: what was not written is lost.
    pub(super) async fn stop(self) -> Arc<dyn Queue> {
        self.scope.cancel().kill();
        self.scope.join(Duration::from_secs(5)).await;
        self.store
    }

    /// Stops the pool in order.
    pub(super) async fn shut_down(&self) {
        self.scope.cancel().stop();
    }

    /// Opens a stream and sends `first`.
    pub(super) async fn open(&self, first: Option<up::Msg>, token: Option<&str>) -> Result<Worker, Status> {
        let (client, mut near) = tokio::io::duplex(1024 * 1024);
        let (mut far, server) = tokio::io::duplex(1024 * 1024);
        self.connections.send(Ok(server)).await.expect("server takes connections");
        let (cut, cutting) = oneshot::channel();
        self.scope.spawn("cable", async move {
            let kept = tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => None,
                kept = cutting => kept.ok(),
            };
            // The cable goes first, so that nothing says goodbye over it.
            drop((near, far));
            drop(kept);
        });
        let mut client = Some(client);
        let connector = tower::service_fn(move |_| {
            let client = client.take().map(TokioIo::new);
            async move { client.ok_or_else(|| std::io::Error::other("dialled once")) }
        });
        let channel = Endpoint::from_static("http://pool")
            .connect_with_connector(connector)
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let (sender, messages) = mpsc::channel(1_024);
        if let Some(msg) = first {
            sender.send(pb::WorkerMessage { msg: Some(msg) }).await.expect("room");
        }
        let mut request = tonic::Request::new(ReceiverStream::new(messages));
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("ascii");
            request.metadata_mut().insert("authorization", value);
        }
        let mut client = WorkerSchedulerClient::new(channel)
            .max_decoding_message_size(64 * 1024 * 1024)
            .max_encoding_message_size(64 * 1024 * 1024);
        let inbound = client.connect(request).await?.into_inner();
        Ok(Worker { sender: Some(sender), inbound, cut: Some(cut) })
    }

    /// Connects a worker and takes its acknowledgement.
    pub(super) async fn worker(&self, hello: pb::Hello) -> Worker {
        let mut worker = self.open(Some(up::Msg::Hello(hello)), None).await.expect("stream opens");
        let ack = worker.next().await;
        assert!(matches!(ack, down::Msg::HelloAck(_)), "{ack:?}");
        worker
    }

    /// Submits one request and returns it.
    pub(super) async fn submit(&self, new: NewRequest) -> Arc<Request> {
        match self.handle.submit(vec![new], false).await.expect("pool is open").remove(0) {
            Ok(Submitted::Created(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn get(&self, id: &str) -> Arc<Request> {
        let id = RequestId::parse(id).expect("valid id");
        self.handle.get(&id).await.expect("pool is open").expect("known")
    }

    /// The request once it has ended.
    pub(super) async fn ended(&self, id: &str) -> Arc<Request> {
        let id = RequestId::parse(id).expect("valid id");
        let request = self.handle.wait(&id, PATIENCE).await.expect("pool is open").expect("known");
        assert!(request.state.is_terminal(), "{:?}", request.state);
        request
    }

    /// Waits until the request is in `state`.
    pub(super) async fn reaches(&self, id: &str, state: State) -> Arc<Request> {
        for _ in 0..10_000 {
            let request = self.get(id).await;
            if request.state == state {
                return request;
            }
            tokio::task::yield_now().await;
        }
        panic!("{id} does not reach {state:?}");
    }
}

/// A worker; dropping it breaks its connection without a word.
pub(super) struct Worker {
    sender: Option<mpsc::Sender<pb::WorkerMessage>>,
    pub(super) inbound: Streaming<pb::SchedulerMessage>,
    cut: Option<oneshot::Sender<Option<mpsc::Sender<pb::WorkerMessage>>>>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(cut) = self.cut.take() {
            drop(cut.send(self.sender.take()));
        }
    }
}

impl Worker {
    pub(super) async fn send(&self, msg: up::Msg) {
        self.send_raw(pb::WorkerMessage { msg: Some(msg) }).await;
    }

    pub(super) async fn send_raw(&self, message: pb::WorkerMessage) {
        self.sender.as_ref().expect("open").send(message).await.expect("stream is up");
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> down::Msg {
        let message = tokio::time::timeout(PATIENCE, self.inbound.message()).await.expect("a message in time");
        message.expect("stream is up").expect("stream goes on").msg.expect("a known message")
    }

    /// The end of the stream: its status, `None` for OK.
    pub(super) async fn end(&mut self) -> Option<Status> {
        loop {
            match tokio::time::timeout(PATIENCE, self.inbound.message()).await.expect("an end in time") {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    }

    pub(super) async fn expect_run(&mut self, id: &str, attempt: i64) -> pb::RunJob {
        match self.next().await {
            down::Msg::RunJob(run) => {
                assert_eq!((run.request_id.as_str(), run.attempt), (id, attempt));
                run
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn expect_cancel(&mut self, id: &str, attempt: i64) {
        let cancel = pb::CancelJob { request_id: id.into(), attempt };
        assert_eq!(self.next().await, down::Msg::CancelJob(cancel));
    }

    /// Asserts that nothing comes for `time`.
    pub(super) async fn silent_for(&mut self, time: Duration) {
        if let Ok(message) = tokio::time::timeout(time, self.inbound.message()).await {
            panic!("{message:?}");
        }
    }

    pub(super) async fn accept(&self, id: &str, attempt: i64) {
        self.send(up::Msg::JobAccepted(pb::JobAccepted { request_id: id.into(), attempt })).await;
    }

    pub(super) async fn finish(&self, id: &str, attempt: i64, status: pb::JobStatus, message: &str) {
        let output =
            (status == pb::JobStatus::Ok).then(|| pb::job_result::Output::Inline(Bytes::from_static(b"\x81\xa1a\x01")));
        self.send(up::Msg::JobResult(pb::JobResult {
            request_id: id.into(),
            attempt,
            status: status.into(),
            safe_message: message.into(),
            metrics: None,
            output,
        }))
        .await;
    }

    pub(super) async fn progress(&self, id: &str, attempt: i64, seq: i64, text: &'static str) {
        self.send(up::Msg::JobProgress(pb::JobProgress {
            request_id: id.into(),
            attempt,
            seq,
            data: Bytes::from_static(text.as_bytes()),
            content_type: "text/plain".into(),
        }))
        .await;
    }

    pub(super) async fn state(&self, state: pb::StateDelta) {
        self.send(up::Msg::StateDelta(state)).await;
    }

    /// Ends the sending side, as a worker does after a drain.
    pub(super) fn half_close(&mut self) {
        self.sender = None;
    }
}

pub(super) fn ready(functions: &[&str]) -> pb::StateDelta {
    pb::StateDelta {
        phase: pb::WorkerPhase::Ready.into(),
        available_functions: functions.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

pub(super) fn hello(worker_id: &str, functions: &[&str]) -> pb::Hello {
    pb::Hello {
        protocol_version: pb::ProtocolVersion::Current.into(),
        worker_id: worker_id.into(),
        state: Some(ready(functions)),
        ..Default::default()
    }
}

/// A worker that has these models on its disk.
pub(super) fn holding(worker_id: &str, functions: &[&str], models: &[&str]) -> pb::Hello {
    let disk = |model: &&str| pb::ModelResidency {
        r#ref: (*model).to_owned(),
        tier: pb::ResidencyTier::Disk.into(),
        vram_bytes: 0,
    };
    pb::Hello { models: models.iter().map(disk).collect(), ..hello(worker_id, functions) }
}

pub(super) fn hello_with(worker_id: &str, functions: &[&str], in_flight: &[(&str, i64)]) -> pb::Hello {
    let in_flight =
        in_flight.iter().map(|(id, attempt)| pb::InFlightJob { request_id: (*id).into(), attempt: *attempt });
    pb::Hello { in_flight: in_flight.collect(), ..hello(worker_id, functions) }
}

pub(super) fn request(id: &str, function: &str) -> NewRequest {
    request_with(id, function, request::Options::default())
}

pub(super) fn memory(id: &str, function: &str) -> NewRequest {
    memory_with(id, function, request::Options::default())
}

pub(super) fn memory_with(id: &str, function: &str, options: request::Options) -> NewRequest {
    request_with(id, function, request::Options { durability: Durability::Memory, ..options })
}

pub(super) fn request_with(id: &str, function: &str, options: request::Options) -> NewRequest {
    NewRequest {
        id: RequestId::parse(id).expect("valid id"),
        function: FunctionName::parse(function).expect("valid name"),
        tenant: "dev".into(),
        release_id: "dev".into(),
        payload: Bytes::from_static(b"\x80"),
        body_digest: [7; 32],
        options,
        metadata: serde_json::Value::Null,
        created_at: UnixMs(now_ms()),
    }
}

pub(super) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_millis()).expect("before the year 292 million")
}

pub(super) fn pair(id: &str, attempt: i64) -> Pair {
    Pair::parse(id, attempt).expect("valid id")
}
