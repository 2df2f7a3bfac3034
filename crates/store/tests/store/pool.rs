//! A store in a directory of its own, a server beside it, and what the tests look at.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gen_worker_hub::{Blake3Hash, api::Resolved};
use gen_worker_store::{
    DiskSpace, FetchError, FormatGate, HeldModel, Layout, Progress, Store, StoreObserver, StoreOptions,
    TransferOptions, Transferred,
};
use gen_worker_tasks::Cancel;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use crate::server::Server;

pub struct Place {
    pub dir: tempfile::TempDir,
    pub server: Server,
    pub events: Arc<Events>,
    budget: Option<u64>,
}

/// What observers were told.
#[derive(Default)]
pub struct Events {
    said: Mutex<Vec<String>>,
    changed: Notify,
}

impl StoreObserver for Events {
    fn on_disk(&self, reference: &str) {
        self.said.lock().push(format!("+{reference}"));
    }

    fn evicted(&self, reference: &str) {
        self.said.lock().push(format!("-{reference}"));
    }
}

impl Events {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.said.lock())
    }

    /// Waits for the next step of a transfer that is told to this.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Progress for Events {
    fn transferred(&self, _so_far: Transferred) {
        self.changed.notify_one();
    }
}

#[derive(Default)]
pub struct Heard(pub Mutex<Vec<Transferred>>);

impl Progress for Heard {
    fn transferred(&self, so_far: Transferred) {
        self.0.lock().push(so_far);
    }
}

impl Heard {
    pub fn done(&self) -> Vec<u64> {
        self.0.lock().iter().map(|so_far| so_far.bytes_done).collect()
    }
}

/// A disk with so many bytes, of which the blobs take theirs.
pub struct Budget(pub u64);

impl DiskSpace for Budget {
    fn available_bytes(&self, root: &Path) -> std::io::Result<u64> {
        let used: u64 = files(&root.join("blobs")).into_values().map(|bytes| bytes.len() as u64).sum();
        Ok(self.0.saturating_sub(used))
    }
}

impl Place {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, server: Server::start().await, events: Arc::default(), budget: None }
    }

    pub async fn with_budget(bytes: u64) -> Self {
        Self { budget: Some(bytes), ..Self::new().await }
    }

    pub fn options(&self) -> StoreOptions {
        let wait = Duration::from_millis(1);
        let transfer = TransferOptions { wait_unit: wait, wait_longest: wait, ..TransferOptions::default() };
        let observer = Arc::clone(&self.events) as Arc<dyn StoreObserver>;
        let mut options = StoreOptions { transfer, observer, ..StoreOptions::new(self.dir.path()) };
        if let Some(bytes) = self.budget {
            options = StoreOptions { space: Arc::new(Budget(bytes)), headroom_bytes: 0, reserve_bytes: 0, ..options };
        }
        options
    }

    pub async fn store(&self) -> Store {
        Store::open(self.options(), &Cancel::new()).await.unwrap()
    }

    pub fn layout(&self) -> Layout {
        Layout::new(self.dir.path())
    }

    /// A tree called `id` of these files, which the server gives.
    pub fn tree(&self, id: &str, files: &[(&str, &[u8])]) -> Resolved {
        let entries: Vec<_> = files
            .iter()
            .map(|(path, bytes)| {
                let hash = Blake3Hash::of(bytes).to_string();
                self.server.put(&hash, bytes);
                let url = format!("{}/{hash}?signature=hush", self.server.base);
                json!({"path": path, "size_bytes": bytes.len(), "blake3": hash, "url": url})
            })
            .collect();
        Resolved::from_snapshot(&json!({"snapshot_digest": id, "files": entries})).unwrap()
    }

    /// A tree of one file.
    pub fn one(&self, bytes: &[u8]) -> Resolved {
        self.tree("one", &[("file", bytes)])
    }

    /// Nothing unfinished is in a final place, and nothing is on its way.
    pub fn assert_sound(&self) {
        assert_sound(&self.layout());
    }
}

/// Blobs have their hashes, no tree has another name, and nothing is on its way out.
pub fn assert_sound(layout: &Layout) {
    assert_verified(layout);
    for entry in fs::read_dir(layout.snapshots()).unwrap() {
        assert!(!entry.unwrap().file_name().to_str().unwrap().contains(".building."));
    }
    assert_eq!(fs::read_dir(layout.leaving()).unwrap().count(), 0);
}

/// Blobs have their hashes: true at any moment.
pub fn assert_verified(layout: &Layout) {
    for (path, bytes) in files(&layout.blobs()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".part") {
            assert_eq!(name, Blake3Hash::of(&bytes).to_string());
        }
    }
}

/// Fetches as an author's model.
pub async fn fetch(store: &Store, tree: &Resolved) -> Result<HeldModel, FetchError> {
    let heard = Heard::default();
    store.fetch(&format!("o/{}", tree.snapshot), tree, FormatGate::Any, &heard).await
}

/// All files below `dir`.
pub fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => open.push(entry.path()),
                kind if kind.is_file() => drop(found.insert(entry.path(), fs::read(entry.path()).unwrap())),
                _ => {}
            }
        }
    }
    found
}

/// `len` bytes that do not repeat soon.
pub fn bytes(len: usize) -> Vec<u8> {
    (0u64..).flat_map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_le_bytes()).take(len).collect()
}
