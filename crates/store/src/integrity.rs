//! Whether a tree on disk is what it should be. Owns no state; all but [`verify`] blocks.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use gen_worker_hub::RepoPath;

use crate::{
    blob::{self, Found},
    disk_pool::DiskPool,
    fetch_error::FetchError,
    tree::{Tree, TreeFile},
};

/// Files that are hashed at once, at most: more would only wait for the disk.
const HASHES_MAX: usize = 8;

/// What is where a tree should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Nothing.
    Absent,
    /// All files, with their sizes.
    Whole,
    /// Not all of them, or not with their sizes.
    Damaged,
}

/// Looks at names and sizes, not at contents. A symbolic link in the place of the tree is an error: what it points to is not
/// in the store.
pub(crate) fn presence(dir: &Path, tree: &Tree) -> io::Result<Presence> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Presence::Absent),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_dir() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a link or a file is where a tree should be"));
        }
        Ok(_) => {}
    }
    let whole = |file: &TreeFile| {
        let metadata = fs::symlink_metadata(dir.join(file.path.as_str()));
        metadata.is_ok_and(|found| found.is_file() && file.size_bytes().is_none_or(|size| size == found.len()))
    };
    Ok(if tree.files().iter().all(whole) { Presence::Whole } else { Presence::Damaged })
}

/// Hashes all files of `dir` and gives those that are wrong (rule 6.23).
///
/// # Cancel safety
/// May be dropped; what is being hashed is hashed to its end.
pub(crate) async fn verify(disk: &DiskPool, dir: &Path, tree: &Arc<Tree>) -> Result<Vec<RepoPath>, FetchError> {
    let next = Arc::new(AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(HASHES_MAX);
    let mut running = Vec::with_capacity(threads);
    for _ in 0..threads {
        let (next, tree, dir) = (Arc::clone(&next), Arc::clone(tree), dir.to_owned());
        running.push(disk.run(move || {
            let mut wrong = Vec::new();
            while let Some(file) = tree.files().get(next.fetch_add(1, Ordering::Relaxed)) {
                let path = dir.join(file.path.as_str());
                let found = blob::check(&path, &file.pieces).map_err(FetchError::disk("check of a file", &path))?;
                if !matches!(found, Found::Right(_)) {
                    wrong.push(file.path.clone());
                }
            }
            Ok(wrong)
        }));
    }
    Ok(futures::future::try_join_all(running).await?.into_iter().flatten().collect())
}
