//! A pool, its API, and a worker that does what the name of the function says.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use bytes::Bytes;
use gen_worker_proto::{
    FunctionName,
    pb::{self, scheduler_message as down, worker_message as up, worker_scheduler_client::WorkerSchedulerClient},
};
use gen_worker_tasks::Scope;
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};
use tower::ServiceExt as _;

use crate::{
    api::{self, Access},
    hub::Hub,
    pool::{self, Handle},
    queue::{Queue, memory::MemoryQueue},
    session::OpenGate,
};

/// Largest reply a test reads.
const REPLY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Functions that are known although no worker has them.
pub(super) const KNOWN: [&str; 2] = ["embed", "absent"];

pub(super) struct Service {
    pub(super) router: Router,
    pub(super) handle: Handle,
    pub(super) store: Arc<dyn Queue>,
    pub(super) scope: Arc<Scope>,
}

pub(super) fn dev() -> api::Options {
    api::Options { access: Access::Dev, ..api::Options::default() }
}

impl Service {
    /// A pool without workers that knows [`KNOWN`].
    pub(super) async fn start() -> Self {
        Self::with(dev()).await
    }

    pub(super) async fn with(options: api::Options) -> Self {
        Self::on(Arc::new(MemoryQueue::default()), options).await
    }

    pub(super) async fn on(store: Arc<dyn Queue>, options: api::Options) -> Self {
        Self::over(store, options, pool::Options::default()).await
    }

    /// With a hub.
    pub(super) async fn with_hub(hub: Arc<dyn Hub>, options: api::Options) -> Self {
        let pool = pool::Options { hub, ..pool::Options::default() };
        Self::over(Arc::new(MemoryQueue::default()), options, pool).await
    }

    async fn over(store: Arc<dyn Queue>, options: api::Options, pool: pool::Options) -> Self {
        let known = KNOWN.iter().map(|name| FunctionName::parse(name).unwrap()).collect();
        store.remember_functions(known).await.unwrap();
        let scope = Arc::new(Scope::new("test"));
        let handle = pool::start(pool, Arc::clone(&store), &scope).await.unwrap();
        let router = api::router(handle.clone(), options, Arc::clone(&scope));
        Self { router, handle, store, scope }
    }

    /// The same with one worker that has every function of [`act`].
    pub(super) async fn with_worker() -> Self {
        let service = Self::start().await;
        service.worker("w1", &FUNCTIONS).await;
        service
    }

    /// Connects a worker; when this returns, its functions are known.
    pub(super) async fn worker(&self, id: &str, functions: &[&str]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sessions = Arc::new(Scope::under("sessions", self.scope.cancel()));
        let (handle, cancel) = (self.handle.clone(), self.scope.cancel().clone());
        self.scope.spawn("wire", async move {
            crate::wire::serve(listener, handle, Arc::new(OpenGate), sessions, cancel).await.unwrap();
        });
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut client = WorkerSchedulerClient::new(channel);
        let (sender, messages) = mpsc::channel(1_024);
        let mut available: Vec<String> = functions.iter().map(|&name| name.to_owned()).collect();
        available.sort();
        let state = pb::StateDelta {
            phase: pb::WorkerPhase::Ready.into(),
            available_functions: available,
            ..Default::default()
        };
        let hello = pb::Hello {
            protocol_version: pb::ProtocolVersion::Current.into(),
            worker_id: id.to_owned(),
            state: Some(state),
            models: vec![pb::ModelResidency {
                r#ref: "acme/paint".to_owned(),
                tier: pb::ResidencyTier::Ram.into(),
                vram_bytes: 0,
            }],
            ..Default::default()
        };
        say(&sender, up::Msg::Hello(hello)).await;
        let mut inbound = client.connect(ReceiverStream::new(messages)).await.unwrap().into_inner();
        let ack = inbound.message().await.unwrap().unwrap();
        assert!(matches!(ack.msg, Some(down::Msg::HelloAck(_))), "{ack:?}");
        self.scope.spawn("worker", work(inbound, sender));
    }

    /// One request without a connection in between.
    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, REPLY_BYTES_MAX).await.unwrap();
        Reply { status: head.status, headers: head.headers, body }
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send(request(Method::GET, path, &[], Body::empty())).await
    }

    pub(super) async fn post(&self, path: &str, body: impl Into<Body>) -> Reply {
        self.send(request(Method::POST, path, &[], body.into())).await
    }

    pub(super) async fn put(&self, path: &str, body: impl Into<Body>) -> Reply {
        self.send(request(Method::PUT, path, &[], body.into())).await
    }

    pub(super) async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        self.send(request(Method::POST, path, headers, body.into())).await
    }

    pub(super) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(request(Method::GET, path, headers, Body::empty())).await
    }

    /// Submits to a function and gives the id.
    pub(super) async fn submit(&self, function: &str) -> String {
        let body = serde_json::json!({ "function": function, "payload": {} }).to_string();
        let reply = self.post("/v1/requests", body).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the request is in a state that is not terminal.
    pub(super) async fn reaches(&self, id: &str, state: &str) {
        loop {
            let now = self.get(&format!("/v1/requests/{id}")).await.json()["state"].clone();
            if now == state {
                return;
            }
            assert!(!["succeeded", "failed", "canceled"].contains(&now.as_str().unwrap()), "{now}");
            tokio::task::yield_now().await;
        }
    }
}

