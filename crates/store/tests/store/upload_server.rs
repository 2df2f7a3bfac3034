//! A hub that takes uploads as a script says, and writes down what it was asked. Owns its listener and connections.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gen_worker_hub::client::{HubClient, HubClientOptions, HubTiming, PollPolicy, RetryPolicy, UploadTarget};
use gen_worker_store::{GrantOptions, Upload, UploadContent, UploadOptions, Uploader};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
};

/// What the server does with one request.
#[derive(Clone)]
pub enum Say {
    /// A status and a body.
    Json(u16, Value),
    /// Success, and a body of an S3 server.
    Xml(&'static str),
    /// A status with a header.
    With(u16, &'static str, &'static str),
    /// The end of the connection, before the body is read.
    Reset,
    /// Reads the request and says nothing more.
    Stall,
    /// A status before anything of the part is read, and a connection that stays open.
    Early(u16),
    /// Reads nothing of the part until the test allows it.
    Hold(Arc<Semaphore>),
    /// Reads the part, and takes it once the test allows it.
    Wait(Arc<Semaphore>),
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// Which connection, counted from 0.
    pub connection: usize,
}

#[derive(Default)]
struct Script {
    part_size: usize,
    answers: HashMap<String, Vec<Say>>,
    seen: Vec<Seen>,
    connections: usize,
}

pub struct Hub {
    pub base: String,
    script: Arc<Mutex<Script>>,
    arrived: Arc<Notify>,
    scope: Arc<Scope>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

impl Hub {
    /// A hub that wants parts of `part_size` bytes.
    pub async fn start(part_size: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script { part_size, ..Script::default() }));
        let (scope, arrived) = (Arc::new(Scope::new("upload-server")), Arc::new(Notify::new()));
        let (shared, notify, cancel) = (script.clone(), arrived.clone(), scope.cancel().clone());
        let own = base.clone();
        scope.spawn("accept", async move {
            let connections = Scope::under("connections", &cancel);
            while let Ok((socket, _)) = listener.accept().await {
                let (script, arrived, base) = (shared.clone(), notify.clone(), own.clone());
                let connection = {
                    let mut script = script.lock();
                    script.connections += 1;
                    script.connections - 1
                };
                connections.spawn("connection", async move {
                    drop(serve(socket, connection, &base, &script, &arrived).await);
                });
            }
        });
        Self { base, script, arrived, scope }
    }

    /// What happens to the next requests that begin with `line`, such as `PUT /part/1`; then they succeed.
    pub fn script(&self, line: &str, answers: impl IntoIterator<Item = Say>) {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        self.script.lock().answers.insert(line.to_owned(), answers);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.script.lock().seen.clone()
    }

    /// Requests whose line begins so.
    pub fn seen_of(&self, line: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.line.starts_with(line)).collect()
    }

    /// Waits until so many requests whose line begins so have come.
    pub async fn arrivals(&self, line: &str, count: usize) -> Vec<Seen> {
        loop {
            let arrived = self.arrived.notified();
            let seen = self.seen_of(line);
            if seen.len() >= count {
                return seen;
            }
            arrived.await;
        }
    }

    /// The contract's counts with waits that a test can take.
    pub fn options() -> UploadOptions {
        let short = Duration::from_millis(1);
        let quick = |policy| RetryPolicy { base: short, cap: short, ..policy };
        let grant = GrantOptions {
            retry: quick(RetryPolicy::GRANT),
            request_retry: quick(RetryPolicy::GRANT_REQUEST),
            part_bytes: 10,
            ..GrantOptions::default()
        };
        UploadOptions { part_retry: quick(RetryPolicy::PART), grant, ..UploadOptions::default() }
    }

    pub fn uploader(&self, options: UploadOptions) -> Uploader {
        Uploader::new(options, self.scope.clone()).unwrap()
    }

    pub fn client(&self) -> HubClient {
        let short = Duration::from_millis(1);
        let timing = HubTiming {
            complete_retry: RetryPolicy { base: short, cap: short, ..RetryPolicy::COMPLETE },
            complete_poll: PollPolicy { first: short, cap: short, limit: Duration::from_secs(600) },
            ..HubTiming::default()
        };
        let (token, owner) = (Some("tok-hush".parse().unwrap()), Some("acme".to_owned()));
        HubClient::new(HubClientOptions { base_url: self.base.clone(), token, owner, extra_roots: None, timing })
            .unwrap()
    }
}

/// An upload of `bytes` to the media of `acme`.
pub fn media(reference: &str, content: UploadContent) -> Upload {
    let place = gen_worker_hub::api::UploadPlace::media(reference).unwrap();
    Upload::new(UploadTarget::Media { owner: "acme".to_owned() }, place, content)
}

