//! A server with a script: one answer for each connection, byte by byte where that matters. It writes down what it was asked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gen_worker_hub::client::{HubClient, HubClientOptions, HubTiming, PollPolicy, RetryPolicy};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;

/// A connection, plain or not.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A whole answer.
    Json(u16, Value),
    /// The same with one more header.
    With(u16, &'static str, &'static str),
    /// These bytes, whatever they are, and the end of the connection.
    Raw(Vec<u8>),
    /// The end of the connection.
    Hangup,
    /// These bytes, and then nothing more for ever.
    Stall(Vec<u8>),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Server {
    pub(crate) base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Told when a stall has begun.
    pub(crate) stalled: Arc<Notify>,
    _scope: Scope,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Server {
    /// Gives `script` in order; its last answer to everything after.
    pub(crate) async fn start(script: Vec<Answer>) -> Self {
        Self::listen(script, None).await
    }

    /// The same behind TLS, as `localhost`.
    pub(crate) async fn start_tls(script: Vec<Answer>, acceptor: TlsAcceptor) -> Self {
        Self::listen(script, Some(acceptor)).await
    }

    async fn listen(script: Vec<Answer>, acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let base = match acceptor {
            Some(_) => format!("https://localhost:{port}"),
            None => format!("http://127.0.0.1:{port}"),
        };
        let (seen, stalled) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let scope = Scope::new("scripted server");
        let (log, told) = (seen.clone(), stalled.clone());
        scope.spawn("accept", async move {
            let mut held = Vec::new();
            let mut script = script.into_iter();
            let mut last = Answer::Hangup;
            while let Ok((stream, _)) = listener.accept().await {
                let stream: Box<dyn Connection> = match &acceptor {
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => Box::new(stream),
                        // A client that trusts nobody here.
                        Err(_) => continue,
                    },
                    None => Box::new(stream),
                };
                let mut stream = BufReader::new(stream);
                let Some(request) = read(&mut stream).await else { continue };
                log.lock().push(request);
                last = script.next().unwrap_or(last);
                if answer(&mut stream, &last).await {
                    told.notify_one();
                    held.push(stream);
                }
            }
        });
        Self { base, seen, stalled, _scope: scope }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|request| request.line).collect()
    }

    pub(crate) fn options(&self) -> HubClientOptions {
        HubClientOptions {
            base_url: self.base.clone(),
            token: Some("tok-hush".parse().unwrap()),
            owner: Some("acme".into()),
            timing: quick(),
            ..HubClientOptions::default()
        }
    }

    pub(crate) fn client(&self) -> HubClient {
        HubClient::new(self.options()).unwrap()
    }
}

/// The contract's counts with waits that a test can take. What waits are is tested without a network.
pub(crate) fn quick() -> HubTiming {
    let short = Duration::from_millis(1);
    let retry = RetryPolicy { base: short, cap: short, retry_after_max: short, ..RetryPolicy::CONTROL };
    let poll = PollPolicy { first: short, cap: short, limit: Duration::from_secs(600) };
    HubTiming {
        control_retry: retry,
        complete_retry: RetryPolicy { base: short, cap: short, ..RetryPolicy::COMPLETE },
        complete_poll: poll,
        commit_complete_poll: poll,
        commit_complete_lost: short,
        finalize_poll: poll,
        ..HubTiming::default()
    }
}

/// The bytes of an answer.
pub(crate) fn http(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Word\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

async fn read(stream: &mut BufReader<Box<dyn Connection>>) -> Option<Seen> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length: &String| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { line, headers, body })
}

/// Whether the connection has to be held open. What the client does with it is the client's business.
async fn answer(stream: &mut BufReader<Box<dyn Connection>>, answer: &Answer) -> bool {
    let bytes = match answer {
        Answer::Json(status, body) => http(*status, "", body.to_string().as_bytes()),
        Answer::With(status, name, value) => http(*status, &format!("{name}: {value}\r\n"), b""),
        Answer::Raw(bytes) | Answer::Stall(bytes) => bytes.clone(),
        Answer::Hangup => Vec::new(),
    };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.flush().await;
    if !matches!(answer, Answer::Stall(_)) {
        let _ = stream.shutdown().await;
    }
    matches!(answer, Answer::Stall(_))
}
