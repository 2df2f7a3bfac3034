//! Why an upload failed. Owns no state.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gen_worker_hub::client::{HubError, HubFailure};

use crate::input::InputError;

/// Why content is not at the hub. No token and no address of the web is in it; what servers said is an excerpt, cleaned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// Nothing to upload: the hub takes no empty files.
    #[error("the file is empty")]
    Empty,
    /// More than one file may have.
    #[error("the file has {size_bytes} bytes, more than {bytes_max}")]
    TooLarge {
        /// What it has.
        size_bytes: u64,
        /// What it may have.
        bytes_max: u64,
    },
    /// The file cannot be read.
    #[error("{operation} failed at {}", path.display())]
    Disk {
        /// What was done.
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody wrote to the file since it was first read, or it has other bytes than it says: what was sent is neither the old nor
    /// the new content.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// The hub refused, or could not be asked.
    #[error("{phase} failed")]
    Hub {
        /// Which step.
        phase: UploadPhase,
        /// Why.
        source: HubError,
    },
    /// A part was refused. Another attempt would be too.
    #[error("part {number} was refused with status {status}: {detail}")]
    PartRefused {
        /// Which part, counted from 1.
        number: u32,
        /// The status.
        status: u16,
        /// What the server said.
        detail: String,
    },
    /// A part was taken without a word for it, so the upload cannot be completed.
    #[error("part {number} was taken without an ETag")]
    NoEtag {
        /// Which part, counted from 1.
        number: u32,
    },
    /// A part could not be sent, each time.
    #[error("part {number} cannot be sent")]
    Part {
        /// Which part, counted from 1.
        number: u32,
        /// How it failed the last time.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The hub wants the bytes in a bucket, and its grant names an object that cannot be.
    #[error("the grant of the upload cannot be used")]
    Grant(#[source] Box<dyn Error + Send + Sync>),
    /// The bucket of a grant did not take the bytes, each time.
    #[error("the transfer to the bucket failed: {detail}")]
    Transfer {
        /// How it failed the last time.
        detail: String,
    },
    /// A client wants the file where it may not go.
    #[error("the file may not be delivered there")]
    Destination(#[source] InputError),
    /// A client wants a header with the file that is none, or is not its to say.
    #[error("{name:?} may not go with a delivery")]
    Header {
        /// Which.
        name: String,
    },
    /// No connections can be made at all.
    #[error("uploads cannot be set up")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
    /// The uploader was closed meanwhile.
    #[error("the uploader is closed")]
    Closed,
}

/// A step of an upload that the hub takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadPhase {
    /// It is announced.
    Create,
    /// The hub verifies it.
    Complete,
}

/// What to do about a failed upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadFailure {
    /// The token is missing, old, or does not allow it.
    Auth,
    /// The hub has no such uploads.
    Unsupported,
    /// The same upload may work later.
    Retryable,
    /// It will fail again.
    Terminal,
}

impl UploadError {
    /// What to do about it (Hub contract, 4.2, 4.10, 4.17, 4.24).
    #[must_use]
    pub fn failure(&self) -> UploadFailure {
        match self {
            Self::Hub { source: HubError::Auth { .. }, .. } => UploadFailure::Auth,
            Self::Hub { phase: UploadPhase::Create, source: HubError::NotFound { .. } } => UploadFailure::Unsupported,
            Self::Hub { source, .. } if source.class() == HubFailure::Retryable => UploadFailure::Retryable,
            Self::Part { .. } | Self::Transfer { .. } | Self::Closed => UploadFailure::Retryable,
            _ => UploadFailure::Terminal,
        }
    }

    pub(super) fn disk(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Disk { operation, path, source }
    }

    pub(super) fn hub(phase: UploadPhase) -> impl FnOnce(HubError) -> Self {
        move |source| Self::Hub { phase, source }
    }
}

impl std::fmt::Display for UploadPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Create => "the announcement of the file",
            Self::Complete => "the completion of the upload",
        })
    }
}
