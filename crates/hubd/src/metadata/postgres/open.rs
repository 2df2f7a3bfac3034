//! The tables, and their format. An older format is brought forward in one transaction, a newer one is refused.

use super::{
    pool::Pool,
    row::{column, values},
    transaction::{Lock, Transaction, WRITING},
};
use crate::metadata::MetadataError;

/// Step n takes a store from format n to format n + 1. Steps are only ever added.
const MIGRATIONS: &[&str] = &[
    include_str!("format_1.sql"),
    include_str!("releases.sql"),
    include_str!("repeats.sql"),
    include_str!("revisions.sql"),
    include_str!("joins.sql"),
];

/// Marks the tables as ours.
const APPLICATION: &str = "gen-worker hub";

/// What is there before the first step.
const FORMAT: &str = "CREATE SCHEMA IF NOT EXISTS hub;
     CREATE TABLE hub.format (version bigint NOT NULL, application text NOT NULL, id text NOT NULL)";

/// Why a store cannot be opened. Nothing of it shows the address, which may have a password.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// The address is none.
    #[error("the address of the database is no `postgres://user@host/name`")]
    Address,
    /// The database cannot be used.
    #[error("cannot open the database of the hub")]
    Database(#[source] MetadataError),
    /// Another program has tables where ours would be.
    #[error("the schema `hub` of the database belongs to another program")]
    Foreign,
    /// A newer version wrote it.
    #[error("the database of the hub has format {found}, this version reads formats up to {supported}")]
    Newer {
        /// Format of the tables.
        found: i64,
        /// Newest format that is read.
        supported: i64,
    },
    /// Names would not come back as they are.
    #[error("the database of the hub does not hold text as UTF-8")]
    Encoding,
}

impl From<MetadataError> for PostgresOpenError {
    fn from(error: MetadataError) -> Self {
        Self::Database(error)
    }
}

/// Makes the tables, or brings them forward, and gives the name of the store. Processes that do so at once wait for each other.
pub(super) async fn prepare(pool: &Pool) -> Result<String, PostgresOpenError> {
    let on = Transaction::begin(pool, WRITING).await?;
    let encoding = on.row("SELECT current_setting('server_encoding')", values![]).await?;
    if encoding.map(|row| column::<String>(&row, 0)).transpose()?.as_deref() != Some("UTF8") {
        return Err(PostgresOpenError::Encoding);
    }
    on.lock(Lock::Format).await?;
    let (found, id) = found(&on).await?;
    let supported = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    let Some(steps) = MIGRATIONS.get(done..) else { return Err(PostgresOpenError::Newer { found, supported }) };
    if steps.is_empty() {
        on.roll_back().await?;
        return Ok(id);
    }
    for step in steps {
        on.batch(step).await?;
    }
    on.execute("UPDATE hub.format SET version = $1", values![supported]).await?;
    on.commit().await?;
    Ok(id)
}

/// The format of the tables, 0 when there are none, and the name of the store.
async fn found(on: &Transaction) -> Result<(i64, String), PostgresOpenError> {
    let sql = "SELECT count(*) FILTER (WHERE c.relname = 'format'), count(*) FROM pg_class AS c
         JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'hub'";
    let row = on.row(sql, values![]).await?.ok_or(PostgresOpenError::Foreign)?;
    let (formats, all): (i64, i64) = (column(&row, 0)?, column(&row, 1)?);
    if all == 0 {
        on.batch(FORMAT).await?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let sql = "INSERT INTO hub.format (version, application, id) VALUES (0, $1, $2)";
        on.execute(sql, values![APPLICATION, id]).await?;
        return Ok((0, id));
    }
    if formats == 0 {
        return Err(PostgresOpenError::Foreign);
    }
    // Through JSON, so that a table of another program with that name is no error.
    let sql = "SELECT f ->> 'application', (f ->> 'version')::bigint, f ->> 'id'
         FROM (SELECT to_jsonb(t) AS f FROM hub.format AS t) AS formats";
    let row = on.row(sql, values![]).await?.ok_or(PostgresOpenError::Foreign)?;
    let (application, id): (Option<&str>, Option<String>) = (column(&row, 0)?, column(&row, 2)?);
    let ours = column::<Option<i64>>(&row, 1)?.zip(id).filter(|_| application == Some(APPLICATION));
    ours.ok_or(PostgresOpenError::Foreign)
}
