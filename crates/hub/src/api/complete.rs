//! Finishing an upload: what was sent, and what the server made of it (Hub contract, 4c).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::reply::{ReplyError, read_object, text};
use crate::digest::{Blake3Hash, Digest};

/// Body of a complete: parts or a transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteRequest {
    /// The parts, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartEtag>,
    /// The object that was written with a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<TransferDone>,
}

/// One part that was sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartEtag {
    /// Counted from 1.
    pub part_number: u32,
    /// What the server answered, as it stood there.
    pub etag: String,
}

/// An object that was written with a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferDone {
    /// How; `s3_sdk`.
    pub mode: String,
    /// The bucket.
    pub bucket: String,
    /// The object.
    pub key: String,
    /// Bytes that were sent.
    pub size_bytes: u64,
    /// Their hash.
    pub blake3: Blake3Hash,
    /// Often empty: clients of such stores do not tell it.
    #[serde(default)]
    pub etag: String,
}

/// What the sender knows of a file. Fills in what a reply leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile {
    /// Ref or path it was sent under.
    pub reference: String,
    /// Its size.
    pub size_bytes: u64,
    /// Its hash.
    pub blake3: Blake3Hash,
    /// Kind of content.
    pub mime_type: String,
}

/// A file that the server has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UploadedFile {
    /// Under which name.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Its size.
    pub size_bytes: u64,
    /// Its hash.
    pub blake3: Blake3Hash,
    /// Kind of content.
    pub mime_type: String,
    /// The hash with its algorithm.
    pub blob_digest: Digest,
    /// SHA-256, 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Id of a media object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_id: Option<String>,
    /// Whether the name is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<bool>,
    /// Where blobs of this kind live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob_domain: Option<String>,
    /// Where this blob lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob_path: Option<String>,
    /// The tree it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_digest: Option<String>,
    /// Its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

impl CompleteRequest {
    /// Finishes an upload in parts. They may come in any order.
    #[must_use]
    pub fn of_parts(mut parts: Vec<PartEtag>) -> Self {
        parts.sort();
        Self { parts, transfer: None }
    }

    /// Finishes an upload by grant.
    #[must_use]
    pub fn of_transfer(transfer: TransferDone) -> Self {
        Self { parts: Vec::new(), transfer: Some(transfer) }
    }
}

impl UploadedFile {
    /// Reads the reply to a complete of `local`.
    ///
    /// # Errors
    /// [`ReplyError`] when it is no object, or when it is about other content: another size or hash.
    pub fn from_reply(body: &[u8], local: &LocalFile) -> Result<Self, ReplyError> {
        let file = Self::from_object(&read_object(body)?, local);
        if file.size_bytes != local.size_bytes {
            return Err(ReplyError::Invalid("size_bytes"));
        }
        if file.blake3 != local.blake3 {
            return Err(ReplyError::Invalid("blake3"));
        }
        Ok(file)
    }

    /// What `object` says, and `local` where it says nothing that can be read.
    pub(super) fn from_object(object: &Map<String, Value>, local: &LocalFile) -> Self {
        let own = |name: &str| text(object, &[name]).map(str::to_owned);
        let hash = |name: &str| text(object, &[name]).and_then(|text| text.parse::<Blake3Hash>().ok());
        let blake3 = hash("blake3").or_else(|| hash("blob_digest")).unwrap_or(local.blake3);
        let size = object.get("size_bytes").and_then(Value::as_u64);
        Self {
            reference: own("ref").unwrap_or_else(|| local.reference.clone()),
            size_bytes: size.filter(|size| *size > 0).unwrap_or(local.size_bytes),
            blake3,
            mime_type: own("mime_type").unwrap_or_else(|| local.mime_type.clone()),
            blob_digest: blake3.into(),
            sha256: own("sha256"),
            media_id: own("media_id"),
            created: object.get("created").and_then(Value::as_bool),
            blob_domain: own("blob_domain"),
            blob_path: own("blob_path"),
            snapshot_digest: own("snapshot_digest"),
            filename: own("filename"),
        }
    }
}

/// Whether two ETags are the same but for quotes around them: some clients keep them, some strip them.
#[must_use]
pub fn same_etag(one: &str, other: &str) -> bool {
    one.trim().trim_matches('"') == other.trim().trim_matches('"')
}

#[cfg(test)]
mod tests;
