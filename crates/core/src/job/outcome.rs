//! How a handler and a job end. Values only.

use bytes::Bytes;
use gen_worker_proto::pb::JobStatus;

use crate::{FailureClass, WorkerError, outbox::EndOutput};

/// How a handler ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It returned this, encoded; nothing for a stream without a terminal value.
    Output(Option<Bytes>),
    /// It failed.
    Failed {
        /// What that means for the request.
        class: FailureClass,
        /// Text for the client, not yet sanitized.
        message: String,
    },
}

impl From<&WorkerError> for Outcome {
    fn from(error: &WorkerError) -> Self {
        Self::Failed { class: error.class(), message: error.client_message() }
    }
}

/// How a job ends on the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// Its status.
    pub status: JobStatus,
    /// What the handler returned.
    pub output: EndOutput,
    /// Text for the client, not yet sanitized; empty on success.
    pub message: String,
}

impl Ending {
    /// Success.
    #[must_use]
    pub fn ok(output: EndOutput) -> Self {
        Self { status: JobStatus::Ok, output, message: String::new() }
    }

    /// A failure of this class.
    #[must_use]
    pub fn failed(class: FailureClass, message: impl Into<String>) -> Self {
        let (status, mut message) = match class {
            FailureClass::Invalid => (JobStatus::Invalid, message.into()),
            FailureClass::Retryable => (JobStatus::Retryable, message.into()),
            FailureClass::Canceled => return Self::canceled(),
            FailureClass::Fatal => (JobStatus::Fatal, message.into()),
        };
        if message.is_empty() && status == JobStatus::Invalid {
            "invalid input".clone_into(&mut message);
        }
        Self { status, output: EndOutput::None, message }
    }

    /// Somebody asked for the end.
    #[must_use]
    pub fn canceled() -> Self {
        Self { status: JobStatus::Canceled, output: EndOutput::None, message: "canceled".to_owned() }
    }

    /// The worker goes away.
    #[must_use]
    pub fn draining() -> Self {
        Self { status: JobStatus::Retryable, output: EndOutput::None, message: "worker draining".to_owned() }
    }
}
