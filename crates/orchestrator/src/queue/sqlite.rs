//! The durable queue in one SQLite file: write-ahead log, `synchronous = FULL`, one writer, group commit.
//!
//! ```text
//! callers ──> Intake (bounded by bytes) ──> thread "queue-writer": one transaction for all that waits
//!    ^                                            │ commit (one fsync)
//!    └──────────── one answer per batch <─────────┘
//! callers ──> Readers (a few read-only connections) ──> blocking pool
//! ```
//!
//! The file is owned by one process at a time, guarded by a lock beside it. A request is one row of `request` that
//! never changes, and one of `live` (small, hot) that moves to `history` when it ends: payloads are written once.
//! SQL stays inside this module.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt as _};
use gen_worker_proto::{FunctionName, RequestId};
use gen_worker_tasks::{JoinOutcome, Scope};
use tracing::warn;

use self::{
    intake::{Batch, Intake},
    readers::Readers,
};
use super::{Applied, Change, Enqueued, Filter, Queue, QueueError};
use crate::request::{NewRequest, Request};

mod apply;
mod codec;
mod enqueue;
mod failure;
mod intake;
mod lock;
mod open;
mod page;
mod readers;
mod retention;
mod row;
mod schema;
mod writer;

pub use open::{OpenCause, OpenError};

/// Longest wait in [`Queue::close`] for the writer's last commit: one is a matter of milliseconds, so past this the
/// disk hangs and waiting longer would only hang the shutdown with it.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

/// Where and how to keep the queue.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database file; made when absent, its directory is not. Two files live beside it while it is open, named
    /// after it: `-wal`, `-shm`; a third, `.lock`, names its owner.
    pub path: PathBuf,
    /// Largest size of the database, in bytes; beyond it writes fail as on a full disk. `None` leaves it to the disk.
    pub size_bytes_max: Option<u64>,
    /// How long ended requests are kept, from their submit; `None` keeps them for ever. They leave in the commits of
    /// others, so an idle store keeps them longer, and the file does not shrink: its space is used again.
    pub history_kept: Option<Duration>,
}

/// A [`Queue`] in one SQLite file.
///
/// Dropped without [`Queue::close`], it commits what was handed over and lets go of the file a moment later.
#[derive(Debug)]
pub struct SqliteQueue {
    intake: Intake,
    readers: Arc<Readers>,
    scope: Scope,
}

impl SqliteQueue {
    /// Opens or makes the store, brings its format up to date, and takes its ownership until it is closed.
    ///
    /// # Errors
    /// When the file cannot be used: one error that names the path, with the cause as its source.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let scope = Scope::new("queue");
        let (path, history_kept) = (options.path.clone(), options.history_kept);
        let opening = scope.spawn_blocking(move || open::open(&options)).await;
        let opened = match opening {
            Ok(opened) => opened?,
            Err(gone) => return Err(OpenError::new(path, OpenCause::Io(gone.into()))),
        };
        let (intake, batches) = Intake::new();
        let writer = writer::Writer::new(opened.writer, batches, opened.lock, history_kept);
        scope
            .spawn_thread("queue-writer", move || writer.run())
            .map_err(|source| OpenError::new(path, OpenCause::Io(source)))?;
        Ok(Self { intake, readers: Arc::new(opened.readers), scope })
    }

    /// Runs `work` on a read-only connection off the async threads.
    async fn read<T, F>(&self, operation: &'static str, work: F) -> Result<T, QueueError>
    where
        F: FnOnce(&rusqlite::Connection) -> Result<T, QueueError> + Send + 'static,
        T: Send + 'static,
    {
        let seat = self.readers.seat().await?;
        let reading = self.scope.spawn_blocking(move || seat.run(work));
        reading.await.map_err(|gone| QueueError::Unavailable { operation, source: gone.into() })?
    }
}

impl Queue for SqliteQueue {
    fn enqueue(&self, requests: Vec<NewRequest>) -> BoxFuture<'_, Result<Vec<Enqueued>, QueueError>> {
        self.intake.hand_over(|reply| Batch::Enqueue { requests, reply }).boxed()
    }

    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Applied>, QueueError>> {
        self.intake.hand_over(|reply| Batch::Apply { changes, reply }).boxed()
    }

    fn apply_lazily(&self, changes: Vec<Change>) {
        self.intake.hand_over_lazily(changes);
    }

    fn get(&self, id: RequestId) -> BoxFuture<'_, Result<Option<Request>, QueueError>> {
        self.read("read a request", move |connection| page::get(connection, &id)).boxed()
    }

    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Request>, QueueError>> {
        self.read("list requests", move |connection| page::list(connection, &filter)).boxed()
    }

    fn unfinished(&self, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Request>, QueueError>> {
        self.read("read unfinished requests", move |connection| page::unfinished(connection, after, limit)).boxed()
    }

    fn known_functions(&self) -> BoxFuture<'_, Result<Vec<FunctionName>, QueueError>> {
        self.read("read known functions", page::known_functions).boxed()
    }

    fn remember_functions(&self, functions: Vec<FunctionName>) -> BoxFuture<'_, Result<(), QueueError>> {
        self.intake.hand_over(|reply| Batch::Remember { functions, reply }).boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        self.intake.hand_over(|reply| Batch::Probe { reply }).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        async {
            // Readers first: the last connection to close folds the log into the database, and they may not write.
            self.readers.close().await;
            self.intake.close();
            if self.scope.join(CLOSE_LIMIT).await == JoinOutcome::TimedOut {
                warn!("the queue's last commit did not end in time; its callers were not answered");
            }
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
