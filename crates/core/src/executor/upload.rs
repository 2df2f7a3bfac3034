//! The seam to the file API: for outputs above the inline limit and for what handlers save, and what may pass it.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use gen_worker_hub::api::UploadedFile;
use gen_worker_proto::{Pair, limits::INLINE_OUTPUT_BYTES_MAX};
use gen_worker_store::UploadFailure;
use parking_lot::Mutex;

use crate::{job::NotStored, saves::SaveContent};

/// A file to store.
#[derive(Clone)]
pub struct OutputUpload {
    /// The pair that made it.
    pub pair: Pair,
    /// Base URL of the file API, from the latest HelloAck.
    pub file_base_url: String,
    /// Bearer of the job for the file API. A secret.
    pub capability_token: String,
    /// Owner to store it under.
    pub tenant: String,
    /// Ref to store it under: `results/<request id>.msgpack` for an output.
    pub name: String,
    /// What it holds: the encoded output, or what a handler saved.
    pub content: SaveContent,
    /// Kind of content; none means bytes.
    pub mime_type: Option<String>,
    /// Whether a file that is there already is an error, and not replaced.
    pub create: bool,
}

impl fmt::Debug for OutputUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the token nor the content: one is a secret, the other the client's.
        f.debug_struct("OutputUpload")
            .field("pair", &self.pair)
            .field("name", &self.name)
            .field("content", &self.content)
            .finish_non_exhaustive()
    }
}

/// Stores files.
pub trait OutputUploader: Send + Sync {
    /// Stores `upload` and tells under which ref others find it.
    ///
    /// # Errors
    /// When it is not stored; a job whose output it was then goes back to the orchestrator.
    ///
    /// # Cancel safety
    /// The future may be dropped: what was stored so far is never visible under a ref.
    fn upload(&self, upload: OutputUpload) -> BoxFuture<'static, Result<UploadedFile, UploadError>>;
}

/// Why a file is not stored. For the log; the client sees `output upload failed`.
#[derive(Debug, thiserror::Error)]
#[error("a file of {pair} cannot be stored")]
pub struct UploadError {
    /// The pair that made it.
    pub pair: Pair,
    /// What to do about it.
    pub failure: UploadFailure,
    /// What failed.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The uploader, if there is one, where the file API is, and the largest file it is given.
pub(crate) struct Uploads {
    uploader: Option<Arc<dyn OutputUploader>>,
    bytes_max: usize,
    file_base_url: Mutex<String>,
}

impl Uploads {
    /// Files of at most `bytes_max` bytes go to `uploader`; 0 = of any size.
    pub(crate) fn new(uploader: Option<Arc<dyn OutputUploader>>, bytes_max: usize) -> Self {
        let bytes_max = if bytes_max == 0 { usize::MAX } else { bytes_max };
        Self { uploader, bytes_max, file_base_url: Mutex::default() }
    }

    /// The file API is there from now on.
    pub(super) fn move_to(&self, file_base_url: &str) {
        file_base_url.clone_into(&mut self.file_base_url.lock());
    }

    pub(super) fn file_base_url(&self) -> String {
        self.file_base_url.lock().clone()
    }

    /// What stores a file of this size.
    ///
    /// # Errors
    /// When nothing does.
    pub(super) fn of(&self, bytes: usize) -> Result<Arc<dyn OutputUploader>, NotStored> {
        let uploader = self.uploader.as_ref().ok_or(NotStored::NoStore { bytes })?;
        if bytes > self.bytes_max {
            return Err(NotStored::TooLarge { bytes, bytes_max: self.bytes_max });
        }
        Ok(uploader.clone())
    }

    /// The largest output that can be delivered at all.
    pub(super) fn output_bytes_max(&self) -> usize {
        let stored = if self.uploader.is_some() { self.bytes_max } else { 0 };
        stored.max(INLINE_OUTPUT_BYTES_MAX)
    }
}
