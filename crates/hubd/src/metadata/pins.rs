//! What a commit needs. Pure.

use std::collections::{HashMap, HashSet};

use gen_worker_hub::{Blake3Hash, api::CommitOperation, names::NameError};

use super::{MetadataError, NewCommit, NewUpload, Pin, UploadOwner};

/// Kind of the files of a tree: their names say more.
pub(super) const MIME_TYPE: &str = "application/octet-stream";

/// What the commit adds, each content once, in the order of the operations.
pub(super) fn contents(new: &NewCommit) -> Vec<(Blake3Hash, u64)> {
    let mut seen = HashSet::new();
    let added = new.body.operations.iter().filter_map(|operation| match operation {
        CommitOperation::Add { blake3, size_bytes, .. } => Some((*blake3, *size_bytes)),
        _ => None,
    });
    added.filter(|(blake3, _)| seen.insert(*blake3)).collect()
}

/// What a commit that was opened before needs: what `open` still has to bring, in the order of the operations.
pub(super) fn again(new: &NewCommit, mut open: HashMap<Blake3Hash, NewUpload>) -> Vec<Pin> {
    let pin = |(blake3, size_bytes)| Pin { blake3, size_bytes, upload: open.remove(&blake3) };
    contents(new).into_iter().map(pin).collect()
}

/// What the commit needs, and what of it has to come: all but what `is_known`.
pub(super) fn pins(
    new: &NewCommit,
    mut is_known: impl FnMut(&Blake3Hash, u64) -> Result<bool, MetadataError>,
) -> Result<Vec<Pin>, MetadataError> {
    let mut pins = Vec::new();
    for (blake3, size_bytes) in contents(new) {
        let upload = if is_known(&blake3, size_bytes)? {
            None
        } else {
            let id = format!("{}-{}", new.id, pins.len());
            let id = id.parse().map_err(|error: NameError| MetadataError::Unfit(error.to_string()))?;
            let (owner, mime_type) = (UploadOwner::Commit(new.id.clone()), MIME_TYPE.to_owned());
            Some(NewUpload { id, owner, blake3, size_bytes, mime_type, expires_s: new.expires_s })
        };
        pins.push(Pin { blake3, size_bytes, upload });
    }
    Ok(pins)
}
