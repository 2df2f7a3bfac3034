//! What a server says to a commit: which files it wants, and what became of them (Hub contract, section 6).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    commit::{COMMIT_OPERATIONS_MAX, CommitCreate, CommitOperation},
    grant::TransferGrant,
    reply::{ReplyError, read_object, text, truthy},
    upload::{PartUrls, UploadSource},
};
use crate::{
    digest::{Blake3Hash, Digest},
    names::ServerId,
    repo_path::RepoPath,
};

/// An open commit.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitCreated {
    /// Its id: no name of content.
    pub revision_id: ServerId,
    /// Files that the server wants, in its order.
    pub uploads: Vec<CommitUpload>,
}

/// A file that the server wants.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitUpload {
    /// Which.
    pub path: RepoPath,
    /// Its content.
    pub blake3: Blake3Hash,
    /// Its size.
    pub size_bytes: u64,
    /// The upload.
    pub upload_id: ServerId,
    /// Where to.
    pub source: UploadSource,
}

/// What a finalize said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFinalized {
    /// Digest of the tree, by which it can be pulled.
    pub checkpoint_id: Digest,
    /// The flavor that the server made of one it could not take.
    pub normalized_flavor: Option<String>,
    /// Its weights can run code when they are loaded: only who names the flavor gets it (Hub contract, 6.22).
    pub unsafe_weights: bool,
}

impl CommitCreated {
    /// Reads the reply to `sent`.
    ///
    /// # Errors
    /// [`ReplyError`] when it names no revision, wants a file that was not sent or another content of it, or does not say
    /// where a file goes.
    pub fn from_reply(body: &[u8], sent: &CommitCreate) -> Result<Self, ReplyError> {
        let object = read_object(body)?;
        let id = text(&object, &["revision_id"]).ok_or(ReplyError::Missing("revision_id"))?;
        let revision_id = id.parse().map_err(|_| ReplyError::Invalid("revision_id"))?;
        let added = sent.operations.iter().filter_map(|operation| match operation {
            CommitOperation::Add { path, blake3, size_bytes } => Some((path.as_str(), (path, *blake3, *size_bytes))),
            _ => None,
        });
        let added: BTreeMap<_, _> = added.collect();
        let listed = object.get("uploads").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if listed.len() > COMMIT_OPERATIONS_MAX {
            return Err(ReplyError::TooMany("uploads"));
        }
        let mut uploads = Vec::new();
        for entry in listed {
            let entry = entry.as_object().ok_or(ReplyError::Invalid("uploads"))?;
            let path = entry.get("path").and_then(Value::as_str).ok_or(ReplyError::Missing("path"))?;
            let (path, blake3, size_bytes) = *added.get(path).ok_or(ReplyError::UnknownPath)?;
            if text(entry, &["blake3"]).is_some_and(|hash| hash.parse() != Ok(blake3)) {
                return Err(ReplyError::Invalid("blake3"));
            }
            if !truthy(entry, "exists") {
                uploads.push(CommitUpload::from_object(entry, path, blake3, size_bytes)?);
            }
        }
        Ok(Self { revision_id, uploads })
    }
}

impl CommitUpload {
    fn from_object(
        entry: &Map<String, Value>,
        path: &RepoPath,
        blake3: Blake3Hash,
        size_bytes: u64,
    ) -> Result<Self, ReplyError> {
        let id = text(entry, &["upload_id"]).ok_or(ReplyError::Missing("upload_id"))?;
        let upload_id = id.parse().map_err(|_| ReplyError::Invalid("upload_id"))?;
        // Only this name counts here, unlike at other uploads (6.3).
        let source = match TransferGrant::within(entry, &["transfer_grant"])? {
            Some(grant) => UploadSource::Grant(grant),
            None => UploadSource::Parts(PartUrls::from_object(entry, size_bytes)?),
        };
        Ok(Self { path: path.clone(), blake3, size_bytes, upload_id, source })
    }
}

impl CommitFinalized {
    /// Reads the reply to a finalize that is done. Newer hubs have the id in an object of its own.
    ///
    /// # Errors
    /// [`ReplyError`] when it names no checkpoint.
    pub fn from_reply(body: &[u8]) -> Result<Self, ReplyError> {
        let object = read_object(body)?;
        let nested = || text(object.get("checkpoint")?.as_object()?, &["checkpoint_id"]);
        let id = text(&object, &["checkpoint_id"]).or_else(nested).ok_or(ReplyError::Missing("checkpoint_id"))?;
        let checkpoint_id = id.parse().map_err(|_| ReplyError::Invalid("checkpoint_id"))?;
        let normalized_flavor = text(&object, &["normalized_flavor"]).map(str::to_owned);
        let unsafe_weights = object.get("unsafe_weights").and_then(Value::as_bool).unwrap_or(false);
        Ok(Self { checkpoint_id, normalized_flavor, unsafe_weights })
    }
}

#[cfg(test)]
mod tests;
