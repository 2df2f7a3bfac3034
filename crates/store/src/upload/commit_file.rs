//! Files of a commit (Hub contract, section 6): hashed and announced together, sent one by one to where the hub wants them.

use std::{fmt, path::PathBuf, sync::Arc};

use gen_worker_hub::{
    Blake3Hash,
    api::{CompleteRequest, UploadSource},
};

use super::{content::Measured, error::UploadError, uploader::Uploader};
use crate::progress::Progress;

/// A file of any size whose hash is known. What is sent of it later is what was hashed, or it fails.
#[derive(Clone)]
pub struct CommitFile(Arc<Measured>);

impl CommitFile {
    /// Reads all of the file at `path` on as many threads as there are. Blocks.
    ///
    /// # Errors
    /// [`UploadError::Disk`] when it cannot be read or is no file, [`UploadError::Changed`] when somebody writes to it meanwhile.
    pub fn read(path: PathBuf) -> Result<Self, UploadError> {
        Measured::of_file(path, Ok).map(|measured| Self(Arc::new(measured)))
    }

    /// Its size.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.0.size_bytes
    }

    /// Its content.
    #[must_use]
    pub fn blake3(&self) -> Blake3Hash {
        self.0.blake3
    }
}

impl Uploader {
    /// Sends `file` to `source`, and gives what the hub has to be told of that. A server that names no ETag is taken at its word
    /// (Hub contract, 4.9).
    ///
    /// # Errors
    /// [`UploadError`], with what to do about it in [`UploadError::failure`].
    ///
    /// # Cancel safety
    /// May be dropped: its requests end. What arrived ends with the commit.
    pub async fn send(
        &self,
        file: &CommitFile,
        source: &UploadSource,
        progress: &Arc<dyn Progress>,
    ) -> Result<CompleteRequest, UploadError> {
        let shared = &self.0;
        // Nobody closes the semaphore.
        let _file = shared.files.acquire().await.map_err(|_| UploadError::Closed)?;
        shared.bytes(&file.0, source, progress, false).await
    }
}

impl fmt::Debug for CommitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { size_bytes, blake3, .. } = &*self.0;
        f.debug_struct("CommitFile").field("size_bytes", size_bytes).field("blake3", blake3).finish_non_exhaustive()
    }
}
