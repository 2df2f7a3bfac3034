//! How much the store takes, and what would leave if it had to take less.

use std::path::PathBuf;

use super::Store;
use crate::{
    builds,
    collect::{by_age, candidates},
    durable,
    evict::plan,
    fetch_error::FetchError,
    ref_index::{StoredModel, now_s},
    unfinished,
};

/// What a store takes of its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskUsage {
    /// Where it is.
    pub root: PathBuf,
    /// Bytes of all its files; a file with several names counts once.
    pub total_bytes: u64,
    /// Bytes of these that are of unfinished downloads, or of what no model has any more.
    pub unfinished_bytes: u64,
    /// Bytes that still fit on the disk, when the system says.
    pub available_bytes: Option<u64>,
}

/// What would leave a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evictable {
    /// Models with their refs, in the order in which they would leave.
    pub models: Vec<(String, StoredModel)>,
    /// Bytes of downloads that came in part, of which nobody brings the rest.
    pub unfinished_bytes: u64,
}

impl Store {
    /// How much it takes. Looks at every file.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    pub async fn usage(&self) -> Result<DiskUsage, FetchError> {
        let available_bytes = self.room.available().await?;
        let (layout, index) = (self.room.layout.clone(), self.room.index.clone());
        let measured = move || {
            let measure = || Ok((durable::bytes_below(layout.root())?, index.read()?));
            let (total_bytes, models) = measure().map_err(FetchError::disk("measure the store", layout.root()))?;
            let unfinished_bytes = unfinished::all(&layout, &models).iter().map(|part| part.bytes).sum();
            Ok(DiskUsage { root: layout.root().to_owned(), total_bytes, unfinished_bytes, available_bytes })
        };
        self.room.disk.run(measured).await
    }

    /// What [`Store::collect`] would remove for `target_bytes`, if it began now. Nothing leaves.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    pub async fn evictable(&self, target_bytes: u64) -> Result<Evictable, FetchError> {
        let needed = target_bytes.saturating_sub(self.room.available().await?.unwrap_or(u64::MAX));
        let (layout, index, keep) = (self.room.layout.clone(), self.room.index.clone(), self.room.keep.lock().clone());
        let look = move || {
            let mut models = index.read()?;
            let (old, unfinished) = by_age(unfinished::idle(&layout, &builds::needed(&layout)?, &models));
            let unfinished_bytes: u64 = old.iter().map(|part| part.bytes).sum();
            let needed = needed.saturating_sub(unfinished_bytes);
            let candidates = candidates(&layout, &models, &unfinished, None)?;
            let order = if needed == 0 { Vec::new() } else { plan(&candidates, &keep, now_s(), needed) };
            let (mut freed, mut evictable) = (0u64, Evictable { unfinished_bytes, ..Evictable::default() });
            for candidate in order {
                if freed >= needed {
                    break;
                }
                freed = freed.saturating_add(candidate.bytes);
                match &candidate.reference {
                    Some(reference) => evictable.models.extend(models.remove_entry(reference)),
                    None => evictable.unfinished_bytes = evictable.unfinished_bytes.saturating_add(candidate.bytes),
                }
            }
            Ok(evictable)
        };
        let failed = FetchError::disk("plan evictions", self.room.layout.root());
        self.room.disk.run(move || look().map_err(failed)).await
    }
}
