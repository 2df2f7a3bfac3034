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
//! `Finish` and `Assign` accept an attempt above the stored one. In full, for a live request with `stored` as its
//! attempt (anything else is stale):
//!
//! | change | wants | leaves |
//! |---|---|---|
//! | `Assign` | attempt > stored | assigned, that attempt, worker and time; no start time |
//! | `Start` | attempt = stored, assigned | running, start time |
//! | `Start` | attempt = stored, running | nothing changed, [`Applied::Done`]: the first start stands |
//! | `Requeue` | attempt = stored and assigned or running; or attempt > stored | queued, that attempt, the failure appended |
//! | `Cancel` | anything | nothing changed but the mark |
//! | `Finish` | attempt >= stored, a terminal ending | that attempt, the ending; its placement as worker and times |
//!
//! So a queued request stores the last attempt that is over, 0 before the first. A `Requeue` or `Finish` above the
//! stored attempt forgets the worker and times of the attempt before: they were not those of this one.
//!
//! # Durability
//! A returned `Ok` from [`Queue::enqueue`] and [`Queue::apply`] means: on disk (fsync) for durable requests. A
//! crash before the return may or may not keep the batch, but never half of it. A batch that failed with
//! [`QueueError::Unavailable`] is not visible to anyone, yet a crash right after it may still keep it; repeating it
//! is safe, because ids and attempts make every entry idempotent.

use std::time::Duration;

use futures::future::BoxFuture;
use gen_worker_proto::{Attempt, FunctionName, Pair, RequestId};

use crate::request::{AttemptRecord, Ending, NewRequest, Request, State, UnixMs};

mod fence;
pub mod memory;
pub mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

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
    /// A client wants it cancelled: a mark that stays until the end. `pair.attempt` does not matter.
    Cancel {
        /// The pair that was current.
        pair: Pair,
    },
    /// The request ended. For a request that was never assigned the attempt is 0.
    Finish {
        /// The current pair.
        pair: Pair,
        /// How; its state is terminal (anything else is refused as stale).
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
            | Self::Cancel { pair }
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

/// Longest time that [`Queue::apply_lazily`] keeps changes off the disk: long enough that under load they always
/// share the commit of a batch that somebody waits for, short enough that a listing is true to the eye.
pub const LAZY_DELAY: Duration = Duration::from_millis(20);

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
    /// The store holds something that this version cannot read. Nothing of the batch was applied.
    #[error("queue store is corrupt: {detail}")]
    Corrupt {
        /// What was found, and the id of the request it was found in.
        detail: String,
    },
    /// The queue was closed.
    #[error("queue is closed")]
    Closed,
}

/// A durable queue. Object safe; shared behind `Arc<dyn Queue>`.
///
/// # Cancel safety
/// Dropping a returned future does not undo a batch that was already handed over. A batch is handed over when its
/// future is first polled, unless the store is behind: then when there is room. Batches that one caller awaits one
/// after the other are applied in that order.
pub trait Queue: Send + Sync + std::fmt::Debug {
    /// Takes in requests, in order. One result per entry, each entry on its own.
    fn enqueue(&self, requests: Vec<NewRequest>) -> BoxFuture<'_, Result<Vec<Enqueued>, QueueError>>;

    /// Applies changes, in order. One result per entry, each entry on its own.
    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Applied>, QueueError>>;

    /// Hands over changes that nobody waits for (`Assign`, `Start`) and returns at once. They are applied in order,
    /// before every batch that the same caller hands over later, and reach the disk with the next batch or within
    /// [`LAZY_DELAY`]. They may be lost: in a crash, when the store is behind or fails, and after a close. Fencing
    /// allows for that.
    fn apply_lazily(&self, changes: Vec<Change>);

    /// One request, live or ended.
    fn get(&self, id: RequestId) -> BoxFuture<'_, Result<Option<Request>, QueueError>>;

    /// A page of requests, newest (highest sequence) first. Their payloads are left out (empty): a page shows what
    /// became of requests, and payloads would make it unbounded.
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

impl Request {
    /// A request that was just taken in.
    pub(crate) fn arrived(submitted: NewRequest, sequence: i64) -> Self {
        Self {
            submitted,
            sequence,
            state: State::Queued,
            attempt: Attempt(0),
            worker_id: None,
            assigned_at: None,
            started_at: None,
            attempts: Vec::new(),
            cancel_requested: false,
            ending: None,
        }
    }
}
