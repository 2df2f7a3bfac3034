//! The store: what the rest of the worker calls. Owns the tasks of the store; the state is on the disk.

mod options;
mod provided;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use options::{FormatGate, StoreObserver, StoreOptions, Unobserved};

use gen_worker_hub::{Blake3Hash, api::Resolved};
use gen_worker_tasks::{Cancel, Scope};
use parking_lot::Mutex;

use crate::{
    assemble,
    collect::{self, Wish},
    disk_pool::DiskPool,
    download::Downloader,
    durable,
    fetch_error::FetchError,
    flight::Flights,
    format_gate::{check_headers, check_names},
    layout::Layout,
    lock::{Hold, StoreLock},
    progress::Progress,
    providers::{Providers, Receipt},
    ref_index::{RefIndex, StoredModel},
    snapshots::Snapshots,
    tree::Tree,
};

/// How long an eviction waits for downloads of others to end before the disk counts as full.
const COLLECT_WAIT: Duration = Duration::from_secs(30);

/// Models on disk. Cheap to clone; the last clone ends what runs.
#[derive(Clone)]
pub struct Store {
    snapshots: Arc<Snapshots>,
    providers: Providers,
    provided: Arc<Flights<String, Receipt>>,
    index: RefIndex,
    keep: Arc<Mutex<BTreeSet<String>>>,
    observer: Arc<dyn StoreObserver>,
    headroom_bytes: u64,
}

/// A model that stays on disk for as long as this lives, whatever any process evicts.
#[derive(Debug)]
pub struct HeldModel {
    dir: PathBuf,
    _use: StoreLock,
}

impl HeldModel {
    /// Its directory: complete, verified, not to be written to. A model of Civitai that is one file is at that file.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Store {
    /// Opens the store: what is unfinished and nobody's is removed, what the index knows and is not there is forgotten.
    ///
    /// # Errors
    /// [`FetchError::Disk`] when the root cannot be made or read, [`FetchError::Setup`] without TLS.
    pub async fn open(options: StoreOptions, cancel: &Cancel) -> Result<Self, FetchError> {
        let StoreOptions { root, transfer, space, headroom_bytes, reserve_bytes, providers, observer } = options;
        let disk = DiskPool::new(Arc::new(Scope::under("store", cancel)));
        let absolute = |path: &Path| std::path::absolute(path).map_err(FetchError::disk("find the store", path));
        let hub_cache = absolute(&providers.hugging_face.home)?.join("hub");
        let extra_roots = transfer.extra_roots.clone();
        let downloader = Downloader::new(transfer, disk.clone())?;
        let layout = Layout::new(absolute(&root)?).with_hub_cache(hub_cache);
        let providers = Providers::new(providers, layout.root(), extra_roots.as_deref(), &disk)?;
        let index = RefIndex::new(&layout);
        let (at, entries) = (layout.clone(), index.clone());
        let present =
            disk.run(move || rescan(&at, &entries).map_err(FetchError::disk("open the store", at.root()))).await?;
        present.iter().for_each(|reference| observer.on_disk(reference));
        let provided = Arc::new(Flights::new(Arc::clone(disk.scope())));
        let snapshots = Arc::new(Snapshots::new(layout, disk, space, reserve_bytes, downloader));
        Ok(Self { snapshots, providers, provided, index, keep: Arc::default(), observer, headroom_bytes })
    }

    /// Makes the model that `reference` was resolved to present, and holds it. Its bytes are hashed when they come, and once
    /// more at the first use in each process; later uses look at names and sizes only.
    ///
    /// # Errors
    /// See [`FetchError`]. Nothing unfinished is ever in a final place.
    ///
    /// # Cancel safety
    /// May be dropped; what came is kept for the next call.
    pub async fn fetch(
        &self,
        reference: &str,
        resolved: &Resolved,
        gate: FormatGate,
        progress: &dyn Progress,
    ) -> Result<HeldModel, FetchError> {
        let tree = Arc::new(Tree::of(resolved).map_err(FetchError::Tree)?);
        if gate == FormatGate::SafeOnly {
            let files = tree.files().iter().map(|file| (&file.path, file.size_bytes().unwrap_or(0)));
            check_names(files).map_err(FetchError::Format)?;
        }
        let mut collects_wait = self.lock("gc".to_owned(), Hold::Shared).await?;
        let dir = match self.snapshots.ready_now(&tree).await? {
            Some(dir) => dir,
            None => {
                // Making room takes the lock alone.
                drop(collects_wait);
                self.make_room(reference, &tree).await?;
                collects_wait = self.lock("gc".to_owned(), Hold::Shared).await?;
                self.snapshots.ready(&tree, progress).await?
            }
        };
        let held = self.lock(format!("use-{}", tree.id()), Hold::Shared).await?;
        if gate == FormatGate::SafeOnly {
            self.check_headers(&dir, &tree).await?;
        }
        let (index, name, path) = (self.index.clone(), reference.to_owned(), dir.clone());
        let noted = move || index.record(&name, &path).map_err(FetchError::disk("note a model", &path));
        if self.snapshots.disk.run(noted).await? {
            self.observer.on_disk(reference);
        }
        drop(collects_wait);
        Ok(HeldModel { dir, _use: held })
    }

    /// Hashes all of a model on disk: for a load that failed as if the files were damaged (rule 6.26). False when they are, or
    /// are not there: then the next [`Store::fetch`] brings what is wrong anew.
    ///
    /// # Errors
    /// [`FetchError::Disk`] when files cannot be read, [`FetchError::Tree`] when it is no tree.
    pub async fn is_sound(&self, resolved: &Resolved) -> Result<bool, FetchError> {
        let tree = Arc::new(Tree::of(resolved).map_err(FetchError::Tree)?);
        let _collects_wait = self.lock("gc".to_owned(), Hold::Shared).await?;
        self.snapshots.is_sound(&tree).await
    }

