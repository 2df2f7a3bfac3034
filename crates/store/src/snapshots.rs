//! Trees on disk: found, built, checked. Owns the transfers that run; the state is on the disk.

mod noted;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use gen_worker_hub::{Blake3Hash, names::SnapshotId};
pub(crate) use noted::Look;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::{
    assemble,
    blob::{self, Blob, Found},
    disk_pool::DiskPool,
    disk_space::DiskSpace,
    download::{Downloader, Job},
    durable,
    fetch_error::FetchError,
    flight::Flights,
    integrity::{self, Presence},
    layout::Layout,
    lock::{Hold, StoreLock},
    progress::{Progress, Sum, Transferred},
    tree::Tree,
};

/// Files of one tree that are looked at, transferred or made durable at once. Transfers are fewer; the rest waits for the disk,
/// which makes many files durable in the time of one.
const BLOBS_AT_ONCE: usize = 32;

/// Trees of one store.
pub(crate) struct Snapshots {
    pub(crate) layout: Layout,
    pub(crate) disk: DiskPool,
    pub(crate) space: Arc<dyn DiskSpace>,
    /// Space that downloads leave (rule 6.14).
    pub(crate) reserve_bytes: u64,
    pub(crate) downloader: Downloader,
    trees: Flights<SnapshotId, PathBuf>,
    blobs: Flights<Blake3Hash, u64>,
    /// Trees whose bytes this process has seen to be right. Not more than there are on disk, but for those others removed.
    verified: Mutex<HashSet<SnapshotId>>,
}

/// What one blob tells to who waits for its tree.
pub(crate) struct Share {
    pub(crate) sum: Arc<Sum>,
    pub(crate) last: AtomicU64,
    pub(crate) tree: Arc<dyn Progress>,
}

impl Progress for Share {
    fn transferred(&self, so_far: Transferred) {
        let before = self.last.swap(so_far.bytes_done, Ordering::Relaxed);
        self.tree.transferred(self.sum.moved(before, so_far.bytes_done));
    }
}

impl Snapshots {
    pub(crate) fn new(
        layout: Layout,
        disk: DiskPool,
        space: Arc<dyn DiskSpace>,
        reserve_bytes: u64,
        downloader: Downloader,
    ) -> Self {
        let scope = disk.scope();
        let (trees, blobs) = (Flights::new(Arc::clone(scope)), Flights::new(Arc::clone(scope)));
        Self { layout, disk, space, reserve_bytes, downloader, trees, blobs, verified: Mutex::default() }
    }

    /// The directory of `tree` when it is complete and this process has seen its bytes to be right: nothing is hashed.
    pub(crate) async fn ready_now(&self, tree: &Arc<Tree>) -> Result<Option<PathBuf>, FetchError> {
        let known = self.verified.lock().contains(tree.id());
        let whole = known && self.presence(tree).await? == Presence::Whole;
        Ok(whole.then(|| self.layout.snapshot(tree.id())))
    }

    /// The directory of `tree`, complete and, the first time in this process, hashed.
    ///
    /// # Cancel safety
    /// May be dropped; what came is kept.
    pub(crate) async fn ready(
        self: &Arc<Self>,
        tree: &Arc<Tree>,
        progress: &dyn Progress,
    ) -> Result<PathBuf, FetchError> {
        let (this, tree) = (Arc::clone(self), Arc::clone(tree));
        self.trees.join(tree.id().clone(), progress, |reporter| this.make(tree, reporter)).await
    }

    /// What is where `tree` should be.
    pub(crate) async fn presence(&self, tree: &Arc<Tree>) -> Result<Presence, FetchError> {
        let (dir, tree) = (self.layout.snapshot(tree.id()), Arc::clone(tree));
        self.disk
            .run(move || integrity::presence(&dir, &tree).map_err(FetchError::disk("look at a snapshot", &dir)))
            .await
    }

    /// Bytes of `tree` that are not on disk, each content once (rule 8.9).
    pub(crate) async fn missing_bytes(&self, tree: &Arc<Tree>) -> Result<u64, FetchError> {
        if self.presence(tree).await? == Presence::Whole {
            return Ok(0);
        }
        Ok(tree.size_bytes().saturating_sub(self.cached(tree).await?.iter().sum()))
    }

    /// Hashes `tree` whether this process has seen it or not. When it is wrong, the next who wants it gets it anew.
    pub(crate) async fn is_sound(&self, tree: &Arc<Tree>) -> Result<bool, FetchError> {
        let dir = self.layout.snapshot(tree.id());
        let whole = self.presence(tree).await? == Presence::Whole;
        let sound = whole && integrity::verify(&self.disk, &dir, tree).await?.is_empty();
        if !sound {
            self.forget(tree.id());
        }
        Ok(sound)
    }

    /// Forgets that the bytes of a tree were right.
    pub(crate) fn forget(&self, id: &SnapshotId) {
        self.verified.lock().remove(id);
    }

    async fn make(self: Arc<Self>, tree: Arc<Tree>, reporter: Arc<dyn Progress>) -> Result<PathBuf, FetchError> {
        let dir = self.layout.snapshot(tree.id());
        let lock = self.lock(format!("snap-{}", tree.id())).await?;
        let first_use = !self.verified.lock().contains(tree.id());
        let found = self.presence(&tree).await?;
        let wrong = match found {
            Presence::Whole if first_use => integrity::verify(&self.disk, &dir, &tree).await?,
            _ => Vec::new(),
        };
        if found != Presence::Whole || !wrong.is_empty() {
            if found != Presence::Absent {
                warn!(snapshot = %tree.id(), wrong = wrong.len(), "a snapshot on disk is damaged and comes again");
                self.quarantine(&tree).await?;
            }
            self.build(&tree, reporter).await?;
        }
        drop(lock);
        self.verified.lock().insert(tree.id().clone());
        Ok(dir)
    }

