//! How much the store takes, and what would leave if it had to take less.

use std::{fs, io, path::PathBuf};

use super::Store;
use crate::{
    durable,
    evict::{Candidate, plan},
    fetch_error::FetchError,
    layout::{Layout, PART_SUFFIX},
    lock::{Hold, StoreLock},
    ref_index::{RefIndex, StoredModel, now_s},
};

/// What a store takes of its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskUsage {
    /// Where it is.
    pub root: PathBuf,
    /// Bytes of all its files; a file with several names counts once.
    pub total_bytes: u64,
    /// Bytes of these that are of unfinished downloads.
    pub unfinished_bytes: u64,
    /// Bytes that still fit on the disk, when the system says.
    pub available_bytes: Option<u64>,
}

impl Store {
    /// How much it takes. Looks at every file.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    pub async fn usage(&self) -> Result<DiskUsage, FetchError> {
        let available_bytes = self.room.available().await?;
        let layout = self.room.layout.clone();
        let measured = move || {
            let failed = FetchError::disk("measure the store", layout.root());
            let bytes = durable::bytes_below(layout.root()).and_then(|all| Ok((all, unfinished(&layout)?)));
            let (total_bytes, unfinished_bytes) = bytes.map_err(failed)?;
            Ok(DiskUsage { root: layout.root().to_owned(), total_bytes, unfinished_bytes, available_bytes })
        };
        self.room.disk.run(measured).await
    }

    /// What [`Store::collect`] would evict for `target_bytes`, in its order, if it began now. Nothing leaves.
    ///
    /// # Errors
    /// [`FetchError::Disk`].
    pub async fn evictable(&self, target_bytes: u64) -> Result<Vec<(String, StoredModel)>, FetchError> {
        let needed = target_bytes.saturating_sub(self.room.available().await?.unwrap_or(u64::MAX));
        let (layout, index, keep) = (self.room.layout.clone(), self.room.index.clone(), self.room.keep.lock().clone());
        let planned = move || {
            let failed = FetchError::disk("plan evictions", layout.root());
            let (models, candidates) = candidates(&layout, &index).map_err(failed)?;
            let mut freed = 0u64;
            let order = if needed == 0 { Vec::new() } else { plan(&candidates, &keep, now_s(), needed) };
            let leaving = order.into_iter().take_while(|candidate| {
                let leaves = freed < needed;
                freed = freed.saturating_add(candidate.bytes);
                leaves
            });
            let model =
                |candidate: &Candidate| Some((candidate.reference.clone(), models.get(&candidate.reference)?.clone()));
            Ok(leaving.filter_map(model).collect())
        };
        self.room.disk.run(planned).await
    }
}

/// All models that could leave, and those that cannot, held.
fn candidates(
    layout: &Layout,
    index: &RefIndex,
) -> io::Result<(std::collections::BTreeMap<String, StoredModel>, Vec<Candidate>)> {
    let models = index.read()?;
    let mut candidates = Vec::new();
    for (reference, model) in &models {
        let Some(unit) = layout.eviction_unit(&model.path) else { continue };
        let used = StoreLock::try_take(&layout.use_lock(&unit), Hold::Alone)?.is_none();
        candidates.push(Candidate {
            reference: reference.clone(),
            unit,
            bytes: model.bytes,
            last_used_s: model.last_used,
            held: model.pinned || used,
        });
    }
    Ok((models, candidates))
}

/// Bytes of downloads that are not finished.
fn unfinished(layout: &Layout) -> io::Result<u64> {
    let mut bytes = 0;
    let mut open = vec![layout.blobs()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.file_name().to_str().is_some_and(|name| name.ends_with(PART_SUFFIX)) {
                // It may be finished by now.
                bytes += entry.metadata().map_or(0, |metadata| metadata.len());
            }
        }
    }
    Ok(bytes)
}
