//! The store: what the rest of the worker calls. Owns the tasks of the store; the state is on the disk.

mod checkpoint;
mod offline;
mod options;
mod present;
mod provided;
mod usage;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use options::{FormatGate, StoreObserver, StoreOptions, Unobserved};
pub use present::Verified;
pub use usage::{DiskUsage, Evictable};

use gen_worker_hub::api::Resolved;
use gen_worker_tasks::{Cancel, Scope};
use parking_lot::Mutex;

use crate::{
    assemble,
    blobs::Blobs,
    disk_pool::DiskPool,
    download::Downloader,
    durable,
    fetch_error::FetchError,
    flight::Flights,
    format_gate::{check_headers, check_names},
    layout::Layout,
    leaving,
    lock::{Hold, StoreLock},
    manifest,
    progress::Progress,
    providers::{Providers, Receipt},
    ref_index::{Models, RefIndex, StoredModel, take_gone},
    room::{Claims, Room},
    snapshots::Snapshots,
    tree::Tree,
};

/// Models on disk. Cheap to clone; the last clone ends what runs.
#[derive(Clone)]
pub struct Store {
    room: Arc<Room>,
    snapshots: Arc<Snapshots>,
    downloader: Downloader,
    providers: Providers,
    provided: Arc<Flights<String, Receipt>>,
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
        let provided = Arc::new(Flights::new(Arc::clone(disk.scope())));
        let index = RefIndex::new(&layout);
        let (at, entries) = (layout.clone(), index.clone());
        let present =
            disk.run(move || rescan(&at, &entries).map_err(FetchError::disk("open the store", at.root()))).await?;
        present.iter().for_each(|reference| observer.on_disk(reference));
        let (keep, verified) = (Mutex::new(BTreeSet::new()), Mutex::new(HashSet::new()));
        let claims = Claims::new(layout.clone(), Arc::clone(disk.scope()));
        let room = Room { layout, disk, index, observer, space, headroom_bytes, reserve_bytes, claims, keep, verified };
        let room = Arc::new(room);
        let blobs = Arc::new(Blobs::new(Arc::clone(&room), downloader.clone()));
        let snapshots = Arc::new(Snapshots::new(Arc::clone(&room), blobs));
        Ok(Self { room, snapshots, downloader, providers, provided })
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
        // Before it is looked for: from here on nobody evicts it.
        let held = self.hold(&self.room.layout.snapshot(tree.id())).await?;
        let dir = match self.snapshots.ready_now(&tree).await? {
            Some(dir) => dir,
            None => self.snapshots.ready(reference, &tree, progress).await?,
        };
        if gate == FormatGate::SafeOnly {
            self.check_headers(&dir, &tree).await?;
        }
        let (room, name, path) = (Arc::clone(&self.room), reference.to_owned(), dir.clone());
        let noted = move || {
            let noted = manifest::note(&room.layout, &tree).and_then(|()| room.index.record(&name, &path));
            noted.map_err(FetchError::disk("note a model", &path))
        };
        if self.room.disk.run(noted).await? {
            self.room.observer.on_disk(reference);
        }
        Ok(HeldModel { dir, _use: held })
    }

    /// Hashes all of a model on disk: for a load that failed as if the files were damaged (rule 6.26). False when they are, or
    /// are not there: then the next [`Store::fetch`] brings what is wrong anew.
    ///
    /// # Errors
    /// [`FetchError::Disk`] when files cannot be read, [`FetchError::Tree`] when it is no tree.
    pub async fn is_sound(&self, resolved: &Resolved) -> Result<bool, FetchError> {
        let tree = Arc::new(Tree::of(resolved).map_err(FetchError::Tree)?);
        let _held = self.hold(&self.room.layout.snapshot(tree.id())).await?;
        self.snapshots.is_sound(&tree).await
    }

    /// Replaces the list of refs that leave last (rule 8.8).
    pub fn spare(&self, keep: impl IntoIterator<Item = String>) {
        *self.room.keep.lock() = keep.into_iter().collect();
    }

    /// Says whether the model of `reference` has to stay. False when there is none. Durable on return.
    ///
    /// # Errors
    /// [`FetchError::Disk`] when it cannot be noted.
    pub async fn pin(&self, reference: &str, pinned: bool) -> Result<bool, FetchError> {
        let (index, name) = (self.room.index.clone(), reference.to_owned());
        let failed = FetchError::disk("note a pin", &self.room.layout.index());
        let pin = move || {
            let change = |models: &mut Models| {
                let found = models.get_mut(&name).map(|model| model.pinned = pinned).is_some();
                // Nothing is left of a model that is not there once nobody wants it.
                models.retain(|_, model| model.pinned || !model.missing);
                found
            };
            index.change(true, change).map_err(failed)
        };
        self.room.disk.run(pin).await
    }

    /// All models on disk, by ref.
    ///
    /// # Errors
    /// [`FetchError::Disk`] when the index cannot be read.
    pub async fn models(&self) -> Result<BTreeMap<String, StoredModel>, FetchError> {
        let index = self.room.index.clone();
        let failed = FetchError::disk("read the index", &self.room.layout.index());
        let read = move || {
            let mut models = index.read()?;
            models.retain(|_, model| !model.missing);
            Ok(models)
        };
        self.room.disk.run(move || read().map_err(failed)).await
    }

    /// Evicts models until `target_bytes` fit, and with them, by their age, downloads that came in part and that nobody goes on
    /// with; removes what no model needs. Gives the refs that left.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    ///
    /// # Cancel safety
    /// May be dropped; an eviction that has begun ends.
    pub async fn collect(&self, target_bytes: u64) -> Result<Vec<String>, FetchError> {
        self.room.collect(target_bytes, None).await
    }

    /// Ends what runs, at the latest after `limit`.
    pub async fn close(&self, limit: Duration) {
        let scope = self.room.disk.scope();
        scope.cancel().kill();
        scope.join(limit).await;
    }

    /// Holds what is deleted as one `unit`, which may be absent yet, in use.
    async fn hold(&self, unit: &Path) -> Result<StoreLock, FetchError> {
        let _begins = self.room.lock(self.room.layout.gc_lock(), Hold::Shared).await?;
        self.room.lock(self.room.layout.use_lock(unit), Hold::Shared).await
    }

    async fn check_headers(&self, dir: &Path, tree: &Arc<Tree>) -> Result<(), FetchError> {
        let (dir, tree) = (dir.to_owned(), Arc::clone(tree));
        let check = move || {
            let paths = tree.files().iter().map(|file| &file.path);
            let found = check_headers(&dir, paths).map_err(FetchError::disk("look into weights", &dir))?;
            found.map_err(FetchError::Format)
        };
        self.room.disk.run(check).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("root", &self.room.layout.root()).finish_non_exhaustive()
    }
}

/// Makes the directories, clears what is unfinished, and gives the refs that are there (rule 8.2).
fn rescan(layout: &Layout, index: &RefIndex) -> std::io::Result<Vec<String>> {
    std::fs::create_dir_all(layout.root())?;
    for dir in [layout.blobs(), layout.snapshots(), layout.locks()] {
        durable::make_dirs(layout.root(), &dir)?;
    }
    leaving::clear(layout)?;
    assemble::clear_unfinished(layout)?;
    index.change(true, |models| {
        // Told to nobody: this process never said that they are there.
        drop(take_gone(models, |path| !path.exists()));
        models.iter().filter(|(_, model)| !model.missing).map(|(reference, _)| reference.clone()).collect()
    })
}