    /// Takes a damaged tree away. What is wrong of its blobs goes when it is built again: each is hashed (rule 6.25).
    async fn quarantine(&self, tree: &Arc<Tree>) -> Result<(), FetchError> {
        let (layout, tree) = (self.layout.clone(), Arc::clone(tree));
        let failed = FetchError::disk("quarantine of a snapshot", &layout.snapshot(tree.id()));
        self.disk.run(move || assemble::take_away(&layout, tree.id()).map_err(failed)).await
    }

    async fn build(self: &Arc<Self>, tree: &Arc<Tree>, reporter: Arc<dyn Progress>) -> Result<(), FetchError> {
        let cached = self.cached(tree).await?;
        let (there, total) = (cached.iter().sum::<u64>(), tree.size_bytes());
        self.check_space(total.saturating_sub(there)).await?;
        let sum = Arc::new(Sum::of(total));
        reporter.transferred(sum.moved(0, there));
        let slots = Arc::new(Semaphore::new(self.downloader.blobs_at_once()));
        let transfers = tree.blobs().to_vec().into_iter().zip(cached).map(|(blob, there)| {
            let share = Share { sum: Arc::clone(&sum), last: there.into(), tree: Arc::clone(&reporter) };
            let (this, slots) = (Arc::clone(self), Arc::clone(&slots));
            async move { this.blob(blob, slots, &share).await }
        });
        // The first error ends it, and with it the others (rule 6.12).
        stream::iter(transfers).buffer_unordered(BLOBS_AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
        let (layout, tree) = (self.layout.clone(), Arc::clone(tree));
        self.disk.run(move || assemble::assemble(&layout, &tree)).await
    }

    /// For each blob of `tree`, its size when a file of that size is there, else 0.
    async fn cached(&self, tree: &Arc<Tree>) -> Result<Vec<u64>, FetchError> {
        let (layout, tree) = (self.layout.clone(), Arc::clone(tree));
        self.disk
            .run(move || {
                let there = |blob: &Blob| {
                    let found =
                        std::fs::symlink_metadata(layout.blob(blob.blake3)).ok().filter(|found| found.is_file());
                    found.map(|found| found.len()).filter(|len| Some(*len) == blob.size_bytes).unwrap_or(0)
                };
                Ok(tree.blobs().iter().map(there).collect())
            })
            .await
    }

    async fn check_space(&self, missing_bytes: u64) -> Result<(), FetchError> {
        let required_bytes = missing_bytes.saturating_add(self.reserve_bytes);
        match self.available().await? {
            Some(available_bytes) if missing_bytes > 0 && available_bytes < required_bytes => {
                let path = self.layout.root().to_owned();
                Err(FetchError::InsufficientDisk { path, required_bytes, available_bytes })
            }
            _ => Ok(()),
        }
    }

    /// Bytes that fit on the disk, when the system says.
    pub(crate) async fn available(&self) -> Result<Option<u64>, FetchError> {
        let (space, root) = (Arc::clone(&self.space), self.layout.root().to_owned());
        self.disk.run(move || Ok(space.available_bytes(&root).ok())).await
    }

    pub(crate) async fn lock(&self, name: String) -> Result<StoreLock, FetchError> {
        let path = self.layout.locks().join(name);
        StoreLock::take(&path, Hold::Alone).await.map_err(FetchError::disk("lock", &path))
    }

    /// One blob in its final place: what is there when it is right, else downloaded (rules 6.1, 6.13, 6.20).
    async fn blob(
        self: &Arc<Self>,
        blob: Blob,
        slots: Arc<Semaphore>,
        progress: &dyn Progress,
    ) -> Result<u64, FetchError> {
        let this = Arc::clone(self);
        self.blobs.join(blob.blake3, progress, |reporter| this.bring(blob, slots, reporter)).await
    }

    async fn bring(
        self: Arc<Self>,
        blob: Blob,
        slots: Arc<Semaphore>,
        reporter: Arc<dyn Progress>,
    ) -> Result<u64, FetchError> {
        let lock = Arc::new(self.lock(format!("blob-{}", blob.blake3)).await?);
        let place = self.layout.blob(blob.blake3);
        if let Some(bytes) = self.found(&blob).await? {
            reporter.transferred(Transferred { bytes_done: bytes, bytes_total: bytes });
            return Ok(bytes);
        }
        let limit_bytes =
            self.available().await?.map_or(u64::MAX, |available| available.saturating_sub(self.reserve_bytes));
        let (part, bytes) = (self.layout.part(blob.blake3), blob.size_bytes.unwrap_or(0));
        let hash = blob.blake3;
        let job = Job { wanted: blob.wanted(), part, place, limit_bytes, slots, lock };
        self.downloader.run(&job, &*reporter).await.map_err(|failure| failure.of_blob(hash))?;
        reporter.transferred(Transferred { bytes_done: bytes, bytes_total: bytes });
        Ok(bytes)
    }

    /// The bytes of a blob that is there and right; what is wrong is removed.
    async fn found(&self, blob: &Blob) -> Result<Option<u64>, FetchError> {
        let (layout, piece) = (self.layout.clone(), blob.piece());
        let place = self.layout.blob(piece.blake3);
        let failed = FetchError::disk("look for a blob", &place);
        let work = move || {
            if let Some(dir) = place.parent() {
                durable::make_dirs(layout.root(), dir)?;
            }
            match blob::check(&place, &[piece])? {
                Found::Right(bytes) => return Ok(Some(bytes)),
                Found::Wrong => durable::remove_file(&place)?,
                Found::Nothing => {}
            }
            Ok(None)
        };
        self.disk.run(move || work().map_err(failed)).await
    }
}
