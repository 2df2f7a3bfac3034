//! The seam to the file API for outputs above the inline limit, and what may pass it. Its implementation comes with the
//! store.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;
use gen_worker_proto::{Pair, limits::INLINE_OUTPUT_BYTES_MAX};

use crate::job::NotStored;

/// An output to store.
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
    /// Name to store it under: `results/<request id>.msgpack`.
    pub name: String,
    /// The encoded output.
    pub output: Bytes,
}

impl fmt::Debug for OutputUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the token nor the output: one is a secret, the other the client's.
        f.debug_struct("OutputUpload")
            .field("pair", &self.pair)
            .field("name", &self.name)
            .field("bytes", &self.output.len())
            .finish_non_exhaustive()
    }
}

/// Stores outputs.
pub trait OutputUploader: Send + Sync {
    /// Stores `upload` and returns the file ref under which others find it.
    ///
    /// # Errors
    /// When it is not stored; the job then goes back to the orchestrator.
    ///
    /// # Cancel safety
    /// The future may be dropped: what was stored so far is never visible under a ref.
    fn upload(&self, upload: OutputUpload) -> BoxFuture<'static, Result<String, UploadError>>;
}

/// Why an output is not stored. For the log; the client sees `output upload failed`.
#[derive(Debug, thiserror::Error)]
#[error("output of {pair} cannot be stored")]
pub struct UploadError {
    /// The pair that made it.
    pub pair: Pair,
    /// What failed.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The uploader, if there is one, and the largest file it is given.
pub(crate) struct Uploads {
    uploader: Option<Arc<dyn OutputUploader>>,
    bytes_max: usize,
}

impl Uploads {
    /// Files of at most `bytes_max` bytes go to `uploader`; 0 = of any size.
    pub(crate) fn new(uploader: Option<Arc<dyn OutputUploader>>, bytes_max: usize) -> Self {
        Self { uploader, bytes_max: if bytes_max == 0 { usize::MAX } else { bytes_max } }
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
