//! What of a tree is on disk, and how much space the rest takes. Owns no state; blocks.

use std::{fs, path::Path};

use crate::{layout::Layout, tree::Tree};

/// Bytes of a tree that are on disk, and those that have to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BytesOnDisk {
    /// For each blob, what is there of it: all, the beginning, or nothing. Nothing of blobs of unknown size, which begin anew.
    pub(crate) there: Vec<u64>,
    /// What has to be written: what is missing of the blobs, and files that are joined of several.
    pub(crate) missing: u64,
}

impl BytesOnDisk {
    /// Looks at sizes, not at contents.
    pub(crate) fn of(layout: &Layout, tree: &Tree) -> Self {
        let there: Vec<u64> = tree
            .blobs()
            .iter()
            .map(|blob| {
                let Some(size) = blob.size_bytes else { return 0 };
                let whole = file_bytes(&layout.blob(blob.blake3)).filter(|bytes| *bytes == size);
                let part = || file_bytes(&layout.part(blob.blake3)).filter(|bytes| *bytes <= size);
                whole.or_else(part).unwrap_or(0)
            })
            .collect();
        let joined = tree.files().iter().filter(|file| file.description.is_some()).filter_map(|file| file.size_bytes());
        let blobs = tree.size_bytes().saturating_sub(there.iter().sum());
        Self { missing: joined.fold(blobs, u64::saturating_add), there }
    }
}

fn file_bytes(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file).map(|found| found.len())
}
