//! Who may have the token of a job renewed (Hub contract, 9.3 to 9.6). Which jobs run is not known here: whoever runs them says.

use futures::future::BoxFuture;
use gen_worker_hub::BearerToken;

/// Why a token is not renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRunning {
    /// The token of the worker does not count.
    #[error("the token of the worker does not count")]
    Token,
    /// Another worker runs it.
    #[error("the request runs on another worker")]
    OtherWorker,
    /// There is no such request.
    #[error("there is no such request")]
    Unknown,
    /// It runs in another attempt.
    #[error("the request runs in another attempt")]
    OtherAttempt,
    /// It does not run any more, or not yet.
    #[error("the request does not run")]
    Ended,
}

/// Knows which jobs run. Given to the hub in its options by who composes the two.
pub trait RunningJobs: Send + Sync {
    /// The name of the worker that has the token `worker`, if `request_id` runs there in this `attempt`.
    ///
    /// # Errors
    /// The first [`NotRunning`] that holds, in the order in which they stand.
    ///
    /// # Cancel safety
    /// May be dropped: it changes nothing.
    fn check<'a>(
        &'a self,
        worker: &'a BearerToken,
        request_id: &'a str,
        attempt: u32,
    ) -> BoxFuture<'a, Result<String, NotRunning>>;
}