pub(super) fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("header {name} in {:?}", self.headers)).to_str().unwrap()
    }

    /// Status and code of an error body of the right shape.
    pub(super) fn error(&self) -> (u16, String) {
        let json = self.json();
        assert!(json["error"]["message"].is_string(), "{json}");
        let code = json["error"]["code"].as_str().unwrap_or_else(|| panic!("{json}"));
        (self.status.as_u16(), code.to_owned())
    }

    pub(super) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// What [`act`] knows.
pub(super) const FUNCTIONS: [&str; 9] = ["echo", "stream", "audio", "invalid", "fatal", "away", "hold", "large", "odd"];

async fn say(sender: &mpsc::Sender<pb::WorkerMessage>, msg: up::Msg) {
    // A closed stream is the end of the test.
    drop(sender.send(pb::WorkerMessage { msg: Some(msg) }).await);
}

async fn work(mut inbound: Streaming<pb::SchedulerMessage>, sender: mpsc::Sender<pb::WorkerMessage>) {
    while let Ok(Some(message)) = inbound.message().await {
        match message.msg {
            Some(down::Msg::RunJob(run)) => act(run, &sender).await,
            Some(down::Msg::CancelJob(pb::CancelJob { request_id, attempt })) => {
                let status = pb::JobStatus::Canceled;
                finish(&sender, request_id, attempt, status, "canceled", None).await;
            }
            Some(down::Msg::Drain(_)) => return,
            _ => {}
        }
    }
}

async fn act(run: pb::RunJob, sender: &mpsc::Sender<pb::WorkerMessage>) {
    use pb::JobStatus::{Fatal, Invalid, Ok, Retryable};
    let pb::RunJob { request_id: id, attempt, function_name, input_payload, .. } = run;
    say(sender, up::Msg::JobAccepted(pb::JobAccepted { request_id: id.clone(), attempt })).await;
    let chunk = |seq, content_type: &str, data: &'static [u8]| {
        up::Msg::JobProgress(pb::JobProgress {
            request_id: id.clone(),
            attempt,
            seq,
            data: Bytes::from_static(data),
            content_type: content_type.to_owned(),
        })
    };
    match function_name.as_str() {
        "echo" => finish(sender, id, attempt, Ok, "", Some(input_payload)).await,
        "stream" => {
            let event = br#"{"type":"request.log","payload":{"message":"hi"}}"#;
            say(sender, chunk(1, "text/plain", b"one\ntwo")).await;
            say(sender, chunk(2, "application/json", b"{\n\"n\": 2}")).await;
            say(sender, chunk(3, "audio/pcm;rate=24000", &[1, 2, 3])).await;
            say(sender, chunk(4, "application/x-request-event+json", event)).await;
            finish(sender, id, attempt, Ok, "", None).await;
        }
        "audio" => {
            say(sender, chunk(1, "audio/pcm;rate=24000", &[1, 2, 3])).await;
            say(sender, chunk(2, "text/plain", b"between")).await;
            say(sender, chunk(3, "audio/pcm;rate=24000", &[4, 5])).await;
            finish(sender, id, attempt, Ok, "", None).await;
        }
        "invalid" => finish(sender, id, attempt, Invalid, "Expected `str`, got `int` - at `$.text`", None).await,
        "fatal" => finish(sender, id, attempt, Fatal, "Boom: it broke", None).await,
        "away" => finish(sender, id, attempt, Retryable, "upstream is away", None).await,
        "large" => {
            let output = [&[0x81, 0xa1, b'd', 0xc6, 0, 1, 0x86, 0xa0][..], &[7; 100_000]].concat();
            finish(sender, id, attempt, Ok, "", Some(output.into())).await;
        }
        "stored" => {
            let output = Some(pb::job_result::Output::BlobRef(format!("results/{id}.msgpack")));
            let result = pb::JobResult { request_id: id, attempt, status: Ok.into(), output, ..Default::default() };
            say(sender, up::Msg::JobResult(result)).await;
        }
        "odd" => finish(sender, id, attempt, Ok, "", Some(Bytes::from_static(&[0x81, 0x90, 1]))).await,
        // `hold` waits for its cancel.
        _ => {}
    }
}

async fn finish(
    sender: &mpsc::Sender<pb::WorkerMessage>,
    request_id: String,
    attempt: i64,
    status: pb::JobStatus,
    message: &str,
    output: Option<Bytes>,
) {
    let result = pb::JobResult {
        request_id,
        attempt,
        status: status.into(),
        safe_message: message.to_owned(),
        metrics: Some(pb::JobMetrics { runtime_ms: 1, ..Default::default() }),
        output: output.map(pb::job_result::Output::Inline),
    };
    say(sender, up::Msg::JobResult(result)).await;
}
