//! The files of a snapshot, checked: what is built from it stays in its directory. A value.

mod split_files;

use std::collections::{BTreeMap, btree_map::Entry};

pub(crate) use split_files::{DESCRIPTION_BYTES_MAX, check_description};

use gen_worker_hub::{
    Blake3Hash, RepoPath,
    api::{FileSource, Resolved},
    names::SnapshotId,
    repo_path::PathConflict,
};

use crate::{blob::Blob, bucket_object, layout::Layout};

/// A tree of files by content, and where each content is.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    id: SnapshotId,
    files: Vec<TreeFile>,
    blobs: Vec<Blob>,
}

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeFile {
    pub(crate) path: RepoPath,
    /// What it is made of, in order; most files are one piece.
    pub(crate) pieces: Vec<Piece>,
    /// The listed file that says what it is made of, when it comes in pieces.
    pub(crate) description: Option<Piece>,
}

/// A content, and its size where somebody said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) blake3: Blake3Hash,
    pub(crate) size_bytes: Option<u64>,
}

impl TreeFile {
    /// Its size, when it is known.
    pub(crate) fn size_bytes(&self) -> Option<u64> {
        self.pieces.iter().try_fold(0u64, |sum, piece| sum.checked_add(piece.size_bytes?))
    }
}

/// Why files are no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Its name is kept for unfinished trees.
    #[error("snapshot {0} has the name of an unfinished one")]
    Name(SnapshotId),
    /// No files.
    #[error("snapshot has no files")]
    Empty,
    /// Two files cannot be together.
    #[error("snapshot paths conflict")]
    Paths(#[from] PathConflict),
    /// One content with two sizes.
    #[error("blob {0} is listed with two sizes")]
    Sizes(Blake3Hash),
    /// Together they have more bytes than a number can say.
    #[error("snapshot sizes overflow")]
    TooLarge,
    /// Only a bucket has the bytes, and its grant names no address.
    #[error("blob {0} comes with a grant for a bucket that names no address")]
    Grant(Blake3Hash),
    /// A file in pieces does not say what it is made of.
    #[error("{0} does not describe a file in pieces of this snapshot")]
    Pieces(RepoPath),
}

impl Tree {
    /// The tree of a resolved ref.
    pub(crate) fn of(resolved: &Resolved) -> Result<Self, TreeError> {
        if !Layout::may_name(&resolved.snapshot) {
            return Err(TreeError::Name(resolved.snapshot.clone()));
        }
        RepoPath::check_tree(resolved.files.iter().map(|file| &file.path))?;
        let (mut listed, mut distinct) = (BTreeMap::new(), BTreeMap::new());
        for file in &resolved.files {
            let (url, grant) = match &file.source {
                FileSource::Url(url) => (url.clone(), None),
                FileSource::TransferGrant(grant) => {
                    let url = bucket_object::address(grant).ok_or(TreeError::Grant(file.blake3))?;
                    (url, Some(Box::new(grant.clone())))
                }
            };
            let size_bytes = Some(file.size_bytes).filter(|size| *size > 0);
            listed.insert(file.path.clone(), Piece { blake3: file.blake3, size_bytes });
            let blob = Blob { blake3: file.blake3, size_bytes, url, grant };
            match distinct.entry(file.blake3) {
                Entry::Vacant(place) => drop(place.insert(blob)),
                Entry::Occupied(there) if there.get().size_bytes != size_bytes => {
                    return Err(TreeError::Sizes(file.blake3));
                }
                Entry::Occupied(_) => {}
            }
        }
        if listed.is_empty() {
            return Err(TreeError::Empty);
        }
        let files = split_files::joined(listed);
        // Once more: a file that comes in pieces may not be listed as a whole too.
        RepoPath::check_tree(files.iter().map(|file| &file.path))?;
        let mut blobs: Vec<Blob> = distinct.into_values().collect();
        let sizes = blobs.iter().filter_map(|blob| blob.size_bytes);
        sizes.clone().try_fold(0u64, u64::checked_add).ok_or(TreeError::TooLarge)?;
        // Largest first: the last to come should not be the longest (rule 6.12).
        blobs.sort_by_key(|blob| (std::cmp::Reverse(blob.size_bytes), blob.blake3));
        Ok(Self { id: resolved.snapshot.clone(), files, blobs })
    }

    /// A tree as it was noted when it came. It can be checked, not fetched. None when the files are no tree.
    pub(crate) fn noted(id: SnapshotId, files: Vec<TreeFile>) -> Option<Self> {
        RepoPath::check_tree(files.iter().map(|file| &file.path)).ok()?;
        (!files.is_empty()).then_some(Self { id, files, blobs: Vec::new() })
    }

    /// What it is called.
    pub(crate) fn id(&self) -> &SnapshotId {
        &self.id
    }

    /// Its files.
    pub(crate) fn files(&self) -> &[TreeFile] {
        &self.files
    }

    /// Its contents, each once, the largest first.
    pub(crate) fn blobs(&self) -> &[Blob] {
        &self.blobs
    }

    /// Bytes of its contents, each once. What has no known size does not count.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.blobs.iter().filter_map(|blob| blob.size_bytes).sum()
    }
}

#[cfg(test)]
mod tests;
