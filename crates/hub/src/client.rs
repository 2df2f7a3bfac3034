//! The client of a hub: one method for each call of the contract, with its timeouts, retries and errors.
//!
//! ```text
//! HubClient::resolve, … ──> Call ──exchange (timeout, bounded body)──> Reply ──> value or HubError
//!                             └── again, as RetryPolicy and PollPolicy say (pure) ──┘
//! ```
//! No call leaves anything running: a future that is dropped ends its request, and with it what would have followed. Replies
//! are bounded in size and in time. Tokens are in headers that do not show; errors repeat no address and no more than an
//! excerpt of what the server said, cleaned by [`crate::redact()`]. Redirects are not followed: a token goes where it was meant
//! to go.

mod capabilities;
mod commits;
mod datasets;
mod endpoint_tags;
mod environments;
mod error;
mod exchange;
mod hub_client;
mod job_sessions;
mod options;
mod repos;
mod resolve;
mod retry;
mod sessions;
mod tls;
mod uploads;
mod url;

pub use error::{HubError, HubFailure};
pub use hub_client::HubClient;
pub use job_sessions::JobSessions;
pub use options::{HubClientOptions, HubTiming};
pub use repos::BlobReader;
pub use retry::{Jitter, PollPolicy, RetryPolicy, retry_after};
pub use tls::config as tls_config;
pub use uploads::UploadTarget;
