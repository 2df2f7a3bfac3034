//! Models without a hub: what a ref was the last time, and whether it is still on disk (rule 3.8).

use gen_worker_hub::{HubRef, names::SnapshotId};

use super::{HeldModel, Store};
use crate::{fetch_error::FetchError, remembered};

impl Store {
    /// Notes that the hub resolved `wanted` to `snapshot`: for the day that it cannot be asked. Durable on return.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    pub async fn remember(&self, wanted: &HubRef, snapshot: &SnapshotId) -> Result<(), FetchError> {
        let (layout, wanted, snapshot) = (self.room.layout.clone(), wanted.clone(), snapshot.clone());
        let failed = FetchError::disk("note what a ref is", &layout.refs());
        self.room.disk.run(move || remembered::remember(&layout, &wanted, &snapshot).map_err(failed)).await
    }

    /// As [`Store::find_snapshot`], of what `wanted` was the last time that somebody asked the hub; none when nobody did. The
    /// start of a digest is enough when only one snapshot has it; it is no name to be kept, since another may have it one day.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    ///
    /// # Cancel safety
    /// May be dropped.
    pub async fn recall(&self, reference: &str, wanted: &HubRef) -> Result<Option<HeldModel>, FetchError> {
        let (layout, wanted) = (self.room.layout.clone(), wanted.clone());
        let failed = FetchError::disk("look up a ref", &layout.refs());
        let is_start = wanted.digest().is_some_and(|digest| digest.whole().is_none());
        match self.room.disk.run(move || remembered::recall(&layout, &wanted).map_err(failed)).await? {
            Some(id) if is_start => self.whole(&id).await,
            Some(id) => self.find_snapshot(reference, &id).await,
            None => Ok(None),
        }
    }
}
