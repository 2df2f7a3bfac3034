//! A tree of files by content, and the digest that names it (Hub contract, 12.4).

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{
    digest::{Blake3Hash, Digest},
    repo_path::{PathConflict, RepoPath},
};

/// Most files of one tree. The largest public model repositories have some thousands; the limit
/// keeps a reply that describes a tree in the tens of megabytes.
pub const SNAPSHOT_FILES_MAX: usize = 100_000;

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SnapshotFile {
    /// Where it is.
    pub path: RepoPath,
    /// Its size.
    pub size_bytes: u64,
    /// Its content.
    pub blake3: Blake3Hash,
}

/// A tree: files in the order of their paths, no two in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(Vec<SnapshotFile>);

/// Why files are no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A tree has files.
    #[error("snapshot has no files")]
    Empty,
    /// More than a tree may have.
    #[error("snapshot has more than {SNAPSHOT_FILES_MAX} files")]
    TooMany,
    /// Two of them cannot be together.
    #[error("snapshot paths conflict")]
    Paths(#[from] PathConflict),
    /// Together they have more bytes than a number can say.
    #[error("snapshot sizes overflow")]
    Size,
}

impl Snapshot {
    /// The tree of `files`, in any order.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn new(mut files: Vec<SnapshotFile>) -> Result<Self, SnapshotError> {
        if files.is_empty() {
            return Err(SnapshotError::Empty);
        }
        if files.len() > SNAPSHOT_FILES_MAX {
            return Err(SnapshotError::TooMany);
        }
        files.sort();
        RepoPath::check_tree(files.iter().map(|file| &file.path))?;
        files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.size_bytes)).ok_or(SnapshotError::Size)?;
        Ok(Self(files))
    }

    /// The files, in the bytewise order of their paths.
    #[must_use]
    pub fn files(&self) -> &[SnapshotFile] {
        &self.0
    }

    /// Bytes of all files; equal contents count each time.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.0.iter().map(|file| file.size_bytes).sum()
    }

    /// What names the tree: the BLAKE3 hash of its lines.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Blake3Hash::of(self.lines().as_bytes()).into()
    }

    /// The other name of the tree: the SHA-256 hash of the same lines.
    #[must_use]
    pub fn sha256_alias(&self) -> Digest {
        Digest::sha256(self.lines().as_bytes())
    }

    /// One line for each file: path, size and hash with a tab in between. No path has a tab or a line end in it.
    fn lines(&self) -> String {
        let mut lines = String::new();
        for file in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{}\t{}\t{}", file.path, file.size_bytes, file.blake3);
        }
        lines
    }
}

#[cfg(test)]
mod tests;
