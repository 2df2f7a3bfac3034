//! The ids that fence every job message.

use std::{fmt, sync::Arc};

use crate::limits::REQUEST_ID_BYTES_MAX;

/// Id of a request, chosen by the client or the orchestrator. Opaque; cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(Arc<str>);

/// Number of a dispatch of one request: 1 at the first, one more at every requeue. Only the orchestrator
/// numbers attempts; a worker echoes what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Attempt(pub i64);

/// A request and one of its attempts: what a worker owns while it runs a job. Ordered by request id, then attempt.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    /// The request.
    pub request_id: RequestId,
    /// The dispatch.
    pub attempt: Attempt,
}

/// An id that cannot name a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The request id is the empty string.
    #[error("request id is empty")]
    Empty,
    /// The request id is longer than [`REQUEST_ID_BYTES_MAX`].
    #[error("request id has {0} bytes, more than {REQUEST_ID_BYTES_MAX}")]
    TooLong(usize),
}

impl RequestId {
    /// Takes an id from outside.
    ///
    /// # Errors
    /// When it is empty or longer than [`REQUEST_ID_BYTES_MAX`].
    pub fn parse(id: impl Into<Arc<str>>) -> Result<Self, PairError> {
        let id = id.into();
        match id.len() {
            0 => Err(PairError::Empty),
            n if n > REQUEST_ID_BYTES_MAX => Err(PairError::TooLong(n)),
            _ => Ok(Self(id)),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Attempt {
    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Pair {
    /// Takes a pair from a message.
    ///
    /// # Errors
    /// When the request id is unusable.
    pub fn parse(request_id: impl Into<Arc<str>>, attempt: i64) -> Result<Self, PairError> {
        Ok(Self { request_id: RequestId::parse(request_id)?, attempt: Attempt(attempt) })
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::borrow::Borrow<str> for RequestId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.request_id, self.attempt)
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
