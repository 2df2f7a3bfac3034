//! The thread that owns the connection. While one commit is on its way to the disk the next calls gather, so the fsync is shared.

use futures::FutureExt as _;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{SqliteMetadata, row::unavailable};
use crate::metadata::{Answer, MetadataError};

/// Calls of one transaction: enough to share an fsync, few enough that the first of them does not wait long.
const GROUP_MAX: usize = 64;

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
            Box::new(move |stored| drop(reply.send(stored.and(outcome))))
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
    let mut transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            // The callers see their replies dropped, which reads as unavailable.
            tracing::warn!(%error, "the store of the hub takes no transaction");
            return;
        }
    };
    let tells: Vec<Tell> = group.into_iter().map(|job| job(&mut transaction)).collect();
    match transaction.commit() {
        Ok(()) => tells.into_iter().for_each(|tell| tell(Ok(()))),
        Err(error) => {
            let text = error.to_string();
            for tell in tells {
                let source = text.clone().into();
                tell(Err(MetadataError::Unavailable { operation: "commit to the store", source }));
            }
        }
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
