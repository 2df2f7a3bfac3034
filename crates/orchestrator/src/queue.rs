//! The durable queue: the seam between what was promised and what a crash may take.
//!
//! Implementations: `sqlite` (embedded, one writer thread, group commit) and `memory` (its twin for tests and
//! for `durability = "memory"`). One conformance suite binds them. All writes are batches: callers hand over
//! what they have, the implementation commits many callers' batches at once.
//!
//! # Fencing
//! Every change to a request names the pair it was decided for. A change whose attempt is not the stored one, or
//! whose request is terminal, is refused with [`Applied::Stale`] and changes nothing. One exception serves
//! recovery: `Assign` raises the stored attempt, and may be lost in a crash (it is written lazily), so `Requeue`,
//! `Finish` and `Assign` accept an attempt above the stored one.
//!
//! # Durability
//! A returned `Ok` from [`Queue::enqueue`] and [`Queue::apply`] means: on disk (fsync) for durable requests. A
//! crash before the return may or may not keep the batch, but never half of it.

use futures::future::BoxFuture;
use gen_worker_proto::{FunctionName, Pair, RequestId};

use crate::request::{AttemptRecord, Ending, NewRequest, Request, State, UnixMs};

/// What came of one entry of [`Queue::enqueue`].
#[derive(Clone, Debug)]
pub enum Enqueued {
    /// Taken in; the stored record.
    Created(Box<Request>),
    /// The id was known with an equal body digest and tenant: the stored record, unchanged.
    Existing(Box<Request>),
    /// The id is taken by another body or another tenant. Nothing changed.
    Conflict,
}

/// A change of one request.
#[derive(Clone, Debug)]
pub enum Change {
    /// The pair was placed on a worker. `pair.attempt` must be above the stored attempt.
    Assign {
        /// The new current pair.
        pair: Pair,
        /// Where.
        worker_id: String,
        /// When.
        at: UnixMs,
    },
    /// The worker accepted the pair.
    Start {
        /// The current pair.
        pair: Pair,
        /// When.
        at: UnixMs,
    },
    /// The attempt failed and the request goes back to the queue.
    Requeue {
        /// The pair that failed.
        pair: Pair,
        /// What came of it; `None` when the attempt does not count as a failure (a drained worker gave it back).
        failure: Option<AttemptRecord>,
    },
    /// The request ended. For a request that was never assigned the attempt is 0.
    Finish {
        /// The current pair.
        pair: Pair,
        /// How.
        ending: Box<Ending>,
    },
}

impl Change {
    /// The pair this change was decided for.
    #[must_use]
    pub fn pair(&self) -> &Pair {
        match self {
            Self::Assign { pair, .. }
            | Self::Start { pair, .. }
            | Self::Requeue { pair, .. }
            | Self::Finish { pair, .. } => pair,
        }
    }
}

/// What came of one [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Stored.
    Done,
    /// The pair is no longer current, or the request is terminal or unknown. Nothing changed.
    Stale,
}

/// Which requests to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this tenant.
    pub tenant: Option<String>,
    /// Only this state.
    pub state: Option<State>,
    /// Only this function.
    pub function: Option<FunctionName>,
    /// Only requests created at or after this time.
    pub since: Option<UnixMs>,
    /// Only requests with a sequence below this one (the cursor).
    pub before_sequence: Option<i64>,
    /// 1..=[`LIST_ROWS_MAX`].
    pub limit: usize,
}

/// Most rows one [`Queue::list`] returns: a page, bounded so that no reader holds the store for long.
pub const LIST_ROWS_MAX: usize = 500;

/// Why the queue could not do it.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The store cannot be used now; the caller may try again.
    #[error("queue store is unavailable: {operation}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store holds something that this version cannot read.
    #[error("queue store is corrupt: {detail}")]
    Corrupt {
        /// What was found.
        detail: String,
    },
    /// The queue was closed.
    #[error("queue is closed")]
    Closed,
}

/// A durable queue. Object safe; shared behind `Arc<dyn Queue>`.
///
/// # Cancel safety
/// Dropping a returned future does not undo a batch that was already handed over.
pub trait Queue: Send + Sync + std::fmt::Debug {
    /// Takes in requests, in order. One result per entry, each entry on its own.
    fn enqueue(&self, requests: Vec<NewRequest>) -> BoxFuture<'_, Result<Vec<Enqueued>, QueueError>>;

    /// Applies changes, in order. One result per entry, each entry on its own.
    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Applied>, QueueError>>;

    /// One request, live or ended.
    fn get(&self, id: RequestId) -> BoxFuture<'_, Result<Option<Request>, QueueError>>;

    /// A page of requests, newest (highest sequence) first.
    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Request>, QueueError>>;

    /// Requests that have not ended, oldest first, with a sequence above `after`; at most `limit`. Read once at
    /// start to rebuild the pool's view.
    fn unfinished(&self, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Request>, QueueError>>;

    /// Functions that a worker has ever advertised, so that a restart still tells unknown from absent.
    fn known_functions(&self) -> BoxFuture<'_, Result<Vec<FunctionName>, QueueError>>;

    /// Remembers functions. Idempotent.
    fn remember_functions(&self, functions: Vec<FunctionName>) -> BoxFuture<'_, Result<(), QueueError>>;

    /// Whether the store answers now.
    fn ready(&self) -> BoxFuture<'_, Result<(), QueueError>>;

    /// Commits what is under way and closes the store. Later calls fail with [`QueueError::Closed`]. Idempotent.
    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>>;
}
