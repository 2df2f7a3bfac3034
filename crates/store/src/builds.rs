//! Which blobs running builds need, of all processes: each says so in the file of its lock. Owns no state; blocks.

use std::{collections::HashSet, fs, io};

use gen_worker_hub::Blake3Hash;

use crate::{
    durable,
    layout::{Layout, SNAPSHOT_LOCK},
    lock::{Hold, StoreLock},
    tree::Tree,
};

/// Largest list of blobs: half a million.
const LIST_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Blobs that stay whether a tree has them or not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Needed {
    /// These.
    These(HashSet<Blake3Hash>),
    /// Possibly any: a build does not say.
    Any,
}

impl Needed {
    /// Whether `hash` has to stay.
    pub(crate) fn has(&self, hash: &Blake3Hash) -> bool {
        match self {
            Self::These(these) => these.contains(hash),
            Self::Any => true,
        }
    }
}

/// Says in `lock`, which is the one of `tree`, that its blobs are needed.
pub(crate) fn announce(lock: &StoreLock, tree: &Tree) -> io::Result<()> {
    let list: String = tree.blobs().iter().flat_map(|blob| [blob.blake3.to_string(), "\n".to_owned()]).collect();
    lock.note(list.as_bytes())
}

/// The blobs of all builds that run. Who calls holds the lock `gc` alone, so no other build begins.
pub(crate) fn needed(layout: &Layout) -> io::Result<Needed> {
    let mut these = HashSet::new();
    for entry in fs::read_dir(layout.locks())? {
        let entry = entry?;
        let is_build = entry.file_name().to_str().is_some_and(|name| name.starts_with(SNAPSHOT_LOCK));
        if !is_build || StoreLock::try_take(&entry.path(), Hold::Alone)?.is_some() {
            continue;
        }
        match durable::read_bounded(&entry.path(), LIST_BYTES_MAX) {
            Ok(Some(list)) => {
                these.extend(String::from_utf8_lossy(&list).lines().filter_map(|line| line.parse::<Blake3Hash>().ok()));
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Needed::Any),
            Err(error) => return Err(error),
        }
    }
    Ok(Needed::These(these))
}