/// An upload of `bytes` to a session of `acme/model`.
pub fn revision(path: &str, content: UploadContent) -> Upload {
    let (repo, session) = ("acme/model".parse().unwrap(), "s1".parse().unwrap());
    let place = gen_worker_hub::api::UploadPlace::Path(path.parse().unwrap());
    Upload::new(UploadTarget::Revision { repo, session }, place, content)
}

async fn serve(
    mut socket: TcpStream,
    connection: usize,
    base: &str,
    script: &Mutex<Script>,
    arrived: &Notify,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let mut lines = head.lines();
        let line = lines.next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
        let headers: HashMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let say = {
            let mut script = script.lock();
            let answers = script.answers.iter_mut().find(|(start, _)| line.starts_with(start.as_str()));
            answers.and_then(|(_, answers)| answers.pop())
        };
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        if let Some(Say::Early(_) | Say::Hold(_)) = &say {
            let (line, headers) = (line.clone(), headers.clone());
            script.lock().seen.push(Seen { line, headers, body: Vec::new(), connection });
            arrived.notify_waiters();
        }
        match &say {
            Some(Say::Early(status)) => {
                answer(&mut socket, Say::Json(*status, json!({}))).await?;
                return std::future::pending().await;
            }
            Some(Say::Hold(go)) => go.acquire().await.unwrap().forget(),
            _ => {}
        }
        let reset = matches!(say, Some(Say::Reset));
        while !reset && buffer.len() < length {
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let body: Vec<u8> = buffer.drain(..length.min(buffer.len())).collect();
        let part_size = script.lock().part_size;
        let usual = usual(&line, &body, base, part_size);
        if !matches!(say, Some(Say::Hold(_))) {
            script.lock().seen.push(Seen { line, headers, body, connection });
            arrived.notify_waiters();
        }
        match say {
            None | Some(Say::Hold(_)) => answer(&mut socket, usual).await?,
            Some(Say::Reset) => return Ok(()),
            Some(Say::Stall) => {
                // Ends when the client has gone.
                while socket.read(&mut [0; 64]).await? > 0 {}
                return Ok(());
            }
            Some(Say::Wait(go)) => {
                go.acquire().await.unwrap().forget();
                answer(&mut socket, usual).await?;
            }
            Some(other) => answer(&mut socket, other).await?,
        }
    }
}

/// What an S3 server says of an upload in parts.
const BEGUN: &str = "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>m1</UploadId>\
                     </InitiateMultipartUploadResult>";
const FINISHED: &str = "<CompleteMultipartUploadResult><Location>l</Location><Bucket>b</Bucket><Key>k</Key>\
                        <ETag>tag</ETag></CompleteMultipartUploadResult>";

/// An upload to the object `dir/k 1` of the bucket `b`, at a server below a path.
fn granted(base: &str) -> Value {
    let grant = json!({
        "endpoint_url": format!("{base}/store/s3/"), "bucket": "b", "key": "dir/k 1", "access_key_id": "key-id",
        "secret_access_key": "hush-secret", "session_token": "hush-session",
    });
    json!({"upload_id": "u1", "transfer_grant": grant})
}

/// The answer of a hub that is well.
fn usual(line: &str, body: &[u8], base: &str, part_size: usize) -> Say {
    match line.split_once(' ').unwrap_or_default() {
        ("PUT", _) => Say::With(200, "ETag", "\"tag\""),
        ("DELETE", _) => Say::Json(200, json!({})),
        (_, path) if path.contains("?uploads") => Say::Xml(BEGUN),
        (_, path) if path.contains("?uploadId") => Say::Xml(FINISHED),
        (_, path) if path.ends_with("/complete") => Say::Json(200, json!({"sha256": "of the hub", "created": true})),
        (_, path) if path.starts_with("/api/v1/repos/") => Say::Json(200, granted(base)),
        _ => {
            let announced: Value = serde_json::from_slice(body).unwrap();
            let size = usize::try_from(announced["size_bytes"].as_u64().unwrap()).unwrap();
            let urls = (1..=size.div_ceil(part_size)).map(|part| format!("{base}/part/{part}?Signature=hush"));
            let urls: Vec<_> = urls.collect();
            let parts = urls.len();
            Say::Json(200, json!({"upload_id": "u1", "part_urls": urls, "part_size": part_size, "total_parts": parts}))
        }
    }
}

async fn answer(socket: &mut TcpStream, say: Say) -> std::io::Result<()> {
    let (status, header, body) = match say {
        Say::Json(status, body) => (status, String::new(), body.to_string()),
        Say::Xml(body) => (200, String::new(), body.to_owned()),
        Say::With(status, name, value) => (status, format!("{name}: {value}\r\n"), String::new()),
        Say::Reset | Say::Stall | Say::Early(_) | Say::Hold(_) | Say::Wait(_) => return Ok(()),
    };
    let head = format!("HTTP/1.1 {status} S\r\n{header}Content-Length: {}\r\n\r\n", body.len());
    socket.write_all(format!("{head}{body}").as_bytes()).await
}