    /// Replaces the list of refs that leave last (rule 8.8).
    pub fn spare(&self, keep: impl IntoIterator<Item = String>) {
        *self.keep.lock() = keep.into_iter().collect();
    }

    /// Says whether the model of `reference` has to stay. False when there is none. Durable on return.
    ///
    /// # Errors
    /// [`FetchError::Disk`] when it cannot be noted.
    pub async fn pin(&self, reference: &str, pinned: bool) -> Result<bool, FetchError> {
        let (index, name) = (self.index.clone(), reference.to_owned());
        let failed = FetchError::disk("note a pin", &self.snapshots.layout.index());
        let pin = move || {
            index
                .change(true, |models| models.get_mut(&name).map(|model| model.pinned = pinned).is_some())
                .map_err(failed)
        };
        self.snapshots.disk.run(pin).await
    }

    /// All models on disk, by ref.
    ///
    /// # Errors
    /// [`FetchError::Disk`] when the index cannot be read.
    pub async fn models(&self) -> Result<BTreeMap<String, StoredModel>, FetchError> {
        let index = self.index.clone();
        let failed = FetchError::disk("read the index", &self.snapshots.layout.index());
        self.snapshots.disk.run(move || index.read().map_err(failed)).await
    }

    /// Evicts models until `target_bytes` fit, and removes what no model needs. Gives the refs that left.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    ///
    /// # Cancel safety
    /// May be dropped; an eviction that has begun ends.
    pub async fn collect(&self, target_bytes: u64) -> Result<Vec<String>, FetchError> {
        self.collect_for(target_bytes, None, HashSet::new()).await
    }

    /// Ends what runs, at the latest after `limit`.
    pub async fn close(&self, limit: Duration) {
        let scope = self.snapshots.disk.scope();
        scope.cancel().kill();
        scope.join(limit).await;
    }

    /// Space for what is missing of `tree` (rules 8.3, 8.9).
    async fn make_room(&self, reference: &str, tree: &Arc<Tree>) -> Result<(), FetchError> {
        let missing = self.snapshots.missing_bytes(tree).await?;
        let required_bytes = missing.saturating_add(self.headroom_bytes);
        let fits =
            |available: Option<u64>| missing == 0 || available.is_none_or(|available| available >= required_bytes);
        if fits(self.snapshots.available().await?) {
            return Ok(());
        }
        let wanted = tree.blobs().iter().map(|blob| blob.blake3).collect();
        self.collect_for(required_bytes, Some(reference.to_owned()), wanted).await?;
        let available = self.snapshots.available().await?;
        if fits(available) {
            return Ok(());
        }
        let path = self.snapshots.layout.root().to_owned();
        Err(FetchError::InsufficientDisk { path, required_bytes, available_bytes: available.unwrap_or(0) })
    }

    async fn collect_for(
        &self,
        target_bytes: u64,
        reference: Option<String>,
        wanted: HashSet<Blake3Hash>,
    ) -> Result<Vec<String>, FetchError> {
        // Others are downloading: what they bring is not swept, and what fits is seen when they are done.
        let Ok(alone) = tokio::time::timeout(COLLECT_WAIT, self.lock("gc".to_owned(), Hold::Alone)).await else {
            return Ok(Vec::new());
        };
        let (alone, keep) = (alone?, self.keep.lock().clone());
        let (layout, index, space) =
            (self.snapshots.layout.clone(), self.index.clone(), Arc::clone(&self.snapshots.space));
        let observer = Arc::clone(&self.observer);
        let snapshots = Arc::clone(&self.snapshots);
        let work = move || {
            let wish = Wish { target_bytes, reference: reference.as_deref(), wanted: &wanted, keep: &keep };
            let failed = FetchError::disk("evict models", layout.root());
            let before = index.read().unwrap_or_default();
            let left =
                collect::collect(&layout, &index, &wish, &|| space.available_bytes(layout.root())).map_err(failed);
            drop(alone);
            for reference in left.iter().flatten() {
                let unit = before.get(reference).and_then(|model| layout.eviction_unit(&model.path));
                unit.and_then(|unit| collect::snapshot_at(&layout, &unit)).iter().for_each(|id| snapshots.forget(id));
                observer.evicted(reference);
            }
            left
        };
        self.snapshots.disk.run(work).await
    }

    async fn check_headers(&self, dir: &Path, tree: &Arc<Tree>) -> Result<(), FetchError> {
        let (dir, tree) = (dir.to_owned(), Arc::clone(tree));
        let check = move || {
            let paths = tree.files().iter().map(|file| &file.path);
            let found = check_headers(&dir, paths).map_err(FetchError::disk("look into weights", &dir))?;
            found.map_err(FetchError::Format)
        };
        self.snapshots.disk.run(check).await
    }

    async fn lock(&self, name: String, hold: Hold) -> Result<StoreLock, FetchError> {
        let path = self.snapshots.layout.locks().join(name);
        StoreLock::take(&path, hold).await.map_err(FetchError::disk("lock", &path))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("root", &self.snapshots.layout.root()).finish_non_exhaustive()
    }
}

/// Makes the directories, clears what is unfinished, and gives the refs that are there (rule 8.2).
fn rescan(layout: &Layout, index: &RefIndex) -> std::io::Result<Vec<String>> {
    std::fs::create_dir_all(layout.root())?;
    for dir in [layout.blobs(), layout.snapshots(), layout.locks()] {
        durable::make_dirs(layout.root(), &dir)?;
    }
    assemble::clear_unfinished(layout)?;
    index.change(true, |models| {
        models.retain(|_, model| model.path.exists());
        models.keys().cloned().collect()
    })
}
