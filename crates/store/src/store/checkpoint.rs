//! The one file of a model that is a single checkpoint (rule 6.27).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{HeldModel, Store};
use crate::{
    checkpoint::{Checkpoint, checkpoint},
    durable,
    fetch_error::FetchError,
    lock::Hold,
};

impl Store {
    /// The file of a model that is one checkpoint and no repository of a library; none when it is not. Shards are merged the first
    /// time, beside them, and a merge that is not whole is made again. The file stays for as long as `model` is held.
    ///
    /// # Errors
    /// [`FetchError::Format`] when shards and index do not fit, [`FetchError::InsufficientDisk`], [`FetchError::Disk`].
    ///
    /// # Cancel safety
    /// May be dropped; a merge that has begun ends.
    pub async fn checkpoint(&self, model: &HeldModel) -> Result<Option<PathBuf>, FetchError> {
        let dir = model.dir().to_owned();
        let failed = FetchError::disk("merge of shards", &dir);
        let Some(id) = self.room.layout.snapshot_at(&dir) else {
            return self.look(dir).await.map(|found| match found {
                Some(Checkpoint::File(path)) => Some(path),
                _ => None,
            });
        };
        let lock = self.room.lock(self.room.layout.snapshot_lock(&id), Hold::Alone).await?;
        match self.look(dir.clone()).await? {
            None => Ok(None),
            Some(Checkpoint::File(path)) => Ok(Some(path)),
            Some(Checkpoint::Shards(merge)) => {
                let claim = self.room.make(merge.size_bytes(), None).await?;
                let room = Arc::clone(&self.room);
                let work = move || {
                    let _held = (lock, claim);
                    let path = merge.write()?;
                    // The disk has more of this model now, which counts when it is to leave.
                    room.index.touch(&dir, Some(durable::bytes_below(&dir)?))?;
                    Ok(Some(path))
                };
                let made = self.room.disk.run(move || work().map_err(failed)).await;
                self.room.settle().await;
                made
            }
        }
    }

    async fn look(&self, dir: PathBuf) -> Result<Option<Checkpoint>, FetchError> {
        let failed = |dir: &Path| FetchError::disk("look for a checkpoint", dir);
        let look = move || checkpoint(&dir).map_err(failed(&dir))?.map_err(FetchError::Format);
        self.room.disk.run(look).await
    }
}
