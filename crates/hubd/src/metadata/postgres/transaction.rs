//! One transaction on one connection. One that is dropped before its end takes the connection with it: the server rolls back, and
//! nobody gets a connection of which it is not known what it is at.

use deadpool::managed::Object;
use tokio_postgres::{Client, Row};

use super::{
    pool::{Manager, Pool},
    row::Values,
};
use crate::metadata::MetadataError;

/// How a transaction begins. What waits for a lock, or works, does so for a bounded time, also when its client is gone; said with
/// each transaction, because a pooler gives each another connection. Statements see all that was committed before they began:
/// what must not change meanwhile is locked, and the statement after the lock sees what came before it.
pub(super) const WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '20s'; \
     SET LOCAL statement_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = '60s'";

/// The same for what only reads, in one state of the database.
pub(super) const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '60s'; \
     SET LOCAL idle_in_transaction_session_timeout = '60s'";

/// A transaction.
#[derive(Debug)]
pub(super) struct Transaction {
    client: Option<Object<Manager>>,
}

/// Locks that are no rows. They last until the transaction ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lock<'a> {
    /// How many commits and sessions an owner has open.
    Open(&'a str),
    /// How many datasets an owner has.
    Datasets(&'a str),
    /// How many variables an endpoint of an owner has.
    Variables(&'a str, &'a str),
    /// Who opens a commit by these words.
    Repeat(&'a str),
    /// Who brings the tables to their newest format.
    Format,
    /// Which objects are on record. Taken by all who record one, together, and by who looks for those that are not, alone.
    Records,
}

impl Transaction {
    pub(super) async fn begin(pool: &Pool, how: &'static str) -> Result<Self, MetadataError> {
        let transaction = Self { client: Some(pool.connection().await?) };
        transaction.client().batch_execute(how).await?;
        Ok(transaction)
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it is there until the end")
    }

    pub(super) async fn commit(self) -> Result<(), MetadataError> {
        self.end("COMMIT").await
    }

    pub(super) async fn roll_back(self) -> Result<(), MetadataError> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &str) -> Result<(), MetadataError> {
        self.client().batch_execute(how).await?;
        drop(self.client.take());
        Ok(())
    }

    /// How many rows a statement changed.
    pub(super) async fn execute(&self, sql: &str, values: Values<'_>) -> Result<u64, MetadataError> {
        Ok(self.client().execute_typed(sql, values).await?)
    }

    /// Rows.
    pub(super) async fn rows(&self, sql: &str, values: Values<'_>) -> Result<Vec<Row>, MetadataError> {
        Ok(self.client().query_typed(sql, values).await?)
    }

    /// The only row, if there is one.
    pub(super) async fn row(&self, sql: &str, values: Values<'_>) -> Result<Option<Row>, MetadataError> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Several statements without values.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), MetadataError> {
        Ok(self.client().batch_execute(sql).await?)
    }

    /// Waits until nobody else has the lock.
    pub(super) async fn lock(&self, lock: Lock<'_>) -> Result<(), MetadataError> {
        self.execute("SELECT pg_advisory_xact_lock($1)", super::row::values![lock.key()]).await.map(drop)
    }

    /// The same with others who want it like this.
    pub(super) async fn lock_shared(&self, lock: Lock<'_>) -> Result<(), MetadataError> {
        self.execute("SELECT pg_advisory_xact_lock_shared($1)", super::row::values![lock.key()]).await.map(drop)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        drop(self.client.take().map(Object::take));
    }
}

impl Lock<'_> {
    /// Locks have numbers. Two names with the same one wait for each other without need, and nothing else.
    fn key(self) -> i64 {
        let (what, owner, name) = match self {
            Lock::Open(owner) => ("open", owner, ""),
            Lock::Datasets(owner) => ("datasets", owner, ""),
            Lock::Variables(owner, endpoint) => ("variables", owner, endpoint),
            Lock::Repeat(key) => ("repeat", key, ""),
            Lock::Format => ("format", "", ""),
            Lock::Records => ("records", "", ""),
        };
        let hash = blake3::hash(format!("gen-worker hub\0{what}\0{owner}\0{name}").as_bytes());
        let mut number = [0; 8];
        number.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
        i64::from_le_bytes(number)
    }
}
