//! A file in a payload or an output, as every party of the system spells it.

use std::{fmt, path::Path};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    io_type::{Output, bytes_field},
    worker_error::{Result, WorkerError},
};

/// A file: by ref, by address, or with its bytes.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub struct Asset {
    /// Name in the media of its owner, or an address of the web in a payload.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Whose it is.
    #[serde(default)]
    pub owner: Option<String>,
    /// Where it lies on this machine.
    #[serde(default)]
    pub local_path: Option<String>,
    /// Kind of content.
    #[serde(default)]
    pub mime_type: Option<String>,
    /// Its size.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// SHA-256 in hexadecimal digits.
    #[serde(default)]
    pub sha256: Option<String>,
    /// BLAKE3 in hexadecimal digits.
    #[serde(default)]
    pub blake3: Option<String>,
    /// Id of the media object.
    #[serde(default)]
    pub media_id: Option<String>,
    /// Permission to read it. A secret.
    #[serde(default)]
    pub download_token: Option<String>,
    /// How it was written, when that was a stream.
    #[serde(default)]
    pub stream_mode: Option<String>,
    /// Its bytes, when it is stored nowhere.
    #[serde(default, with = "bytes_field")]
    #[schemars(schema_with = "bytes_field::optional_schema")]
    pub inline_bytes: Option<Bytes>,
    /// Most bytes that are fetched for an address.
    #[serde(default)]
    pub url_max_bytes: Option<u64>,
    /// Kinds of content that are taken from an address; none listed means all.
    #[serde(default)]
    pub url_allowed_mime_types: Vec<String>,
    /// Widest picture that is taken, in pixels.
    #[serde(default)]
    pub url_max_width: Option<u64>,
    /// Highest picture that is taken, in pixels.
    #[serde(default)]
    pub url_max_height: Option<u64>,
    /// Largest picture that is taken, in pixels.
    #[serde(default)]
    pub url_max_pixels: Option<u64>,
    /// What the address is for, in messages about it.
    #[serde(default)]
    pub url_validation_context: Option<String>,
}

impl Output for Asset {}

impl Asset {
    /// Where it lies on this machine: a file of a payload, from before its handler runs until the job is over.
    ///
    /// # Errors
    /// [`WorkerError::validation`] when it lies nowhere here: its ref is no address.
    pub fn path(&self) -> Result<&Path> {
        let path = self.local_path.as_deref().filter(|path| !path.is_empty());
        path.map(Path::new)
            .ok_or_else(|| WorkerError::validation("the file is not on this machine: its ref is no address"))
    }
}

impl fmt::Debug for Asset {
    /// Neither the token nor the bytes: one is a secret, the other the client's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asset")
            .field("reference", &self.reference)
            .field("mime_type", &self.mime_type)
            .field("size_bytes", &self.size_bytes)
            .field("inline", &self.inline_bytes.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}
