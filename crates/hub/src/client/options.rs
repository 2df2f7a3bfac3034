//! What a client needs to know.

use std::time::Duration;

use super::retry::{PollPolicy, RetryPolicy};
use crate::secret::BearerToken;

/// Options of a [`super::HubClient`].
#[derive(Clone, Debug, Default)]
pub struct HubClientOptions {
    /// Where the hub is: `http` or `https`, a host, and possibly a path in front of all calls.
    pub base_url: String,
    /// Who asks. Without a token no header is sent.
    pub token: Option<BearerToken>,
    /// Tenant in whose name files are written (`X-Cozy-Owner`); a hint for the server.
    pub owner: Option<String>,
    /// PEM roots that are trusted besides the system's.
    pub extra_roots: Option<Vec<u8>>,
    /// How long things take.
    pub timing: HubTiming,
}

/// Timeouts and retries. The default is the contract's, section 15.
#[derive(Clone, Debug)]
pub struct HubTiming {
    /// A connection.
    pub connect: Duration,
    /// A resolve.
    pub resolve: Duration,
    /// A create of an upload.
    pub create: Duration,
    /// A complete of an upload.
    pub complete: Duration,
    /// An abort of an upload or a session.
    pub abort: Duration,
    /// An open of a session.
    pub session_open: Duration,
    /// A finalize of a session.
    pub session_finalize: Duration,
    /// A create or finalize of a commit.
    pub commit: Duration,
    /// An abort of a commit.
    pub commit_abort: Duration,
    /// Metadata, datasets, tokens and addresses.
    pub metadata: Duration,
    /// Between two pieces of a blob.
    pub blob: Duration,
    /// Repeats control calls of a commit.
    pub control_retry: RetryPolicy,
    /// Repeats the complete of an upload.
    pub complete_retry: RetryPolicy,
    /// Asks for the complete of an upload.
    pub complete_poll: PollPolicy,
    /// Asks for the complete of an upload of a commit.
    pub commit_complete_poll: PollPolicy,
    /// Waits when the connection was lost in all attempts of such a complete.
    pub commit_complete_lost: Duration,
    /// Asks for the finalize of a commit.
    pub finalize_poll: PollPolicy,
}

impl Default for HubTiming {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(30),
            resolve: seconds(60),
            create: seconds(60),
            complete: seconds(600),
            abort: seconds(15),
            session_open: seconds(30),
            session_finalize: seconds(120),
            commit: seconds(120),
            commit_abort: seconds(30),
            metadata: seconds(30),
            blob: seconds(300),
            control_retry: RetryPolicy::CONTROL,
            complete_retry: RetryPolicy::COMPLETE,
            complete_poll: PollPolicy::UPLOAD_COMPLETE,
            commit_complete_poll: PollPolicy::COMMIT_COMPLETE,
            commit_complete_lost: seconds(15),
            finalize_poll: PollPolicy::FINALIZE,
        }
    }
}
