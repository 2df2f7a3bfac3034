//! A web server with one file: where presigned URLs and uploads lead.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result};
use gen_worker_tasks::Scope;
use parking_lot::{Condvar, Mutex};

/// Gives the same bytes whatever is asked for, or a status. Ends with its guard.
#[derive(Debug)]
pub struct Files {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    content: Vec<u8>,
    status: AtomicU16,
    asked: AtomicUsize,
    ended: AtomicBool,
    held: Mutex<bool>,
    let_go: Condvar,
}

impl Files {
    /// Serves `content` on a free local port.
    ///
    /// # Errors
    /// When no port or thread is to be had.
    pub fn serve(content: &[u8]) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("bind the file server")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            content: content.to_owned(),
            status: AtomicU16::new(200),
            asked: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            held: Mutex::new(false),
            let_go: Condvar::new(),
        });
        let served = shared.clone();
        Scope::new("files").spawn_thread("accept", move || {
            while let Ok((client, _)) = listener.accept() {
                if served.ended.load(Ordering::SeqCst) {
                    return;
                }
                // Whoever goes away before it has everything does not want it.
                drop(answer(&client, &served));
            }
        })?;
        Ok(Self { address, shared })
    }

    /// Where the file is, and everything else.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers with this status from here on; the file comes with 200 alone.
    pub fn set_status(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Whether those who ask have to wait.
    pub fn set_held(&self, held: bool) {
        *self.shared.held.lock() = held;
        self.shared.let_go.notify_all();
    }

    /// How often it was asked for.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.set_held(false);
        // Wakes the listener, so that it sees the end.
        drop(TcpStream::connect(self.address));
    }
}

/// Answers one request, and closes the connection.
fn answer(client: &TcpStream, shared: &Shared) -> Result<()> {
    let mut reader = BufReader::new(client);
    let mut body = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(length) = line.strip_prefix("content-length:") {
            body = length.trim().parse()?;
        }
    }
    // A connection that is closed with something left to read takes the answer with it.
    io::copy(&mut reader.take(body), &mut io::sink())?;
    shared.asked.fetch_add(1, Ordering::SeqCst);
    shared.let_go.wait_while(&mut shared.held.lock(), |held| *held);
    let status = shared.status.load(Ordering::SeqCst);
    let content = if status == 200 { shared.content.as_slice() } else { b"" };
    let head = format!("HTTP/1.1 {status} As Told\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", content.len());
    let mut client = client;
    client.write_all(head.as_bytes())?;
    client.write_all(content)?;
    Ok(())
}
