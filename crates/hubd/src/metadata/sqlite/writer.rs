//! The thread that owns the connection. While one commit is on its way to the disk the next calls gather, so the fsync is shared.
//!
//! A full disk, or a failing one, may take a whole transaction with it, in the middle of a group. Then everybody who is in it
//! hears that, and the rest of the group begins anew.

use std::{error::Error, sync::Arc};

use futures::FutureExt as _;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{SqliteMetadata, row::unavailable};
use crate::metadata::{Answer, MetadataError};

/// Calls of one transaction: enough to share an fsync, few enough that the first of them does not wait long.
const GROUP_MAX: usize = 64;

/// What failed when a transaction is not on the disk.
const COMMIT: &str = "commit to the store";

/// Why, when the store itself has taken it back.
const ROLLED_BACK: &str = "the disk is full, or it fails";

/// Tells a caller what came of its call, once that is on the disk or is known not to be.
type Tell = Box<dyn FnOnce(Result<(), MetadataError>) + Send>;

/// One call.
pub(super) type Job = Box<dyn FnOnce(&mut Transaction<'_>) -> Tell + Send>;

impl SqliteMetadata {
    /// Runs `work` in a transaction of its own, as far as anyone can see: when it fails nothing of it stays.
    pub(super) fn call<T, F>(&self, operation: &'static str, work: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, MetadataError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel::<Result<T, MetadataError>>();
        let job: Job = Box::new(move |transaction| {
            let outcome = in_savepoint(operation, transaction, work);
            Box::new(move |stored| drop(reply.send(told(stored, outcome))))
        });
        async move {
            let gone = || unavailable(operation)(rusqlite::Error::InvalidQuery);
            self.jobs.send(job).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        }
        .boxed()
    }
}

/// Works until the last handle is gone and everything is done. Blocks.
pub(super) fn run(mut connection: Connection, mut waiting: mpsc::Receiver<Job>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP_MAX {
            let Ok(next) = waiting.try_recv() else { break };
            group.push(next);
        }
        commit(&mut connection, group);
    }
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "the store of the hub did not close cleanly");
    }
}

fn commit(connection: &mut Connection, group: Vec<Job>) {
    let mut group = group.into_iter();
    while group.len() > 0 {
        let mut transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => transaction,
            Err(error) => {
                // The callers see their replies dropped, which reads as unavailable.
                tracing::warn!(%error, "the store of the hub takes no transaction");
                return;
            }
        };
        let mut tells = Vec::with_capacity(group.len());
        // Without a transaction each further call would be one, and stay whatever its caller hears.
        while !transaction.is_autocommit()
            && let Some(job) = group.next()
        {
            tells.push(job(&mut transaction));
        }
        let done =
            if transaction.is_autocommit() { Err(None) } else { transaction.commit().map_err(Arc::new).map_err(Some) };
        for tell in tells {
            let refused = |why: &Option<Arc<rusqlite::Error>>| {
                let source: Box<dyn Error + Send + Sync> = why.clone().map_or(ROLLED_BACK.into(), |why| Box::new(why));
                MetadataError::Unavailable { operation: COMMIT, source }
            };
            tell(done.as_ref().copied().map_err(refused));
        }
    }
}

/// What a caller hears: what the store failed of, where it was this call that failed. Whatever else it came to counts only once
/// it is on the disk.
fn told<T>(stored: Result<(), MetadataError>, outcome: Result<T, MetadataError>) -> Result<T, MetadataError> {
    match (stored, outcome) {
        (Err(_), Err(error @ MetadataError::Unavailable { .. })) => Err(error),
        (stored, outcome) => stored.and(outcome),
    }
}

fn in_savepoint<T>(
    operation: &'static str,
    transaction: &mut Transaction<'_>,
    work: impl FnOnce(&Connection) -> Result<T, MetadataError>,
) -> Result<T, MetadataError> {
    // Dropped without a commit, it is rolled back.
    let savepoint = transaction.savepoint().map_err(unavailable(operation))?;
    let done = work(&savepoint)?;
    savepoint.commit().map_err(unavailable(operation))?;
    Ok(done)
}
