//! The files of a snapshot on the wire, checked (rule 3.5). Pure.

use gen_worker_hub::{
    RepoPath,
    api::{FileSource, Resolved, ResolvedFile},
    names::SnapshotId,
    snapshot::SNAPSHOT_FILES_MAX,
};
use gen_worker_proto::pb;

/// Why a snapshot cannot be fetched. Nothing of an address is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("the digest of the snapshot is no name of one")]
    Digest,
    #[error("the snapshot has no files")]
    Empty,
    #[error("the snapshot has more than {SNAPSHOT_FILES_MAX} files")]
    TooMany,
    #[error("{field} of file {index} of the snapshot cannot be used")]
    File { index: usize, field: &'static str },
}

/// What to fetch. A file without a path is skipped.
pub(super) fn of_snapshot(snapshot: &pb::Snapshot) -> Result<Resolved, SnapshotError> {
    let id = SnapshotId::from_digest(snapshot.digest.trim()).map_err(|_| SnapshotError::Digest)?;
    if snapshot.files.len() > SNAPSHOT_FILES_MAX {
        return Err(SnapshotError::TooMany);
    }
    let named = snapshot.files.iter().enumerate().filter(|(_, file)| !file.path.is_empty());
    let files: Vec<_> = named.map(|(index, file)| of_file(index, file)).collect::<Result<_, _>>()?;
    match files.is_empty() {
        true => Err(SnapshotError::Empty),
        false => Ok(Resolved { snapshot: id, files, sibling_flavors: Vec::new() }),
    }
}

fn of_file(index: usize, file: &pb::SnapshotFile) -> Result<ResolvedFile, SnapshotError> {
    let wrong = |field| SnapshotError::File { index, field };
    Ok(ResolvedFile {
        path: RepoPath::of_tree(&file.path).map_err(|_| wrong("the path"))?,
        size_bytes: u64::try_from(file.size_bytes).map_err(|_| wrong("the size"))?,
        blake3: file.blake3.trim().parse().map_err(|_| wrong("the digest"))?,
        source: FileSource::Url(file.url.parse().map_err(|_| wrong("the address"))?),
    })
}
