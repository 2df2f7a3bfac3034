//! What a commit makes of a tree (Hub contract, 6.13 to 6.15). Pure.

use std::collections::{BTreeMap, HashMap};

use gen_worker_hub::{
    Digest, RepoPath, Snapshot,
    api::{CommitMode, CommitOperation},
    snapshot::{SnapshotError, SnapshotFile},
};

/// Weights that run code when they are loaded (Hub contract, 6.22).
const PICKLED: [&str; 5] = [".bin", ".pt", ".pth", ".ckpt", ".pkl"];

/// Why a commit makes no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TreeError {
    /// The files cannot be together, or there are none.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A copy names a file that is not there.
    #[error("there is no {0} to copy")]
    NoSource(RepoPath),
}

/// Files of other checkpoints of the repository, by where they are.
pub(crate) type Elsewhere = HashMap<(Digest, RepoPath), SnapshotFile>;

/// The tree of `operations` over `base`. `elsewhere` has what they copy from other checkpoints.
pub(crate) fn apply(
    base: &[SnapshotFile],
    mode: CommitMode,
    operations: &[CommitOperation],
    elsewhere: &Elsewhere,
) -> Result<Snapshot, TreeError> {
    let here: HashMap<&RepoPath, &SnapshotFile> = base.iter().map(|file| (&file.path, file)).collect();
    let mut tree: BTreeMap<RepoPath, SnapshotFile> = match mode {
        CommitMode::Merge => base.iter().map(|file| (file.path.clone(), file.clone())).collect(),
        CommitMode::Replace => BTreeMap::new(),
    };
    for operation in operations {
        match operation {
            CommitOperation::Add { path, blake3, size_bytes } => {
                let file = SnapshotFile { path: path.clone(), size_bytes: *size_bytes, blake3: *blake3 };
                tree.insert(path.clone(), file);
            }
            CommitOperation::Delete { path } => drop(tree.remove(path)),
            CommitOperation::Copy { path, from_path, from_checkpoint } => {
                let source = match from_checkpoint {
                    Some(digest) => elsewhere.get(&(*digest, from_path.clone())),
                    None => here.get(from_path).copied(),
                };
                let source = source.ok_or_else(|| TreeError::NoSource(from_path.clone()))?;
                let (size_bytes, blake3) = (source.size_bytes, source.blake3);
                tree.insert(path.clone(), SnapshotFile { path: path.clone(), size_bytes, blake3 });
            }
        }
    }
    Ok(Snapshot::new(tree.into_values().collect())?)
}

/// Whether a tree holds pickled weights.
pub(crate) fn has_pickled_weights(tree: &Snapshot) -> bool {
    let pickled = |file: &SnapshotFile| {
        let name = file.path.as_str().to_ascii_lowercase();
        PICKLED.iter().any(|end| name.ends_with(end))
    };
    tree.files().iter().any(pickled)
}

#[cfg(test)]
mod tests;
