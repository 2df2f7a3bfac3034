//! Space on the disk: whether something fits, who leaves so that it does, and who hears of it. Owns the list of refs that leave
//! last, and which trees this process has seen to be right.

mod claims;

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use gen_worker_hub::names::SnapshotId;
use parking_lot::Mutex;

use crate::{
    collect::Collector,
    disk_pool::DiskPool,
    disk_space::DiskSpace,
    fetch_error::FetchError,
    layout::Layout,
    lock::{Hold, StoreLock},
    manifest,
    ref_index::RefIndex,
    store::StoreObserver,
};

pub(crate) use claims::{Claim, Claiming, Claims};

/// The space of one store.
pub(crate) struct Room {
    pub(crate) layout: Layout,
    pub(crate) disk: DiskPool,
    pub(crate) index: RefIndex,
    pub(crate) observer: Arc<dyn StoreObserver>,
    pub(crate) space: Arc<dyn DiskSpace>,
    /// Space that is made beyond the bytes of a download (rule 8.3).
    pub(crate) headroom_bytes: u64,
    /// Space that a download leaves (rule 6.14).
    pub(crate) reserve_bytes: u64,
    /// What is promised.
    pub(crate) claims: Claims,
    /// Refs that leave last.
    pub(crate) keep: Mutex<BTreeSet<String>>,
    /// Trees whose bytes this process has seen to be right. Not more than there are on disk, but for those others removed.
    pub(crate) verified: Mutex<HashSet<SnapshotId>>,
}

impl Room {
    /// Bytes that fit on the disk, when the system says.
    pub(crate) async fn available(&self) -> Result<Option<u64>, FetchError> {
        self.available_at(self.layout.root()).await
    }

    /// The same where `place` is, which may be on another disk.
    pub(crate) async fn available_at(&self, place: &Path) -> Result<Option<u64>, FetchError> {
        let (space, place) = (Arc::clone(&self.space), place.to_owned());
        self.disk.run(move || Ok(space.available_bytes(&place).ok())).await
    }

    /// What has to fit so that a download of `missing_bytes` may begin (rules 6.14, 8.3).
    pub(crate) fn required_bytes(&self, missing_bytes: u64) -> u64 {
        missing_bytes.saturating_add(self.headroom_bytes.max(self.reserve_bytes))
    }

    /// Makes `missing_bytes` fit for `reference` (rules 6.14, 8.3, 8.9), beside what others of any process were promised and have
    /// not filled. None when nothing is missing. Who calls has announced what it needs besides.
    pub(crate) async fn make(
        self: &Arc<Self>,
        missing_bytes: u64,
        reference: Option<&str>,
    ) -> Result<Option<Claim>, FetchError> {
        if missing_bytes == 0 {
            return Ok(None);
        }
        // One decision at a time: two at once would both be promised the last free bytes, or both evict for them.
        let deciding = self.lock(self.layout.room_lock(), Hold::Alone).await?;
        let required_bytes = self.required_bytes(missing_bytes);
        let (available, promised) = self.free().await?;
        let is_short = |available: Option<u64>, promised| {
            let available = available?.saturating_sub(promised);
            (available < required_bytes).then_some(available)
        };
        if is_short(available, promised).is_some() {
            self.collect(required_bytes.saturating_add(promised), reference.map(str::to_owned)).await?;
            // Less may be promised by now.
            let (available, promised) = self.free().await?;
            if let Some(available_bytes) = is_short(available, promised) {
                let path = self.layout.root().to_owned();
                return Err(FetchError::InsufficientDisk { path, required_bytes, available_bytes });
            }
        }
        let claims = self.claims.clone();
        let failed = FetchError::disk("note of a promise", self.layout.root());
        let claim = move || {
            let _deciding = deciding;
            claims.claim(missing_bytes).map(Some).map_err(failed)
        };
        self.disk.run(claim).await
    }

    /// Bytes that fit on the disk, when the system says, and what of them is promised.
    async fn free(&self) -> Result<(Option<u64>, u64), FetchError> {
        // In this order: what another process writes in between is then promised and gone. The other way round it would be
        // free and promised no more, and somebody would be promised it again.
        let promised = self.promised().await?;
        Ok((self.available().await?, promised))
    }

    /// Waits until others know how much is promised. For the end of a transfer, good or bad: what it was promised is free for
    /// whoever asks next.
    ///
    /// # Cancel safety
    /// May be dropped: then they know soon.
    pub(crate) async fn settle(&self) {
        if self.claims.are_told() {
            return;
        }
        let claims = self.claims.clone();
        let told = move || {
            claims.settle();
            Ok(())
        };
        // Only a store that is closed refuses, and then its promises end with it.
        drop(self.disk.run(told).await);
    }

    async fn promised(&self) -> Result<u64, FetchError> {
        let (claims, failed) = (self.claims.clone(), FetchError::disk("look for promises", self.layout.root()));
        self.disk.run(move || claims.bytes().map_err(failed)).await
    }

    /// Evicts until `target_bytes` fit. Waits for others that evict; those that download disturb it for a moment only.
    pub(crate) async fn collect(
        self: &Arc<Self>,
        target_bytes: u64,
        reference: Option<String>,
    ) -> Result<Vec<String>, FetchError> {
        let alone = self.lock(self.layout.gc_lock(), Hold::Alone).await?;
        let this = Arc::clone(self);
        self.disk
            .run(move || {
                let _alone = alone;
                this.collect_alone(target_bytes, reference.as_deref())
            })
            .await
    }

    fn collect_alone(&self, target_bytes: u64, reference: Option<&str>) -> Result<Vec<String>, FetchError> {
        let keep = self.keep.lock().clone();
        let collector = Collector {
            layout: &self.layout,
            index: &self.index,
            reference,
            keep: &keep,
            available: &|| self.space.available_bytes(self.layout.root()),
            removed: &|unit| self.layout.snapshot_at(unit).iter().for_each(|id| self.forget(id)),
            evicted: &|reference| self.observer.evicted(reference),
        };
        let left = collector.collect(target_bytes);
        let swept = manifest::sweep(&self.layout);
        left.and_then(|left| swept.map(|()| left)).map_err(FetchError::disk("evict models", self.layout.root()))
    }

    /// Forgets that the bytes of a tree were right.
    pub(crate) fn forget(&self, id: &SnapshotId) {
        self.verified.lock().remove(id);
    }

    /// Waits for a lock.
    ///
    /// # Cancel safety
    /// May be dropped: then it is not taken.
    pub(crate) async fn lock(&self, path: PathBuf, hold: Hold) -> Result<StoreLock, FetchError> {
        StoreLock::take(&path, hold).await.map_err(FetchError::disk("lock", &path))
    }
}
