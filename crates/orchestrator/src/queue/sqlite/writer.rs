//! The one writer: a thread that owns the writing connection and the ownership of the file, and commits what waits
//! in one transaction.
//!
//! While one commit is on its way to the disk the next batches gather; so the busier the queue, the larger its
//! commits, without any timer. Only changes that nobody waits for are held back, for company.

use std::{
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tracing::warn;

use super::{
    apply, enqueue,
    failure::storage,
    intake::{Batch, Handed},
    lock::OwnerLock,
    retention::Retention,
};
use crate::queue::{Applied, LAZY_DELAY, QueueError};

/// Entries after which a commit takes no further batch: some 10 ms of work, several times an fsync, so that the fsync
/// is a small part already and nobody waits long. A single larger batch is still one commit.
const COMMIT_ENTRIES_MAX: usize = 2_048;

/// The writer's state.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    batches: Receiver<Handed>,
    /// None keeps everything.
    retention: Option<Retention>,
    // Last, so that the ownership ends after the connection is closed.
    _lock: OwnerLock,
}

/// What a batch came to, before it is committed.
enum Outcome {
    Enqueued(Vec<enqueue::Taken>),
    Applied(Vec<Applied>),
    Nothing,
}

impl Writer {
    /// A writer for what comes through `batches`.
    pub fn new(
        connection: Connection,
        batches: Receiver<Handed>,
        lock: OwnerLock,
        history_kept: Option<Duration>,
    ) -> Self {
        let retention = history_kept.map(|kept| Retention::new(kept, Instant::now()));
        Self { connection, batches, retention, _lock: lock }
    }

    /// Works until the other end of the channel is gone and everything in it is done. Blocks.
    pub fn run(mut self) {
        while let Some(group) = self.gather() {
            self.commit(group);
        }
        // The log is folded into the database by the last connection to close; a failure leaves it for the next start.
        if let Err((_, error)) = self.connection.close() {
            warn!(%error, "the queue store did not close cleanly");
        }
    }

    /// Waits for a batch and takes what else is there; `None` when there will never be one.
    fn gather(&self) -> Option<Vec<Handed>> {
        let first = self.batches.recv().ok()?;
        let due = Instant::now() + LAZY_DELAY;
        let mut entries = first.batch.entries();
        let mut awaited = first.batch.is_awaited();
        let mut group = vec![first];
        while entries < COMMIT_ENTRIES_MAX {
            let next = if awaited {
                self.batches.try_recv().ok()
            } else {
                self.batches.recv_timeout(due.saturating_duration_since(Instant::now())).ok()
            };
            let Some(next) = next else { break };
            entries += next.batch.entries();
            awaited |= next.batch.is_awaited();
            group.push(next);
        }
        Some(group)
    }

    /// Commits a group and answers it. When that fails, each batch is tried alone, so that a batch which cannot be
    /// stored fails by itself.
    fn commit(&mut self, mut group: Vec<Handed>) {
        match self.store(&group) {
            Ok(outcomes) => {
                for (handed, outcome) in group.into_iter().zip(outcomes) {
                    answer(handed.batch, outcome);
                }
            }
            Err(error) if group.len() == 1 => {
                if let Some(only) = group.pop() {
                    refuse(only.batch, error);
                }
            }
            Err(_) => group.into_iter().for_each(|handed| self.commit(vec![handed])),
        }
    }

    fn store(&mut self, group: &[Handed]) -> Result<Vec<Outcome>, QueueError> {
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let mut transaction = begun.map_err(storage("begin a transaction"))?;
        let outcomes = group.iter().map(|handed| execute(&transaction, &handed.batch)).collect::<Result<_, _>>()?;
        let entries = group.iter().map(|handed| handed.batch.entries()).sum();
        let swept = self.retention.as_ref().map(|retention| sweep(retention, &mut transaction, entries));
        transaction.commit().map_err(storage("commit"))?;
        match swept {
            Some(Ok(Some(next))) => self.retention = Some(next),
            Some(Err(error)) => {
                warn!(error = &error as &dyn std::error::Error, "old requests are kept until the next start");
                self.retention = None;
            }
            Some(Ok(None)) | None => {}
        }
        Ok(outcomes)
    }
}

/// Drops old requests; what goes wrong undoes that alone.
fn sweep(
    retention: &Retention,
    transaction: &mut Transaction<'_>,
    entries: usize,
) -> Result<Option<Retention>, QueueError> {
    let now = Instant::now();
    if !retention.is_due(now) {
        return Ok(None);
    }
    let savepoint = transaction.savepoint().map_err(storage("begin to drop old requests"))?;
    let next = retention.sweep(&savepoint, entries, now)?;
    savepoint.commit().map_err(storage("drop old requests"))?;
    Ok(Some(next))
}

fn execute(transaction: &Transaction<'_>, batch: &Batch) -> Result<Outcome, QueueError> {
    match batch {
        Batch::Enqueue { requests, .. } => enqueue::enqueue(transaction, requests).map(Outcome::Enqueued),
        Batch::Apply { changes, .. } | Batch::ApplyLazily { changes } => {
            apply::apply(transaction, changes).map(Outcome::Applied)
        }
        Batch::Remember { functions, .. } => enqueue::remember(transaction, functions).map(|()| Outcome::Nothing),
        Batch::Probe { .. } => Ok(Outcome::Nothing),
    }
}

/// Tells the caller what was committed. A caller that went away is no concern of ours.
fn answer(batch: Batch, outcome: Outcome) {
    match (batch, outcome) {
        (Batch::Enqueue { requests, reply }, Outcome::Enqueued(taken)) => {
            drop(reply.send(Ok(enqueue::describe(requests, taken))));
        }
        (Batch::Apply { reply, .. }, Outcome::Applied(applied)) => drop(reply.send(Ok(applied))),
        (Batch::Remember { reply, .. } | Batch::Probe { reply }, _) => drop(reply.send(Ok(()))),
        // `execute` pairs every batch with its outcome; a dropped reply reads as closed.
        (Batch::ApplyLazily { .. } | Batch::Enqueue { .. } | Batch::Apply { .. }, _) => {}
    }
}

/// Tells the caller that nothing of the batch was stored.
fn refuse(batch: Batch, error: QueueError) {
    match batch {
        Batch::Enqueue { reply, .. } => drop(reply.send(Err(error))),
        Batch::Apply { reply, .. } => drop(reply.send(Err(error))),
        Batch::Remember { reply, .. } | Batch::Probe { reply } => drop(reply.send(Err(error))),
        Batch::ApplyLazily { changes } => {
            warn!(error = &error as &dyn std::error::Error, changes = changes.len(), "lazy changes were lost");
        }
    }
}
