//! Why a model cannot be had, and what the outside calls it.

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Nobody said where this model is.
    #[error("no local directory was given for model {0}")]
    Unknown(String),
    /// The directory given for it is not there.
    #[error("model directory {} of {reference} cannot be read", dir.display())]
    Directory {
        /// Wire ref of the model.
        reference: String,
        /// The directory.
        dir: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address that the orchestrator signed is not valid any more: it has to send a new one.
    #[error("the download address of model {0} has expired")]
    UrlExpired(String),
    /// The bytes that came are not the bytes that were promised.
    #[error("a file of model {0} does not have the digest it should have")]
    DigestMismatch(String),
    /// It does not fit on the disk.
    #[error("model {reference} needs {required_bytes} bytes of disk, {available_bytes} are available")]
    InsufficientDisk {
        /// Wire ref of the model.
        reference: String,
        /// What it takes, reserve included.
        required_bytes: u64,
        /// What there is.
        available_bytes: u64,
    },
    /// Nobody said which files it has, and it is not on disk as it was fetched before.
    #[error("model {0} is not on this disk, and nobody said which files it has")]
    MissingSnapshot(String),
    /// It is not on disk, and there is to be no network.
    #[error("model {0} is not on this disk, and no network may be used")]
    Offline(String),
    /// It is not on disk, and nobody said where the hub is.
    #[error("model {0} is not on this disk, and no hub is known that has it: set TENSORHUB_URL")]
    NoHub(String),
    /// It is not what may be loaded, or what was said of it makes no sense. The next try would give the same.
    #[error("model {reference} cannot be used")]
    Refused {
        /// Wire ref of the model.
        reference: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another kind of source failed. It may work the next time.
    #[error("model {reference} cannot be fetched")]
    Source {
        /// Wire ref of the model.
        reference: String,
        /// What failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ModelError {
    /// The word for it in a `ModelEvent` (wire contract 11.6).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown(_) | Self::MissingSnapshot(_) => "missing_snapshot",
            Self::UrlExpired(_) => "url_expired",
            Self::DigestMismatch(_) => "digest_mismatch",
            Self::InsufficientDisk { .. } => "insufficient_disk",
            Self::Directory { .. } | Self::Offline(_) | Self::NoHub(_) | Self::Refused { .. } | Self::Source { .. } => {
                "download_failed"
            }
        }
    }

    /// Whether trying again right away may help (11.7).
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::DigestMismatch(_) | Self::Source { .. })
    }
}
