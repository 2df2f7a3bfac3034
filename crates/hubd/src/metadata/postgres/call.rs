//! Calls: each is one transaction, and is tried again when the database asks for it.

use std::time::Duration;

use futures::{FutureExt as _, future::BoxFuture};
use tokio_postgres::error::SqlState;

use super::{
    PostgresMetadata,
    transaction::{READING, Transaction, WRITING},
};
use crate::metadata::{Answer, MetadataError};

/// Tries of one call: whoever lost against another transaction wins the next time, or the one after that.
const TRIES: u32 = 5;

/// Pause before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(10);

/// How long a call may take in all, whatever the database and the network do: more than the largest commit takes.
const CALL: Duration = Duration::from_secs(180);

/// What a call does. It may run several times.
pub(super) type Work<D, T> = for<'a> fn(&'a Transaction, &'a D) -> BoxFuture<'a, Result<T, MetadataError>>;

impl PostgresMetadata {
    /// Runs `work` on `data` in a transaction that may write: all of it stays, or nothing.
    pub(super) fn call<D, T>(&self, operation: &'static str, data: D, work: Work<D, T>) -> Answer<'_, T>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(operation, WRITING, data, work)
    }

    /// Runs `work` on one state of the database, which holds all that was answered before this call.
    pub(super) fn read<D, T>(&self, operation: &'static str, data: D, work: Work<D, T>) -> Answer<'_, T>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(operation, READING, data, work)
    }

    fn run<D, T>(&self, operation: &'static str, how: &'static str, data: D, work: Work<D, T>) -> Answer<'_, T>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        let tries = async move {
            let mut pause = PAUSE;
            for _ in 1..TRIES {
                match self.once(how, &data, work).await {
                    Err(Failure { error, again: true }) => {
                        tracing::debug!(operation, error = &error as &dyn std::error::Error, "once more");
                    }
                    other => return other.map_err(|failure| failure.error),
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            self.once(how, &data, work).await.map_err(|failure| failure.error)
        };
        async move {
            let late = || MetadataError::Unavailable { operation, source: "it took too long".into() };
            tokio::time::timeout(CALL, tries)
                .await
                .unwrap_or_else(|_| Err(late()))
                .map_err(|error| named(error, operation))
        }
        .boxed()
    }

    async fn once<D, T>(&self, how: &'static str, data: &D, work: Work<D, T>) -> Result<T, Failure> {
        let transaction = Transaction::begin(&self.pool, how).await.map_err(Failure::before_commit)?;
        match work(&transaction, data).await {
            Ok(done) => {
                // Whether a commit that is not answered was made is not known, so that it cannot be tried again.
                let committed = transaction.commit().await;
                committed.map_err(|error| Failure { again: wants_another_try(&error), error })?;
                Ok(done)
            }
            Err(error) => {
                if !is_lost(&error) {
                    // The error that is told is the first.
                    drop(transaction.roll_back().await);
                }
                Err(Failure::before_commit(error))
            }
        }
    }
}

/// Why a try came to nothing.
struct Failure {
    error: MetadataError,
    /// Whether another one may end better, and cannot do anything twice.
    again: bool,
}

impl Failure {
    fn before_commit(error: MetadataError) -> Self {
        let again = wants_another_try(&error) || is_lost(&error);
        Self { error, again }
    }
}

fn database_error(error: &MetadataError) -> Option<&tokio_postgres::Error> {
    let MetadataError::Unavailable { source, .. } = error else { return None };
    source.downcast_ref()
}

fn code(error: &MetadataError) -> Option<&SqlState> {
    database_error(error)?.code()
}

/// Another transaction was in the way, and this one was rolled back. A name that was gone before it could be taken is of that
/// kind: who comes again sees it.
fn wants_another_try(error: &MetadataError) -> bool {
    const OTHERS: [SqlState; 5] = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::FOREIGN_KEY_VIOLATION,
        SqlState::UNIQUE_VIOLATION,
    ];
    code(error).is_some_and(|code| OTHERS.contains(code))
}

/// The connection has ended: by itself, or because the server ends it.
fn is_lost(error: &MetadataError) -> bool {
    const ENDS: [SqlState; 3] = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW];
    database_error(error).is_some_and(|error| error.is_closed() || error.code().is_some_and(|code| ENDS.contains(code)))
}

/// The error with what was tried.
fn named(error: MetadataError, operation: &'static str) -> MetadataError {
    match error {
        MetadataError::Unavailable { source, .. } => MetadataError::Unavailable { operation, source },
        other => other,
    }
}
