//! Files by their content: looked for, else downloaded, once for all who want them. Owns the transfers that run.

use std::sync::Arc;

use gen_worker_hub::Blake3Hash;
use tokio::sync::Semaphore;

use crate::{
    blob::{self, Blob, Found},
    download::{Downloader, Job},
    durable,
    fetch_error::FetchError,
    flight::Flights,
    lock::{Hold, StoreLock},
    progress::{Progress, Transferred},
    room::Room,
};

/// The blobs of one store.
pub(crate) struct Blobs {
    room: Arc<Room>,
    downloader: Downloader,
    running: Flights<Blake3Hash, u64>,
}

impl Blobs {
    pub(crate) fn new(room: Arc<Room>, downloader: Downloader) -> Self {
        let running = Flights::new(Arc::clone(room.disk.scope()));
        Self { room, downloader, running }
    }

    /// Blobs of one tree that may be transferred at once.
    pub(crate) fn at_once(&self) -> usize {
        self.downloader.blobs_at_once()
    }

    /// One blob in its final place: what is there when it is right, else downloaded (rules 6.1, 6.13, 6.20). Gives its bytes.
    ///
    /// # Cancel safety
    /// May be dropped; what came is kept.
    pub(crate) async fn get(
        self: &Arc<Self>,
        blob: Blob,
        slots: Arc<Semaphore>,
        progress: &dyn Progress,
    ) -> Result<u64, FetchError> {
        let this = Arc::clone(self);
        self.running.join(blob.blake3, progress, |reporter| this.bring(blob, slots, reporter)).await
    }

    async fn bring(
        self: Arc<Self>,
        blob: Blob,
        slots: Arc<Semaphore>,
        reporter: Arc<dyn Progress>,
    ) -> Result<u64, FetchError> {
        let room = &self.room;
        let lock = Arc::new(room.lock(room.layout.blob_lock(blob.blake3), Hold::Alone).await?);
        let bytes = match self.found(&blob, &lock).await? {
            Some(bytes) => bytes,
            None => {
                let available = room.available().await?;
                let limit_bytes = available.map_or(u64::MAX, |bytes| bytes.saturating_sub(room.reserve_bytes));
                let (part, place) = (room.layout.part(blob.blake3), room.layout.blob(blob.blake3));
                let (hash, wanted) = (blob.blake3, blob.wanted());
                let job = Job { wanted, part, place, limit_bytes, stall: None, slots, lock };
                self.downloader.run(&job, &*reporter).await.map_err(|failure| failure.of_blob(hash))?
            }
        };
        reporter.transferred(Transferred { bytes_done: bytes, bytes_total: bytes });
        Ok(bytes)
    }

    /// The bytes of a blob that is there and right; what is wrong is removed.
    async fn found(&self, blob: &Blob, lock: &Arc<StoreLock>) -> Result<Option<u64>, FetchError> {
        let (layout, piece, lock) = (self.room.layout.clone(), blob.piece(), Arc::clone(lock));
        let place = self.room.layout.blob(piece.blake3);
        let failed = FetchError::disk("look for a blob", &place);
        let work = move || {
            let _lock = lock;
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
        self.room.disk.run(move || work().map_err(failed)).await
    }
}
