//! A server that does what a script says. Owns its listener and connections, gone with it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// How long requests that have to come may take: a bound on a test that hangs.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(60);

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The file, or the range of it that was asked for.
    File,
    /// All of the file whatever was asked for.
    Whole,
    /// A status and nothing else.
    Status(u16),
    /// The right length and the first so many bytes, then the connection ends.
    Cut(usize),
    /// The right length and the first so many bytes, then nothing more until the client goes.
    Stall(usize),
    /// These bytes with their own length.
    Bytes(Vec<u8>),
    /// These bytes without a length: the end of the connection is the end.
    Unframed(Vec<u8>),
    /// The file in chunks of one byte.
    Crumbs,
    /// A 206 with this range and all of the file.
    Range(String),
    /// Waits for the test before it gives the file.
    Wait(Arc<Notify>),
    /// The first so many bytes; then it waits for the test before it gives the rest.
    Halt(usize, Arc<Notify>),
    /// As [`Answer::File`], of a file in which one bit of this byte is the other one.
    Flip(usize),
    /// These bytes with their own length, and the word that they are packed.
    Gzip(Vec<u8>),
    /// To another path.
    Redirect(String),
}

/// A request that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub path: String,
    pub range: Option<String>,
}

#[derive(Default)]
struct Script {
    files: HashMap<String, Vec<u8>>,
    answers: HashMap<String, Vec<Answer>>,
    seen: Vec<Seen>,
}

pub struct Server {
    pub base: String,
    script: Arc<Mutex<Script>>,
    arrived: Arc<Notify>,
    _scope: Scope,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (scope, script, arrived) = (Scope::new("server"), Arc::<Mutex<Script>>::default(), Arc::new(Notify::new()));
        let (cancel, shared, notify) = (scope.cancel().clone(), Arc::clone(&script), Arc::clone(&arrived));
        scope.spawn("accept", async move {
            let connections = Scope::under("connections", &cancel);
            while let Ok((socket, _)) = listener.accept().await {
                let (script, arrived) = (Arc::clone(&shared), Arc::clone(&notify));
                connections.spawn("connection", async move { drop(serve(socket, script, arrived).await) });
            }
        });
        Self { base, script, arrived, _scope: scope }
    }

    /// Gives `bytes` at `/<name>`.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.script.lock().files.insert(name.to_owned(), bytes.to_vec());
    }

    /// What happens to the next requests for `/<name>`; then the file is given.
    pub fn script(&self, name: &str, answers: impl IntoIterator<Item = Answer>) {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        self.script.lock().answers.insert(name.to_owned(), answers);
    }

    /// Requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.script.lock().seen.clone()
    }

    /// The ranges that were asked for, empty where none was.
    pub fn ranges(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.range.unwrap_or_default()).collect()
    }

    /// Waits for the next request.
    pub async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Waits until so many requests have come, and gives all.
    pub async fn arrivals(&self, count: usize) -> Vec<Seen> {
        let all = async {
            while self.seen().len() < count {
                self.arrived.notified().await;
            }
        };
        let came = tokio::time::timeout(ARRIVAL_LIMIT, all).await.is_ok();
        assert!(came, "{} of {count} requests came", self.seen().len());
        self.seen()
    }
}

async fn serve(mut socket: TcpStream, script: Arc<Mutex<Script>>, arrived: Arc<Notify>) -> std::io::Result<()> {
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
        let path = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
        let name = path.split('?').next().unwrap_or_default().to_owned();
        let range = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: ").map(str::to_owned));
        let (answer, file) = {
            let mut script = script.lock();
            script.seen.push(Seen { path: name.clone(), range: range.clone() });
            let answer = script.answers.get_mut(&name).and_then(Vec::pop).unwrap_or(Answer::File);
            (answer, script.files.get(&name).cloned().unwrap_or_default())
        };
        arrived.notify_one();
        if !reply(&mut socket, answer, &file, range.as_deref()).await? {
            return Ok(());
        }
    }
}

/// Answers; false when the connection ends with it.
async fn reply(socket: &mut TcpStream, answer: Answer, file: &[u8], range: Option<&str>) -> std::io::Result<bool> {
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let from = from.filter(|from| *from < file.len());
    match answer {
        Answer::File => partial(socket, file, from, file.len()).await?,
        Answer::Wait(go) => {
            go.notified().await;
            partial(socket, file, from, file.len()).await?;
        }
        Answer::Halt(bytes, go) => {
            partial(socket, file, from, bytes).await?;
            go.notified().await;
            socket.write_all(&file[from.unwrap_or(0)..][bytes..]).await?;
        }
        Answer::Flip(at) => {
            let mut flipped = file.to_vec();
            flipped[at] ^= 1;
            partial(socket, &flipped, from, file.len()).await?;
        }
        Answer::Gzip(bytes) => {
            head(socket, 200, &[("Content-Encoding", "gzip".into())], Some(bytes.len())).await?;
            socket.write_all(&bytes).await?;
        }
        Answer::Whole => partial(socket, file, None, file.len()).await?,
        Answer::Status(status) => head(socket, status, &[], Some(0)).await?,
        Answer::Bytes(bytes) => partial(socket, &bytes, None, bytes.len()).await?,
        Answer::Redirect(to) => head(socket, 302, &[("Location", to)], Some(0)).await?,
        Answer::Range(range) => {
            head(socket, 206, &[("Content-Range", range)], Some(file.len())).await?;
            socket.write_all(file).await?;
        }
        Answer::Unframed(bytes) => {
            head(socket, 200, &[("Connection", "close".into())], None).await?;
            socket.write_all(&bytes).await?;
            return Ok(false);
        }
        Answer::Crumbs => {
            head(socket, 200, &[("Transfer-Encoding", "chunked".into())], None).await?;
            for crumbs in file.chunks(64 * 1024) {
                let chunks: Vec<u8> =
                    crumbs.iter().flat_map(|byte| [b'1', b'\r', b'\n', *byte, b'\r', b'\n']).collect();
                socket.write_all(&chunks).await?;
            }
            socket.write_all(b"0\r\n\r\n").await?;
        }
        Answer::Cut(bytes) => {
            partial(socket, file, from, bytes).await?;
            return Ok(false);
        }
        Answer::Stall(bytes) => {
            partial(socket, file, from, bytes).await?;
            // Ends when the client has gone.
            while socket.read(&mut [0; 64]).await? > 0 {}
            return Ok(false);
        }
    }
    Ok(true)
}

async fn partial(socket: &mut TcpStream, file: &[u8], from: Option<usize>, bytes: usize) -> std::io::Result<()> {
    let body = &file[from.unwrap_or(0)..];
    match from {
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", file.len() - 1, file.len());
            head(socket, 206, &[("Content-Range", range)], Some(body.len())).await?;
        }
        None => head(socket, 200, &[], Some(body.len())).await?,
    }
    socket.write_all(&body[..bytes.min(body.len())]).await
}

async fn head(
    socket: &mut TcpStream,
    status: u16,
    headers: &[(&str, String)],
    length: Option<usize>,
) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} S\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        text.push_str(&format!("Content-Length: {length}\r\n"));
    }
    socket.write_all(format!("{text}\r\n").as_bytes()).await
}
