//! Trees on disk: found, checked, built. Owns the builds that run; the state is on the disk.

mod noted;

use std::{path::PathBuf, sync::Arc};

use gen_worker_hub::names::SnapshotId;
use tracing::warn;

pub(crate) use noted::{Look, check_safe};

use crate::{
    blobs::Blobs,
    build::Build,
    fetch_error::FetchError,
    flight::Flights,
    integrity::{self, Presence},
    lock::{Hold, StoreLock},
    progress::Progress,
    quarantine::{quarantine, restore},
    ref_index::Models,
    room::Room,
    tree::Tree,
    verify::verify,
};

/// Trees of one store.
pub(crate) struct Snapshots {
    pub(crate) room: Arc<Room>,
    blobs: Arc<Blobs>,
    trees: Flights<SnapshotId, PathBuf>,
}

impl Snapshots {
    pub(crate) fn new(room: Arc<Room>, blobs: Arc<Blobs>) -> Self {
        let trees = Flights::new(Arc::clone(room.disk.scope()));
        Self { room, blobs, trees }
    }

    /// The directory of `tree` when it is complete and this process has seen its bytes to be right: nothing is hashed.
    pub(crate) async fn ready_now(&self, tree: &Arc<Tree>) -> Result<Option<PathBuf>, FetchError> {
        let known = self.room.verified.lock().contains(tree.id());
        let whole = known && self.presence(tree).await? == Presence::Whole;
        Ok(whole.then(|| self.room.layout.snapshot(tree.id())))
    }

    /// The directory of `tree`, complete and, the first time in this process, hashed. Who calls holds it in use.
    ///
    /// # Cancel safety
    /// May be dropped; what came is kept.
    pub(crate) async fn ready(
        self: &Arc<Self>,
        reference: &str,
        tree: &Arc<Tree>,
        progress: &dyn Progress,
    ) -> Result<PathBuf, FetchError> {
        let (this, tree, reference) = (Arc::clone(self), Arc::clone(tree), reference.to_owned());
        self.trees.join(tree.id().clone(), progress, |reporter| this.make(reference, tree, reporter)).await
    }

    /// Hashes `tree` whether this process has seen it or not. When it is wrong, the next who wants it gets it anew.
    pub(crate) async fn is_sound(&self, tree: &Arc<Tree>) -> Result<bool, FetchError> {
        let dir = self.room.layout.snapshot(tree.id());
        let whole = self.presence(tree).await? == Presence::Whole;
        let sound = whole && verify(&self.room.disk, &dir, tree).await?.is_empty();
        if !sound {
            self.room.forget(tree.id());
        }
        Ok(sound)
    }

    pub(crate) async fn presence(&self, tree: &Arc<Tree>) -> Result<Presence, FetchError> {
        let (dir, tree) = (self.room.layout.snapshot(tree.id()), Arc::clone(tree));
        let look = move || integrity::presence(&dir, &tree).map_err(FetchError::disk("look at a snapshot", &dir));
        self.room.disk.run(look).await
    }

    async fn make(
        self: Arc<Self>,
        reference: String,
        tree: Arc<Tree>,
        reporter: Arc<dyn Progress>,
    ) -> Result<PathBuf, FetchError> {
        let room = &self.room;
        let dir = room.layout.snapshot(tree.id());
        let lock = Arc::new(room.lock(room.layout.snapshot_lock(tree.id()), Hold::Alone).await?);
        let first_use = !room.verified.lock().contains(tree.id());
        let found = self.presence(&tree).await?;
        let wrong = match found {
            Presence::Whole if first_use => verify(&room.disk, &dir, &tree).await?,
            _ => Vec::new(),
        };
        if found != Presence::Whole || !wrong.is_empty() {
            let refs = match found {
                Presence::Absent => Models::new(),
                _ => {
                    warn!(snapshot = %tree.id(), wrong = wrong.len(), "a snapshot on disk is damaged and comes again");
                    self.quarantine(&tree, &lock).await?
                }
            };
            let (room, blobs, tree, lock) =
                (Arc::clone(room), Arc::clone(&self.blobs), Arc::clone(&tree), Arc::clone(&lock));
            Build { room, blobs, tree, lock, reporter }.run(&reference).await?;
            self.restore(refs).await?;
        }
        room.verified.lock().insert(tree.id().clone());
        Ok(dir)
    }

    async fn quarantine(&self, tree: &Arc<Tree>, lock: &Arc<StoreLock>) -> Result<Models, FetchError> {
        let (room, tree, lock) = (Arc::clone(&self.room), Arc::clone(tree), Arc::clone(lock));
        let failed = FetchError::disk("quarantine of a snapshot", &room.layout.snapshot(tree.id()));
        let work = move || {
            let _lock = lock;
            quarantine(&room, tree.id()).map_err(failed)
        };
        self.room.disk.run(work).await
    }

    async fn restore(&self, refs: Models) -> Result<(), FetchError> {
        if refs.is_empty() {
            return Ok(());
        }
        let room = Arc::clone(&self.room);
        let failed = FetchError::disk("note models", &room.layout.index());
        self.room.disk.run(move || restore(&room, refs).map_err(failed)).await
    }
}
