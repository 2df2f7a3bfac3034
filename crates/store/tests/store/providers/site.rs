//! A provider that says what a test wants: documents, headers and files by path. Owns its listener and connections.

use std::{collections::HashMap, sync::Arc};

use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What is answered.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Bytes of the body after which the connection ends.
    cut: Option<usize>,
    /// Whether it stays open then, and nothing more comes.
    stalls: bool,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub authorization: Option<String>,
    pub range: Option<String>,
}

#[derive(Default)]
struct Pages {
    replies: HashMap<String, Vec<Reply>>,
    asked: Vec<Asked>,
}

pub struct Site {
    pub base: String,
    pages: Arc<Mutex<Pages>>,
    _scope: Scope,
}

impl Reply {
    pub fn bytes(body: &[u8]) -> Self {
        Self { status: 200, body: body.to_vec(), ..Self::default() }
    }

    pub fn json(value: &Value) -> Self {
        Self::bytes(value.to_string().as_bytes())
    }

    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn redirect(to: &str) -> Self {
        Self::status(302).header("Location", to)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn stall(self, at: usize) -> Self {
        Self { cut: Some(at), stalls: true, ..self }
    }

    pub fn cut(self, at: usize) -> Self {
        Self { cut: Some(at), ..self }
    }
}

impl Site {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (scope, pages) = (Scope::new("site"), Arc::<Mutex<Pages>>::default());
        let (cancel, shared) = (scope.cancel().clone(), Arc::clone(&pages));
        scope.spawn("accept", async move {
            let connections = Scope::under("connections", &cancel);
            while let Ok((socket, _)) = listener.accept().await {
                let pages = Arc::clone(&shared);
                connections.spawn("connection", async move { drop(serve(socket, pages).await) });
            }
        });
        Self { base, pages, _scope: scope }
    }

    /// What is answered at `target`: a path, or a path with a query. Of several replies the last one stays.
    pub fn on(&self, target: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut replies: Vec<_> = replies.into_iter().collect();
        replies.reverse();
        self.pages.lock().replies.insert(target.to_owned(), replies);
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.pages.lock().asked)
    }

    /// Only the targets.
    pub fn targets(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.target).collect()
    }
}

async fn serve(mut socket: TcpStream, pages: Arc<Mutex<Pages>>) -> std::io::Result<()> {
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
        let value = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
            line.split_once(": ").map(|(_, value)| value.to_owned())
        };
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
        let asked = Asked { method, target, authorization: value("authorization:"), range: value("range:") };
        let reply = answer(&mut pages.lock(), &asked);
        pages.lock().asked.push(asked.clone());
        if !send(&mut socket, reply, &asked).await? {
            return Ok(());
        }
    }
}

fn answer(pages: &mut Pages, asked: &Asked) -> Reply {
    let path = asked.target.split('?').next().unwrap_or("").to_owned();
    let key = if pages.replies.contains_key(&asked.target) { asked.target.clone() } else { path };
    match pages.replies.get_mut(&key) {
        Some(replies) if replies.len() > 1 => replies.pop().unwrap_or_default(),
        Some(replies) => replies.last().cloned().unwrap_or_else(|| Reply::status(404)),
        None => Reply::status(404),
    }
}

/// False when the connection ends with it.
async fn send(socket: &mut TcpStream, reply: Reply, asked: &Asked) -> std::io::Result<bool> {
    let Reply { mut status, headers, body, cut, stalls } = reply;
    let range = asked.range.as_deref().filter(|_| status == 200).and_then(|range| range.strip_prefix("bytes="));
    let mut text = String::new();
    let mut part = body.as_slice();
    if let Some((from, to)) = range.and_then(|range| range.split_once('-')) {
        let from: usize = from.parse().unwrap_or(0).min(body.len());
        let to = to.parse().map_or(body.len(), |last: usize| (last + 1).min(body.len()));
        status = 206;
        part = &body[from..to];
        text.push_str(&format!("Content-Range: bytes {from}-{}/{}\r\n", to.max(1) - 1, body.len()));
    }
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        text.push_str(&format!("Content-Length: {}\r\n", part.len()));
    }
    let mut whole = format!("HTTP/1.1 {status} S\r\n{text}\r\n").into_bytes();
    if asked.method != "HEAD" {
        whole.extend(&part[..cut.unwrap_or(part.len()).min(part.len())]);
    }
    // At once: two small writes would wait for each other.
    socket.write_all(&whole).await?;
    // Ends when the client has gone.
    while stalls && socket.read(&mut [0; 64]).await? > 0 {}
    Ok(cut.is_none())
}
