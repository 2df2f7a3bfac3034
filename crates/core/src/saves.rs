//! Files that a handler makes: what they are called, and the seam to where they go.
//!
//! ```text
//! ctx.save_* ──Save──> FileSaver ─┬─ of a job: inside the output, or up to the Hub
//!                                 ├─ in a slot: to the worker, which has the token
//!                                 └─ LocalFiles: below a directory
//! ```
//! A handler gets an [`Asset`] and puts it into its output. Owns no state; whoever runs the handler chose the saver.

mod asset;
mod local_files;
mod mime;
mod naming;

use std::path::PathBuf;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::worker_error::{Result, WorkerError};

pub use asset::Asset;
pub use local_files::LocalFiles;
pub(crate) use mime::{HEAD_BYTES, mime_type};
pub use naming::Media;
pub(crate) use naming::{MediaNames, file_ref};

/// Largest file that a handler may save (Hub contract, 9.12).
pub(crate) const FILE_BYTES_MAX: u64 = 20 << 30;

/// A file to save.
#[derive(Clone, Debug)]
pub struct Save {
    /// Under which ref, in the author's words.
    pub reference: String,
    /// What it holds.
    pub content: SaveContent,
    /// Whether a file that is there already is an error, and not replaced.
    pub create: bool,
}

/// What a saved file holds.
#[derive(Clone)]
pub enum SaveContent {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A file of this machine, which must not change meanwhile.
    File(PathBuf),
}

/// Keeps what handlers save.
pub trait FileSaver: Send + Sync {
    /// Keeps `save` and tells where it is.
    ///
    /// # Errors
    /// A ref that is none, content that cannot be read or is too large, and what the place says.
    ///
    /// # Cancel safety
    /// The future may be dropped: nothing half is then to be found under the ref.
    fn save(&self, save: Save) -> BoxFuture<'static, Result<Asset>>;

    /// How a file that is written piece by piece gets to its place, in the word of the contract.
    fn stream_mode(&self) -> &'static str {
        "presigned"
    }
}

/// Nowhere to save to.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl FileSaver for NoFiles {
    fn save(&self, _save: Save) -> BoxFuture<'static, Result<Asset>> {
        Box::pin(async { Err(WorkerError::resource("there is nowhere to save files to")) })
    }
}

impl std::fmt::Debug for SaveContent {
    /// Leaves the bytes out: they are the client's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
