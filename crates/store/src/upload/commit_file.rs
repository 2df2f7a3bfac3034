//! Files of a commit (Hub contract, section 6): hashed and announced together, sent to where the hub wants them.

use std::{fmt, path::PathBuf, sync::Arc};

use gen_worker_hub::{
    Blake3Hash,
    api::{CompleteRequest, UploadSource},
};

use super::{
    content::Measured,
    error::UploadError,
    part_connections::PartConnections,
    uploader::{Shared, Uploader},
};
use crate::progress::Progress;

/// Largest file: by its size the parts of its hash are laid out, and what a sparse file says may be anything.
const FILE_BYTES_MAX: u64 = 16 << 40;

/// A file whose hash is known, of at most 16 TiB. What is sent of it later is what was hashed, or it fails.
#[derive(Clone)]
pub struct CommitFile(Arc<Measured>);

impl CommitFile {
    /// Reads all of the file at `path`, a large one on several threads. Blocks.
    ///
    /// # Errors
    /// [`UploadError::Disk`] when it cannot be read or is no file, [`UploadError::Changed`] when somebody writes to it meanwhile,
    /// [`UploadError::TooLarge`].
    pub fn read(path: PathBuf) -> Result<Self, UploadError> {
        let bounded = |size_bytes| match size_bytes {
            0..=FILE_BYTES_MAX => Ok(size_bytes),
            _ => Err(UploadError::TooLarge { size_bytes, bytes_max: FILE_BYTES_MAX }),
        };
        Measured::of_file(path, bounded).map(|measured| Self(Arc::new(measured)))
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

/// Sends files of one commit over connections that it keeps.
pub struct CommitSender {
    shared: Arc<Shared>,
    connections: Arc<PartConnections>,
}

impl Uploader {
    /// Has not connected yet.
    #[must_use]
    pub fn commit(&self) -> CommitSender {
        let Self(shared) = self;
        CommitSender { shared: Arc::clone(shared), connections: shared.connections() }
    }
}

impl CommitSender {
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
        let shared = &self.shared;
        // Nobody closes the semaphore.
        let _file = shared.files.acquire().await.map_err(|_| UploadError::Closed)?;
        shared.bytes(&file.0, source, &self.connections, progress, false).await
    }
}

impl fmt::Debug for CommitSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitSender").finish_non_exhaustive()
    }
}

impl fmt::Debug for CommitFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured { size_bytes, blake3, .. } = &*self.0;
        f.debug_struct("CommitFile").field("size_bytes", size_bytes).field("blake3", blake3).finish_non_exhaustive()
    }
}
