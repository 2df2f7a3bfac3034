//! Removing what is left over: blobs without a tree, locks without a process. Runs alone: whoever calls holds the lock `gc`. Owns no
//! state; blocks.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use gen_worker_hub::Blake3Hash;

use crate::{
    builds::Needed,
    durable,
    layout::{Layout, PART_SUFFIX},
    lock::{Hold, StoreLock},
};

/// Removes blobs and files of locks.
pub(crate) fn sweep(layout: &Layout, needed: &Needed) -> io::Result<()> {
    sweep_blobs(layout, needed)?;
    sweep_locks(layout)
}

/// Removes blobs that no tree has and no build needs.
pub(crate) fn sweep_blobs(layout: &Layout, needed: &Needed) -> io::Result<()> {
    for first in dirs(&layout.blobs())? {
        for second in dirs(&first)? {
            for entry in fs::read_dir(second)? {
                let path = entry?.path();
                if is_unused(&path, needed)? {
                    durable::remove_file(&path)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether a blob is: parts are not (see [`crate::unfinished`]).
fn is_unused(path: &Path, needed: &Needed) -> io::Result<bool> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        // A part that became a blob.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_needed = name.parse::<Blake3Hash>().is_ok_and(|hash| needed.has(&hash));
    Ok(!name.ends_with(PART_SUFFIX) && metadata.nlink() == 1 && !is_needed && !metadata.is_dir())
}

/// Removes the files of locks that nobody holds; they are as many as there were blobs, ever. That of `gc`, which is held, stays, and
/// those that are waited for in the kernel, where nobody looks whether their name has gone.
fn sweep_locks(layout: &Layout) -> io::Result<()> {
    for entry in fs::read_dir(layout.locks())? {
        let path = entry?.path();
        let stays = [layout.gc_lock(), layout.index_lock(), layout.manifests_lock()].contains(&path);
        if !stays && let Some(lock) = StoreLock::try_take(&path, Hold::Alone)? {
            lock.remove()?;
        }
    }
    Ok(())
}

/// The directories in `dir`, without links.
fn dirs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}
