//! A hub of public models of one file each, which comes to its middle and then waits for the test.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use anyhow::{Context, Result};
use gen_worker_tasks::Scope;
use parking_lot::{Condvar, Mutex};
use serde_json::json;

use crate::eventually;

/// Resolves its models and gives their files. Ends with its guard.
#[derive(Debug)]
pub struct Gated {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The file of each model, by `owner/repo`.
    models: BTreeMap<String, Vec<u8>>,
    asked: Mutex<Vec<String>>,
    open: Mutex<BTreeSet<String>>,
    opened: Condvar,
    ended: AtomicBool,
}

impl Gated {
    /// Serves these models, called `owner/repo`, on a free local port. Each has one file called `text`.
    ///
    /// # Errors
    /// When no port or thread is to be had.
    pub fn serve(models: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("bind the hub")?;
        let address = listener.local_addr()?;
        let (models, asked, open) = (models.into_iter().collect(), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { models, asked, open, opened: Condvar::new(), ended: AtomicBool::new(false) });
        let served = shared.clone();
        let scope = Arc::new(Scope::new("gated"));
        let connections = scope.clone();
        scope.spawn_thread("accept", move || {
            while let Ok((client, _)) = listener.accept() {
                if served.ended.load(SeqCst) {
                    return;
                }
                let served = served.clone();
                // Whoever goes away before it has everything does not want it.
                let answered = connections.spawn_thread("answer", move || drop(answer(&client, address, &served)));
                if answered.is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { address, shared })
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Models whose files were asked for, in this order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().clone()
    }

    /// Waits until so many files were asked for.
    ///
    /// # Errors
    /// When they are not.
    pub fn asked_for(&self, count: usize) -> Result<Vec<String>> {
        eventually(&format!("{count} files to be asked for"), || {
            Some(self.asked()).filter(|asked| asked.len() >= count)
        })
    }

    /// The file of `model` comes to its end, now and from here on.
    pub fn open(&self, model: &str) {
        self.shared.open.lock().insert(model.to_owned());
        self.shared.opened.notify_all();
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        self.shared.ended.store(true, SeqCst);
        self.shared.models.keys().for_each(|model| self.open(model));
        // Wakes the listener, so that it sees the end.
        drop(TcpStream::connect(self.address));
    }
}

/// Answers one request, and closes the connection.
fn answer(client: &TcpStream, address: SocketAddr, shared: &Shared) -> Result<()> {
    let mut lines = BufReader::new(client).lines();
    let first = lines.next().context("a request")??;
    while !lines.next().context("a header")??.is_empty() {}
    let path = first.split(' ').nth(1).unwrap_or_default();
    let mut client = client;
    let mut head = |status, length: usize| {
        let head = format!("HTTP/1.1 {status} As Told\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        client.write_all(head.as_bytes())
    };
    let resolved = path.strip_prefix("/api/v1/repos/").and_then(|rest| rest.split_once("/resolve"));
    let model = resolved.map(|(model, _)| model).or(path.strip_prefix("/blobs/")).unwrap_or_default();
    let Some(content) = shared.models.get(model) else { return Ok(head(404, 0)?) };
    if resolved.is_some() {
        let hash = blake3::hash(content).to_string();
        let url = format!("http://{address}/blobs/{model}");
        let file = json!({"path": "text", "size_bytes": content.len(), "blake3": hash, "url": url});
        let body = json!({"snapshot_digest": hash, "files": [file]}).to_string();
        head(200, body.len())?;
        return Ok(client.write_all(body.as_bytes())?);
    }
    let (first, rest) = content.split_at(content.len() / 2);
    head(200, content.len())?;
    client.write_all(first)?;
    shared.asked.lock().push(model.to_owned());
    shared.opened.wait_while(&mut shared.open.lock(), |open| !open.contains(model));
    Ok(client.write_all(rest)?)
}
