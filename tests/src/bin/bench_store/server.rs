//! A server of files that costs as little as possible: the kernel moves the bytes. It knows what it has sent.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result};
use gen_worker_tasks::Scope;
use tokio::net::TcpListener;

/// The query that asks for a file in chunks of one byte.
pub const CRUMBS: &str = "crumbs";

/// The query that asks for a file in copies, as servers send what they made themselves or encrypt.
pub const COPIED: &str = "copied";

/// Bytes that are given to the kernel at once.
const STEP_BYTES: usize = 64 * 1024;

/// Gives the files of one directory.
pub struct Server {
    base: String,
    port: u16,
    seen: Arc<Seen>,
    _scope: Scope,
}

/// Of the last file that was asked for whole, and then for the rest of it.
#[derive(Default)]
struct Seen {
    /// Bytes that the kernel took of the whole.
    sent: AtomicU64,
    /// Where the rest began; 0 when it was not asked for.
    resumed_at: AtomicU64,
}

impl Server {
    pub async fn start(dir: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (base, scope, dir) = (format!("http://{address}"), Scope::new("server"), Arc::new(dir));
        let seen = Arc::new(Seen::default());
        let watched = Arc::clone(&seen);
        let cancel = scope.cancel().clone();
        scope.spawn("accept", async move {
            let connections = Scope::under("connections", &cancel);
            while let Ok((socket, _)) = listener.accept().await {
                let Ok(socket) = socket.into_std() else { continue };
                let (dir, seen) = (Arc::clone(&dir), Arc::clone(&watched));
                // A client that goes away ends its connection.
                connections.spawn_blocking(move || drop(serve(&socket, &dir, &seen)));
            }
        });
        Ok(Self { base, port: address.port(), seen, _scope: scope })
    }

    /// Where the file `name` is, sent as `query` asks for.
    pub fn url(&self, name: &str, query: &str) -> String {
        format!("{}/{name}?{query}", self.base)
    }

    /// Bytes that a client may have taken of the one file that it asked for: what was sent, without what the kernel still holds.
    pub fn taken(&self) -> Result<u64> {
        // Of the step that is under way nobody knows how much was sent.
        let sent = self.seen.sent.load(Ordering::Relaxed) + STEP_BYTES as u64;
        Ok(sent.saturating_sub(queued(&fs::read_to_string("/proc/net/tcp")?, self.port)?))
    }

    /// Where the last rest of a file began.
    pub fn resumed_at(&self) -> Option<u64> {
        Some(self.seen.resumed_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }
}

/// Bytes in the kernel's buffers on their way from `port`, on either side, by the table of all connections.
fn queued(table: &str, port: u16) -> Result<u64> {
    let port = format!(":{port:04X}");
    let mut bytes = 0;
    for line in table.lines().skip(1) {
        let mut words = line.split_whitespace().skip(1);
        let (Some(local), Some(remote), _, Some(queues)) = (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let (to_send, to_read) = queues.split_once(':').context("no queues")?;
        if local.ends_with(&port) {
            bytes += u64::from_str_radix(to_send, 16)?;
        } else if remote.ends_with(&port) {
            bytes += u64::from_str_radix(to_read, 16)?;
        }
    }
    Ok(bytes)
}

fn serve(socket: &TcpStream, dir: &Path, seen: &Seen) -> Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    let mut requests = BufReader::new(socket);
    loop {
        let mut first = String::new();
        if requests.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let (mut line, mut from) = (String::new(), 0);
        while requests.read_line(&mut line)? > 2 {
            if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                from = range.trim_end().trim_end_matches('-').parse()?;
            }
            line.clear();
        }
        let target = first.split(' ').nth(1).context("no target")?.trim_start_matches('/');
        let (name, query) = target.split_once('?').unwrap_or((target, ""));
        let mut file = File::open(dir.join(name))?;
        match query {
            CRUMBS => crumbs(&file, socket)?,
            _ => send(&mut file, from, query == COPIED, socket, seen)?,
        }
    }
}

fn send(file: &mut File, from: u64, copied: bool, mut socket: &TcpStream, seen: &Seen) -> Result<()> {
    let bytes = file.metadata()?.len();
    if from == 0 {
        write!(socket, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n")?;
        seen.sent.store(0, Ordering::Relaxed);
    } else {
        let (last, rest) = (bytes.saturating_sub(1), bytes.saturating_sub(from));
        let range = format!("Content-Range: bytes {from}-{last}/{bytes}");
        write!(socket, "HTTP/1.1 206 Partial Content\r\n{range}\r\nContent-Length: {rest}\r\n\r\n")?;
        seen.resumed_at.store(from, Ordering::Relaxed);
        file.seek(SeekFrom::Start(from))?;
    }
    let mut copy = vec![0; if copied { STEP_BYTES } else { 0 }];
    loop {
        let sent = if copied {
            let read = file.read(&mut copy)?;
            socket.write_all(copy.get(..read).context("more was read than fits")?)?;
            read
        } else {
            rustix::fs::sendfile(socket, &*file, None, STEP_BYTES)?
        };
        if sent == 0 {
            return Ok(());
        }
        if from == 0 {
            seen.sent.fetch_add(sent as u64, Ordering::Relaxed);
        }
    }
}

fn crumbs(file: &File, socket: &TcpStream) -> Result<()> {
    let mut socket = BufWriter::with_capacity(1 << 20, socket);
    socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for byte in BufReader::new(file).bytes() {
        socket.write_all(&[b'1', b'\r', b'\n', byte?, b'\r', b'\n'])?;
    }
    socket.write_all(b"0\r\n\r\n")?;
    Ok(socket.flush()?)
}
