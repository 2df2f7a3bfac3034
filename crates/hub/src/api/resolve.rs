//! What a ref stands for: a tree of files, and where the bytes of each are (Hub contract, section 3; model contract, 3.5).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    grant::TransferGrant,
    reply::{ReplyError, count, read_object, text},
};
use crate::{
    digest::Blake3Hash,
    names::{Flavor, SnapshotId},
    repo_path::RepoPath,
    secret::SignedUrl,
    snapshot::SNAPSHOT_FILES_MAX,
};

/// A resolved ref.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Resolved {
    /// What the server calls the tree.
    #[serde(rename = "snapshot_digest")]
    pub snapshot: SnapshotId,
    /// Its files; at least one, no two in one place.
    pub files: Vec<ResolvedFile>,
    /// Other flavors of the same tag.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sibling_flavors: Vec<SiblingFlavor>,
}

/// One file of a resolved ref.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResolvedFile {
    /// Where it belongs.
    pub path: RepoPath,
    /// Its size. 0 also where the server does not say: then it cannot be resumed, checked for size, or planned for.
    pub size_bytes: u64,
    /// Its content.
    pub blake3: Blake3Hash,
    /// Where its bytes are.
    #[serde(flatten)]
    pub source: FileSource,
}

/// Where bytes are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSource {
    /// Behind an address that needs nothing else.
    Url(SignedUrl),
    /// In an object store.
    TransferGrant(TransferGrant),
}

/// Another flavor of a tag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SiblingFlavor {
    /// Its name.
    pub flavor: Flavor,
    /// Bytes of its files.
    #[serde(default)]
    pub size_bytes: u64,
    /// What it takes to run it, in the words of the server.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub placement: Value,
}

/// What a file without a path means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pathless {
    Error,
    Skipped,
}

impl Resolved {
    /// Reads the reply to a resolve.
    ///
    /// # Errors
    /// [`ReplyError`] for a file without path, hash or place, for two files in one place, and for a tree without name or
    /// files. Entries that are no objects are skipped.
    pub fn from_reply(body: &[u8]) -> Result<Self, ReplyError> {
        Self::from_object(&read_object(body)?, Pathless::Error)
    }

    /// Reads a snapshot that came with a request, under any of the names that peers use. A file without a path is skipped.
    ///
    /// # Errors
    /// As [`Resolved::from_reply`].
    pub fn from_snapshot(snapshot: &Value) -> Result<Self, ReplyError> {
        Self::from_object(snapshot.as_object().ok_or(ReplyError::NoObject)?, Pathless::Skipped)
    }

    fn from_object(object: &Map<String, Value>, pathless: Pathless) -> Result<Self, ReplyError> {
        let digest =
            text(object, &["snapshot_digest", "snapshotDigest"]).ok_or(ReplyError::Missing("snapshot_digest"))?;
        let snapshot = SnapshotId::from_digest(digest).map_err(|_| ReplyError::Invalid("snapshot_digest"))?;
        let listed = ["entries", "files"].iter().find_map(|name| object.get(*name)?.as_array());
        let entries = listed.map_or(&[][..], Vec::as_slice);
        if entries.len() > SNAPSHOT_FILES_MAX {
            return Err(ReplyError::TooMany("files"));
        }
        let mut files = Vec::with_capacity(entries.len());
        for entry in entries.iter().filter_map(Value::as_object) {
            if pathless == Pathless::Error || text(entry, &["path"]).is_some() {
                files.push(ResolvedFile::from_object(entry)?);
            }
        }
        if files.is_empty() {
            return Err(ReplyError::Missing("files"));
        }
        RepoPath::check_tree(files.iter().map(|file| &file.path)).map_err(|_| ReplyError::Invalid("path"))?;
        Ok(Self { snapshot, files, sibling_flavors: siblings(object) })
    }
}

impl ResolvedFile {
    fn from_object(entry: &Map<String, Value>) -> Result<Self, ReplyError> {
        // Blanks around a path are part of it: no trimming here.
        let path = entry.get("path").and_then(Value::as_str).filter(|path| !path.is_empty());
        let path = path.ok_or(ReplyError::Missing("path"))?;
        let path = RepoPath::of_tree(path).map_err(|_| ReplyError::Invalid("path"))?;
        let hash = text(entry, &["blake3", "BLAKE3", "digest"]).ok_or(ReplyError::Missing("blake3"))?;
        let blake3 = hash.parse().map_err(|_| ReplyError::Invalid("blake3"))?;
        let source = match text(entry, &["url"]) {
            Some(url) => FileSource::Url(url.parse().map_err(|_| ReplyError::Invalid("url"))?),
            None => {
                let grant = TransferGrant::within(entry, &["transfer_grant", "s3_transfer_grant"])?;
                FileSource::TransferGrant(grant.ok_or(ReplyError::Missing("url"))?)
            }
        };
        Ok(Self { path, size_bytes: count(entry, "size_bytes")?.unwrap_or(0), blake3, source })
    }
}

/// A hint: what cannot be read is left out.
fn siblings(object: &Map<String, Value>) -> Vec<SiblingFlavor> {
    let listed = object.get("sibling_flavors").and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(|sibling| serde_json::from_value(sibling.clone()).ok()).collect()
}

#[cfg(test)]
mod tests;
