//! Why a file of an input is not there. Owns no state.

use std::{error::Error, io, path::PathBuf};

/// Why a file of an input is not there. Of its address only the host is named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The address is none, or not one of `http` or `https`.
    #[error("the address is not one of the web")]
    Address,
    /// The host is, or may be, one of a private network.
    #[error("{host} is not a public host")]
    Private {
        /// Which.
        host: String,
    },
    /// Nobody knows the host.
    #[error("{host} cannot be resolved")]
    Unknown {
        /// Which.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// One server sends to the next, too often.
    #[error("too many redirects")]
    Redirects,
    /// It has more bytes than it may have.
    #[error("the file has more than {bytes_max} bytes")]
    TooLarge {
        /// What it may have.
        bytes_max: u64,
    },
    /// It is something else than was asked for.
    #[error("files of type {mime_type} are not accepted")]
    Type {
        /// What it is.
        mime_type: String,
    },
    /// It is a picture that is larger than it may be.
    #[error("the {measure} of the picture is {found}, more than {most}")]
    Picture {
        /// What of it.
        measure: &'static str,
        /// How much that is, in pixels.
        found: u64,
        /// How much it may be.
        most: u64,
    },
    /// It may be a picture of some size only, and it is none whose size can be known.
    #[error("the file is no whole picture in a format whose size can be checked (PNG, JPEG, WebP, GIF)")]
    NoPicture,
    /// Its bytes are not those that were announced.
    #[error("the file is not the one that was announced: its {algorithm} is another")]
    Digest {
        /// Which hash tells.
        algorithm: &'static str,
    },
    /// The server does not give it.
    #[error("the server answered with status {status}")]
    Status {
        /// With this status.
        status: u16,
    },
    /// It did not come in time.
    #[error("the file did not come in time")]
    Late,
    /// The transfer broke.
    #[error("the transfer failed")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// It cannot be written.
    #[error("write of an input failed at {}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No connections can be made at all.
    #[error("fetches of inputs cannot be set up")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
    /// The fetcher was closed meanwhile.
    #[error("the fetcher is closed")]
    Closed,
}

impl InputError {
    /// Whether the input is at fault, so that no other worker would do better (Hub contract, 14.1, 14.2).
    #[must_use]
    pub fn is_invalid_input(&self) -> bool {
        match self {
            // What the server cannot do now it may do later.
            Self::Status { status } => !matches!(status, 408 | 429 | 500..),
            Self::Late | Self::Broken(_) | Self::Disk { .. } | Self::Setup(_) | Self::Closed => false,
            _ => true,
        }
    }
}
