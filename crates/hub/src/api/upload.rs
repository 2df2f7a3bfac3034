//! Opening an upload: what is announced, and where the server wants the bytes (Hub contract, 4a and 4b).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    complete::{LocalFile, UploadedFile},
    grant::TransferGrant,
    reply::{ReplyError, count, read_object, text, truthy},
};
use crate::{digest::Blake3Hash, names::ServerId, repo_path::RepoPath, secret::SignedUrl};

/// Bytes of a part when the server names no size.
pub const PART_SIZE_DEFAULT: u64 = 64 * 1024 * 1024;

/// Most parts of one upload: what S3 allows.
pub const PARTS_MAX: usize = 10_000;

/// Body of a create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadCreate {
    /// Content that will come.
    pub blake3: Blake3Hash,
    /// Its size.
    pub size_bytes: u64,
    /// For which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// For which job; media only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Kind of content; absent means bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Refuse to replace what is there (`ref_exists`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create: bool,
    /// Under which name.
    #[serde(flatten)]
    pub place: UploadPlace,
}

/// Under which name content is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadPlace {
    /// A ref of the media of a tenant.
    Ref(RepoPath),
    /// A path in a revision.
    Path(RepoPath),
}

/// How an upload goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum UploadStart {
    /// The server has the content: finished, without a complete.
    Done(UploadedFile),
    /// The bytes are wanted.
    Transfer {
        /// The upload.
        upload_id: ServerId,
        /// Where to.
        source: UploadSource,
    },
}

/// Where bytes are sent.
#[derive(Clone, Debug, PartialEq)]
pub enum UploadSource {
    /// To addresses, in parts.
    Parts(PartUrls),
    /// To an object store.
    Grant(TransferGrant),
}

/// The addresses of the parts of one file: exactly as many as its size needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartUrls {
    urls: Vec<SignedUrl>,
    part_size: u64,
    size_bytes: u64,
}

/// One part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartRange {
    /// Counted from 1.
    pub number: u32,
    /// Where it starts in the file.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
}

impl UploadPlace {
    /// A ref of media, without a slash in front (Hub contract, 4.1).
    ///
    /// # Errors
    /// When it is no path; addresses are none.
    pub fn media(text: &str) -> Result<Self, crate::repo_path::RepoPathError> {
        Ok(Self::Ref(text.trim_start_matches('/').parse()?))
    }
}

impl UploadStart {
    /// Reads the reply to a create of `local`. `grant_only` for uploads to a revision, which take no presigned parts.
    ///
    /// # Errors
    /// [`ReplyError`] when it says neither that the content is there nor where the bytes go.
    pub fn from_reply(body: &[u8], local: &LocalFile, grant_only: bool) -> Result<Self, ReplyError> {
        let object = read_object(body)?;
        if truthy(&object, "dedup") {
            return Ok(Self::Done(UploadedFile::from_object(&object, local)));
        }
        let upload_id = text(&object, &["upload_id"]).ok_or(ReplyError::Missing("upload_id"))?;
        let upload_id = upload_id.parse().map_err(|_| ReplyError::Invalid("upload_id"))?;
        Ok(Self::Transfer { upload_id, source: UploadSource::from_object(&object, local.size_bytes, grant_only)? })
    }
}

impl UploadSource {
    fn from_object(object: &Map<String, Value>, size_bytes: u64, grant_only: bool) -> Result<Self, ReplyError> {
        match TransferGrant::within(object, &["transfer_grant", "s3_transfer_grant"])? {
            Some(grant) => Ok(Self::Grant(grant)),
            None if grant_only => Err(ReplyError::GrantNeeded),
            None => Ok(Self::Parts(PartUrls::from_object(object, size_bytes)?)),
        }
    }
}

impl PartUrls {
    /// Reads `part_urls`, `part_size` and `total_parts` for a file of `size_bytes`.
    ///
    /// # Errors
    /// [`ReplyError`] when there are none, too many, or not as many as the size needs: with fewer the file would end early.
    pub fn from_object(object: &Map<String, Value>, size_bytes: u64) -> Result<Self, ReplyError> {
        let listed = object.get("part_urls").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if listed.is_empty() {
            return Err(ReplyError::Missing("part_urls"));
        }
        if listed.len() > PARTS_MAX {
            return Err(ReplyError::TooMany("part_urls"));
        }
        let url = |value: &Value| value.as_str()?.parse().ok();
        let urls: Option<Vec<SignedUrl>> = listed.iter().map(url).collect();
        let urls = urls.ok_or(ReplyError::Invalid("part_urls"))?;
        let part_size = count(object, "part_size")?.unwrap_or(PART_SIZE_DEFAULT);
        if part_size == 0 {
            return Err(ReplyError::Invalid("part_size"));
        }
        let parts = urls.len() as u64;
        let needed = size_bytes.div_ceil(part_size).max(1);
        if parts != needed || count(object, "total_parts")?.is_some_and(|total| total != parts) {
            return Err(ReplyError::Invalid("total_parts"));
        }
        Ok(Self { urls, part_size, size_bytes })
    }

    /// Every part with its address, in order. An empty file has one empty part.
    pub fn parts(&self) -> impl Iterator<Item = (PartRange, &SignedUrl)> {
        let (part_size, size) = (self.part_size, self.size_bytes);
        self.urls.iter().zip(1u32..).map(move |(url, number)| {
            let offset = u64::from(number - 1).saturating_mul(part_size).min(size);
            (PartRange { number, offset, length: part_size.min(size - offset) }, url)
        })
    }
}

#[cfg(test)]
mod tests;
