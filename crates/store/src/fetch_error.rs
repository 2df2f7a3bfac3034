//! Why bytes cannot be had. Owns no state.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gen_worker_hub::Blake3Hash;

use crate::{format_gate::FormatError, providers::ProviderError, tree::TreeError};

/// Why bytes cannot be had. Clones go to everybody who waits for the same bytes. No address of the web is in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The server does not accept the address (any more). Nothing is tried again: somebody has to sign a new one.
    #[error("the download address of blob {blob} has expired (status {status})")]
    UrlExpired {
        /// What was to come.
        blob: Blake3Hash,
        /// What the server answered.
        status: u16,
    },
    /// It does not fit. It may later. Both numbers are 0 when the disk filled up in the middle.
    #[error("{required_bytes} bytes of disk are needed at {}, {available_bytes} are available", path.display())]
    InsufficientDisk {
        /// Which file system.
        path: PathBuf,
        /// What it takes, reserve included.
        required_bytes: u64,
        /// What there is.
        available_bytes: u64,
    },
    /// Other bytes came than were promised, each time.
    #[error("the bytes that came are not blob {blob}")]
    DigestMismatch {
        /// What was to come.
        blob: Blake3Hash,
    },
    /// The transfer failed, each time.
    #[error("blob {blob} cannot be downloaded")]
    Transfer {
        /// What was to come.
        blob: Blake3Hash,
        /// How it failed the last time.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// No connections can be made at all.
    #[error("downloads cannot be set up")]
    Setup(#[source] Arc<dyn Error + Send + Sync>),
    /// Only a bucket has the bytes, and there is no client for buckets.
    #[error("blob {blob} comes with a grant for a bucket, which this store cannot use")]
    Grant {
        /// What was to come.
        blob: Blake3Hash,
    },
    /// The files are not a tree that can be on a disk.
    #[error("the files of the snapshot are not a tree")]
    Tree(#[source] TreeError),
    /// The weights could run code when they are loaded.
    #[error("the model is not safe to load")]
    Format(#[source] FormatError),
    /// The disk refused.
    #[error("{operation} failed at {}", path.display())]
    Disk {
        /// What was done.
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The store was closed meanwhile.
    #[error("the store is closed")]
    Closed,
    /// A provider does not give the model.
    #[error("the model cannot be had from its provider")]
    Provider(#[source] Arc<ProviderError>),
}

/// What the outside calls a failure (model contract, 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchFailure {
    /// `url_expired`
    UrlExpired,
    /// `insufficient_disk`
    InsufficientDisk,
    /// `digest_mismatch`
    DigestMismatch,
    /// `download_failed`
    DownloadFailed,
}

impl FetchFailure {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UrlExpired => "url_expired",
            Self::InsufficientDisk => "insufficient_disk",
            Self::DigestMismatch => "digest_mismatch",
            Self::DownloadFailed => "download_failed",
        }
    }
}

impl FetchError {
    /// What the outside calls it.
    #[must_use]
    pub fn failure(&self) -> FetchFailure {
        match self {
            Self::UrlExpired { .. } => FetchFailure::UrlExpired,
            Self::InsufficientDisk { .. } => FetchFailure::InsufficientDisk,
            Self::DigestMismatch { .. } => FetchFailure::DigestMismatch,
            Self::Provider(error) => error.failure(),
            _ => FetchFailure::DownloadFailed,
        }
    }

    /// Whether trying again right away may help (model contract, 3.6).
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Provider(error) => error.is_passing(),
            _ => matches!(self, Self::DigestMismatch { .. } | Self::Transfer { .. } | Self::Disk { .. }),
        }
    }

    pub(crate) fn disk(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| match Self::says_full(&source) {
            true => Self::InsufficientDisk { path, required_bytes: 0, available_bytes: 0 },
            false => Self::Disk { operation, path, source: Arc::new(source) },
        }
    }

    /// Whether the disk is full, or as full as it may be for this user.
    fn says_full(error: &io::Error) -> bool {
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl From<ProviderError> for FetchError {
    fn from(error: ProviderError) -> Self {
        Self::Provider(Arc::new(error))
    }
}

#[cfg(test)]
mod tests;
