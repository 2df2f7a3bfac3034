//! Why a call failed.

use std::time::Duration;

use crate::{api::ReplyError, digest::Digest, secret::SecretError};

/// Why a call failed. No token and no address of the web is in it; `detail` is a cleaned excerpt of what the server said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Nobody said where the hub is.
    #[error("no address of a hub is given: set TENSORHUB_URL")]
    NoBaseUrl,
    /// What was said is no address.
    #[error("the address of the hub cannot be used")]
    BaseUrl(#[source] SecretError),
    /// No TLS with these roots.
    #[error("the trusted roots cannot be used")]
    Roots(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No client for other reasons.
    #[error("no connections can be made")]
    Setup(#[source] reqwest::Error),
    /// The call makes no sense; nothing was sent.
    #[error("{operation} was not sent: {why}")]
    Refused {
        /// Which call.
        operation: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The token is missing, old, or does not allow it.
    #[error("{operation}: the hub does not accept the token (status {status})")]
    Auth {
        /// Which call.
        operation: &'static str,
        /// 401 or 403.
        status: u16,
        /// What the server said.
        detail: String,
    },
    /// It is not there, or not for this caller: hubs do not tell which.
    #[error("{operation}: the hub has no such thing")]
    NotFound {
        /// Which call.
        operation: &'static str,
        /// What the server said.
        detail: String,
    },
    /// Too many calls.
    #[error("{operation}: the hub has had too many calls")]
    RateLimited {
        /// Which call.
        operation: &'static str,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Another answer than expected.
    #[error("{operation}: the hub answered with status {status}{}", said(code.as_deref()))]
    Status {
        /// Which call.
        operation: &'static str,
        /// The status.
        status: u16,
        /// The server's word for it.
        code: Option<String>,
        /// What the server said.
        detail: String,
    },
    /// No answer in time.
    #[error("{operation}: no answer within {} s", .after.as_secs_f64())]
    Timeout {
        /// Which call.
        operation: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// No connection, or one that broke.
    #[error("{operation}: the connection to the hub failed")]
    Transport {
        /// Which call.
        operation: &'static str,
        /// What broke.
        source: reqwest::Error,
    },
    /// The answer is larger than any such answer.
    #[error("{operation}: the answer is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Which call.
        operation: &'static str,
        /// The limit.
        limit_bytes: u64,
    },
    /// The answer cannot be read.
    #[error("{operation}: the answer cannot be used")]
    Reply {
        /// Which call.
        operation: &'static str,
        /// What is wrong with it.
        source: ReplyError,
    },
    /// The hub took longer than it may, and may still be at it.
    #[error("{operation}: not finished within {} s", .after.as_secs_f64())]
    Unfinished {
        /// Which call.
        operation: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The bytes of a blob are others than its digest says. None of them may be used.
    #[error("the bytes that came are not {0}")]
    DigestMismatch(Digest),
}

/// What to do about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubFailure {
    /// The request is wrong: it will fail again.
    Invalid,
    /// The same call may work later.
    Retryable,
    /// It will not work with this token or this server.
    Fatal,
}

/// The server's word for a refusal, behind its status; it says what a status alone does not, such as that a disk is full.
fn said(code: Option<&str>) -> String {
    code.map_or_else(String::new, |code| format!(" ({code})"))
}

impl HubError {
    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> HubFailure {
        match self {
            Self::RateLimited { .. } | Self::Timeout { .. } | Self::Transport { .. } | Self::Unfinished { .. } => {
                HubFailure::Retryable
            }
            Self::Status { status: 500.., .. } | Self::DigestMismatch(_) => HubFailure::Retryable,
            Self::Refused { .. } | Self::NotFound { .. } | Self::Status { status: 400..500, .. } => HubFailure::Invalid,
            _ => HubFailure::Fatal,
        }
    }

    /// Whether the server may never have seen the call, or its answer was lost.
    #[must_use]
    pub fn is_network(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Transport { .. })
    }

    /// The status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Auth { status, .. } | Self::Status { status, .. } => Some(*status),
            Self::NotFound { .. } => Some(404),
            Self::RateLimited { .. } => Some(429),
            _ => None,
        }
    }

    /// The server's word for its refusal.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Status { code, .. } => code.as_deref(),
            _ => None,
        }
    }
}
