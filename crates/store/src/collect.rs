//! Making space: acts on [`crate::evict`]'s plan. Runs alone: whoever calls holds the lock `gc`. Blocks.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use gen_worker_hub::{Blake3Hash, names::SnapshotId};

use crate::{
    assemble, durable,
    evict::{Candidate, plan},
    layout::{Layout, PART_SUFFIX},
    lock::{Hold, StoreLock},
    ref_index::{RefIndex, now_s},
};

/// A part that nobody has added to for so long is not waited for any more.
const PART_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// What space is made for, and what stays.
pub(crate) struct Wish<'a> {
    /// So much should fit.
    pub(crate) target_bytes: u64,
    /// The ref that it is for.
    pub(crate) reference: Option<&'a str>,
    /// Blobs that it needs: they are not swept.
    pub(crate) wanted: &'a HashSet<Blake3Hash>,
    /// Refs that leave last.
    pub(crate) keep: &'a BTreeSet<String>,
}

/// Evicts models until what is wished for fits, as `available` says. Gives the refs that left.
pub(crate) fn collect(
    layout: &Layout,
    index: &RefIndex,
    wish: &Wish<'_>,
    available: &dyn Fn() -> io::Result<u64>,
) -> io::Result<Vec<String>> {
    sweep(layout, wish.wanted)?;
    let needed = wish.target_bytes.saturating_sub(available()?);
    let mut left = Vec::new();
    if needed == 0 {
        return Ok(left);
    }
    let candidates = candidates(layout, index, wish.reference)?;
    for candidate in plan(&candidates, wish.keep, now_s(), needed) {
        if available()? >= wish.target_bytes {
            break;
        }
        let last = index.change(true, |models| {
            models.remove(&candidate.reference);
            !models.values().any(|model| layout.eviction_unit(&model.path).as_ref() == Some(&candidate.unit))
        })?;
        left.push(candidate.reference.clone());
        if last {
            remove(layout, &candidate.unit)?;
            sweep(layout, wish.wanted)?;
        }
    }
    Ok(left)
}

/// All models that the index knows and the store may delete.
fn candidates(layout: &Layout, index: &RefIndex, for_ref: Option<&str>) -> io::Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for (reference, model) in index.read()? {
        let Some(unit) = layout.eviction_unit(&model.path) else { continue };
        let held = model.pinned || for_ref == Some(reference.as_str()) || in_use(layout, &unit)?;
        candidates.push(Candidate { reference, unit, bytes: model.bytes, last_used_s: model.last_used, held });
    }
    Ok(candidates)
}

/// Whether any process uses the tree at `unit`. Nobody can begin to: that takes the lock `gc`.
fn in_use(layout: &Layout, unit: &Path) -> io::Result<bool> {
    Ok(StoreLock::try_take(&layout.use_lock(unit), Hold::Alone)?.is_none())
}

/// Which tree is at `unit`.
pub(crate) fn snapshot_at(layout: &Layout, unit: &Path) -> Option<SnapshotId> {
    unit.strip_prefix(layout.snapshots()).ok()?.to_str()?.parse().ok()
}

fn remove(layout: &Layout, unit: &Path) -> io::Result<()> {
    match snapshot_at(layout, unit) {
        Some(id) => assemble::take_away(layout, &id),
        None => durable::remove_dir(unit),
    }
}

/// Removes blobs that no tree has and nobody wants, and parts that nobody waits for.
fn sweep(layout: &Layout, wanted: &HashSet<Blake3Hash>) -> io::Result<()> {
    for first in dirs(&layout.blobs())? {
        for second in dirs(&first)? {
            for entry in fs::read_dir(second)? {
                let entry = entry?;
                let (name, metadata) = (entry.file_name(), fs::symlink_metadata(entry.path())?);
                let name = name.to_str().unwrap_or_default();
                let unused = match name.strip_suffix(PART_SUFFIX) {
                    Some(_) => metadata.modified().is_ok_and(is_old),
                    None => metadata.nlink() == 1 && !name.parse().is_ok_and(|hash| wanted.contains(&hash)),
                };
                if unused && !metadata.is_dir() {
                    durable::remove_file(&entry.path())?;
                }
            }
        }
    }
    Ok(())
}

fn is_old(modified: SystemTime) -> bool {
    SystemTime::now().duration_since(modified).is_ok_and(|age| age > PART_AGE_MAX)
}

/// The directories in `dir`, without links.
fn dirs(dir: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}
