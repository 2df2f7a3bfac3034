//! Models without a hub: what a ref was the last time, and whether it is still on disk (rule 3.8).

use std::sync::Arc;

use gen_worker_hub::{HubRef, names::SnapshotId};

use super::{HeldModel, Store};
use crate::{fetch_error::FetchError, remembered};

impl Store {
    /// Notes that the hub resolved `reference` to `snapshot`: for the day that it cannot be asked. Durable on return.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    pub async fn remember(&self, reference: &HubRef, snapshot: &SnapshotId) -> Result<(), FetchError> {
        let (layout, reference, snapshot) = (self.room.layout.clone(), reference.clone(), snapshot.clone());
        let failed = FetchError::disk("note what a ref is", &layout.refs());
        self.room.disk.run(move || remembered::remember(&layout, &reference, &snapshot).map_err(failed)).await
    }

    /// What `reference` was the last time that somebody asked, held; none when nobody did or it has left. The start of a digest
    /// is enough when only one snapshot has it. Nothing is hashed: nobody is there who says what the hashes are.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    pub async fn recall(&self, reference: &HubRef) -> Result<Option<HeldModel>, FetchError> {
        let Some(id) = self.look_up(reference).await? else { return Ok(None) };
        let dir = self.room.layout.snapshot(&id);
        let held = self.hold(&dir).await?;
        // Again, now that nobody evicts it.
        if self.look_up(reference).await? != Some(id) {
            return Ok(None);
        }
        let (room, path) = (Arc::clone(&self.room), dir.clone());
        let failed = FetchError::disk("note a model", &path);
        self.room.disk.run(move || room.index.touch(&path, None).map_err(failed)).await?;
        Ok(Some(HeldModel { dir, _use: held }))
    }

    async fn look_up(&self, reference: &HubRef) -> Result<Option<SnapshotId>, FetchError> {
        let (layout, reference) = (self.room.layout.clone(), reference.clone());
        let failed = FetchError::disk("look up a ref", &layout.refs());
        self.room.disk.run(move || remembered::recall(&layout, &reference).map_err(failed)).await
    }
}
