//! Whether a tree on disk has the files that it should have; [`crate::verify`] looks into them. Owns no state; blocks.

use std::{fs, io, path::Path};

use crate::tree::{Tree, TreeFile};

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
