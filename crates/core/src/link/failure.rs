//! Why a connection attempt or a connection ended.

/// Why there is no connection any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkFailure {
    /// No transport.
    #[error("cannot reach the orchestrator")]
    Transport(#[source] tonic::transport::Error),
    /// Dial, Hello and HelloAck took too long together.
    #[error("handshake took longer than {} s", .0.as_secs())]
    Timeout(std::time::Duration),
    /// The orchestrator ended the call without an error.
    #[error("the orchestrator ended the stream")]
    Ended,
    /// The orchestrator refused or ended the call.
    #[error("the orchestrator refused: {:?} {}", .0.code(), .0.message())]
    Refused(tonic::Status),
    /// The first message was not a HelloAck.
    #[error("the first message was not HelloAck")]
    NotAcknowledged,
    /// The orchestrator speaks another protocol version.
    #[error("the orchestrator speaks protocol version {0}")]
    Version(i32),
    /// The token cannot be sent in a header.
    #[error("the worker token has characters that no header can carry")]
    Token,
}

impl LinkFailure {
    /// The failure and its causes in one line, for the log.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}
