//! Building a tree: room, its blobs, then the directory. The work of one flight; owns nothing but what it is given.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Semaphore;

use crate::{
    assemble,
    blobs::Blobs,
    builds,
    bytes_on_disk::BytesOnDisk,
    fetch_error::FetchError,
    lock::{Hold, StoreLock},
    progress::{Progress, Share, Sum, Transferred},
    room::{Claiming, Room},
    tree::Tree,
};

/// Files of one tree that are looked at, transferred or made durable at once. Transfers are fewer; the rest waits for the disk,
/// which makes many files durable in the time of one.
const BLOBS_AT_ONCE: usize = 32;

/// A tree that is built.
pub(crate) struct Build {
    pub(crate) room: Arc<Room>,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) tree: Arc<Tree>,
    /// The lock of the tree, alone. What blocks has it too: it goes on when the build is dropped.
    pub(crate) lock: Arc<StoreLock>,
    pub(crate) reporter: Arc<dyn Progress>,
}

impl Build {
    /// Builds it for `reference`.
    ///
    /// # Cancel safety
    /// May be dropped; what came is kept.
    pub(crate) async fn run(&self, reference: &str) -> Result<(), FetchError> {
        self.announce().await?;
        let (layout, tree) = (self.room.layout.clone(), Arc::clone(&self.tree));
        let on_disk = self.room.disk.run(move || Ok(BytesOnDisk::of(&layout, &tree))).await?;
        let claim = self.room.make(on_disk.missing, Some(reference)).await?;
        let came = self.transfer(on_disk.there, Claiming::over(claim, &self.reporter)).await;
        self.room.settle().await;
        let bytes = came?;
        let (layout, tree, lock) = (self.room.layout.clone(), Arc::clone(&self.tree), Arc::clone(&self.lock));
        let assembled = move || {
            let _lock = lock;
            assemble::assemble(&layout, &tree)
        };
        self.room.disk.run(assembled).await?;
        // The end is told as such, also when sizes were not known before (rule 6.18).
        self.reporter.transferred(Transferred { bytes_done: bytes, bytes_total: bytes });
        Ok(())
    }

    /// Says which blobs are needed. Who evicts at this moment ends first, and knows it from then on.
    async fn announce(&self) -> Result<(), FetchError> {
        let begins = self.room.lock(self.room.layout.gc_lock(), Hold::Shared).await?;
        let (tree, lock) = (Arc::clone(&self.tree), Arc::clone(&self.lock));
        let failed = FetchError::disk("list of a build", &self.room.layout.snapshot_lock(self.tree.id()));
        let announced = move || {
            let _begins = begins;
            builds::announce(&lock, &tree).map_err(failed)
        };
        self.room.disk.run(announced).await
    }

    /// Brings all blobs, of which `there` is on disk. Gives their bytes.
    async fn transfer(&self, there: Vec<u64>, reporter: Arc<dyn Progress>) -> Result<u64, FetchError> {
        let sum = Arc::new(Sum::of(self.tree.size_bytes()));
        reporter.transferred(sum.moved(0, there.iter().sum()));
        let slots = Arc::new(Semaphore::new(self.blobs.at_once()));
        let transfers = self.tree.blobs().to_vec().into_iter().zip(there).map(|(blob, there)| {
            let share = Share::new(&sum, there, &reporter);
            let (blobs, slots) = (Arc::clone(&self.blobs), Arc::clone(&slots));
            async move { blobs.get(blob, slots, &share).await }
        });
        // The first error ends it, and with it the others (rule 6.12).
        let all = stream::iter(transfers).buffer_unordered(BLOBS_AT_ONCE);
        all.try_fold(0u64, |sum, bytes| async move { Ok(sum.saturating_add(bytes)) }).await
    }
}
