//! A hub of a few repositories on a real socket: it resolves, serves blobs, and lets addresses expire.

use std::{collections::BTreeMap, sync::Arc};

use gen_worker_hub::Blake3Hash;
use gen_worker_proto::pb;
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

#[derive(Default)]
struct Shelf {
    /// By what their resolve says after `/api/v1/repos/`.
    trees: BTreeMap<String, Vec<(String, Vec<u8>)>>,
    blobs: BTreeMap<String, Vec<u8>>,
    seen: Vec<String>,
    /// Addresses that were given so often are of no use any more, and the next ones are.
    expired: usize,
    resolves: usize,
    /// What lets a blob through, by its hash.
    gates: BTreeMap<String, Arc<Notify>>,
    /// Blobs with gates that were asked for.
    held: Vec<String>,
}

pub(super) struct Site {
    pub(super) base: String,
    shelf: Arc<Mutex<Shelf>>,
    arrived: Arc<Notify>,
    _scope: Scope,
}

impl Site {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let (shelf, arrived, scope) = (Arc::<Mutex<Shelf>>::default(), Arc::<Notify>::default(), Scope::new("site"));
        let (served, own, connections) = (shelf.clone(), base.clone(), Scope::under("site", scope.cancel()));
        let notify = arrived.clone();
        scope.spawn("site", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shelf, base, arrived) = (served.clone(), own.clone(), notify.clone());
                connections.spawn("connection", async move { serve(stream, &shelf, &base, &arrived).await });
            }
        });
        Self { base, shelf, arrived, _scope: scope }
    }

    /// Says what a resolve of `query` gives, such as `o/r/resolve?tag=prod`. Gives the same as the orchestrator would send it.
    pub(super) fn put(&self, query: &str, files: &[(&str, &[u8])]) -> pb::Snapshot {
        let mut shelf = self.shelf.lock();
        let mut entries = Vec::new();
        for (path, bytes) in files {
            let hash = Blake3Hash::of(bytes).to_string();
            shelf.blobs.insert(hash.clone(), bytes.to_vec());
            let url = format!("{}/blobs/{hash}?of=snapshot", self.base);
            let size_bytes = i64::try_from(bytes.len()).expect("small");
            entries.push(pb::SnapshotFile { path: (*path).to_owned(), size_bytes, blake3: hash, url });
        }
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
        let digest = id(&files);
        shelf.trees.insert(query.to_owned(), files);
        pb::Snapshot { digest, files: entries }
    }

    /// The addresses of the first `resolves` resolves have expired.
    pub(super) fn expire(&self, resolves: usize) {
        self.shelf.lock().expired = resolves;
    }

    /// The blob of these bytes comes only once the test says so.
    pub(super) fn hold(&self, bytes: &[u8]) {
        self.shelf.lock().gates.insert(Blake3Hash::of(bytes).to_string(), Arc::default());
    }

    /// Waits until so many of these blobs were asked for. All that were, by their hashes.
    pub(super) async fn held(&self, count: usize) -> Vec<String> {
        loop {
            let held = self.shelf.lock().held.clone();
            if held.len() >= count {
                return held;
            }
            self.arrived.notified().await;
        }
    }

    /// Lets one of them come.
    pub(super) fn let_go(&self, hash: &str) {
        self.shelf.lock().gates[hash].notify_one();
    }

    /// Paths that were asked for since the last call.
    pub(super) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.shelf.lock().seen)
    }
}

/// What the tree of these files is called.
fn id(files: &Vec<(String, Vec<u8>)>) -> String {
    Blake3Hash::of(format!("{files:?}").as_bytes()).to_string()
}

async fn serve(stream: TcpStream, shelf: &Mutex<Shelf>, base: &str, arrived: &Notify) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut header) = (String::new(), String::new());
        if stream.read_line(&mut line).await.is_ok_and(|read| read == 0) {
            return;
        }
        while header != "\r\n" {
            header.clear();
            if stream.read_line(&mut header).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let gate = asked(&mut shelf.lock(), &path);
        if let Some(gate) = gate {
            arrived.notify_one();
            gate.notified().await;
        }
        let (status, body) = answer(&mut shelf.lock(), base, &path);
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
            return;
        }
    }
}

/// What a request for `path` has to wait for.
fn asked(shelf: &mut Shelf, path: &str) -> Option<Arc<Notify>> {
    let (hash, _) = path.strip_prefix("/blobs/")?.split_once('?')?;
    let gate = shelf.gates.get(hash)?.clone();
    shelf.held.push(hash.to_owned());
    Some(gate)
}

fn answer(shelf: &mut Shelf, base: &str, path: &str) -> (u16, Vec<u8>) {
    shelf.seen.push(path.to_owned());
    if let Some(query) = path.strip_prefix("/api/v1/repos/") {
        let Some(files) = shelf.trees.get(query) else { return (404, Vec::new()) };
        shelf.resolves += 1;
        let entry = |(path, bytes): &(String, Vec<u8>)| {
            let hash = Blake3Hash::of(bytes).to_string();
            let url = format!("{base}/blobs/{hash}?of={}", shelf.resolves);
            json!({"path": path, "size_bytes": bytes.len(), "blake3": hash, "url": url})
        };
        let files_listed: Vec<_> = files.iter().map(entry).collect();
        let body = json!({"snapshot_digest": id(files), "files": files_listed});
        return (200, body.to_string().into_bytes());
    }
    let blob = path.strip_prefix("/blobs/").and_then(|rest| rest.split_once("?of="));
    let Some((hash, resolve)) = blob else { return (404, Vec::new()) };
    if resolve.parse().is_ok_and(|resolve: usize| resolve <= shelf.expired) {
        return (403, Vec::new());
    }
    shelf.blobs.get(hash).map_or((404, Vec::new()), |bytes| (200, bytes.clone()))
}
