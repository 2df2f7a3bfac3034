//! Opening the file, and its format. An older format is brought forward in one transaction, a newer one is refused.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

/// Marks the file as ours: `gwhb`.
const APPLICATION_ID: i32 = 0x6777_6862;

/// Step n takes a store from format n to format n + 1. Steps are only ever added.
const MIGRATIONS: &[&str] = &[include_str!("format_1.sql"), include_str!("format_2.sql")];

/// How long the owner of the file may take to let go, at a quick restart.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Prepared statements that are kept: more than there are.
const STATEMENTS_MAX: usize = 128;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another hub, or another program, uses it.
    #[error("the store of the hub is in use")]
    InUse,
    /// It belongs to another program.
    #[error("the file is no store of a hub")]
    Foreign,
    /// A newer version wrote it.
    #[error("the store of the hub has format {found}, this version reads formats up to {supported}")]
    Newer {
        /// Format of the file.
        found: i64,
        /// Newest format that is read.
        supported: i64,
    },
    /// The system has no thread left.
    #[error("cannot start the thread of the store of the hub")]
    Thread(#[source] std::io::Error),
    /// Anything else.
    #[error("cannot open the store of the hub")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            Some(ErrorCode::NotADatabase) => Self::Foreign,
            _ => Self::Sqlite(error),
        }
    }
}

/// Opens the store. Blocks.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // One process owns the file: a second one would collect what the first is about to name.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if (tables, application) != (0, 0) && application != APPLICATION_ID {
        return Err(OpenError::Foreign);
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    migrate(&mut connection)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let supported = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    let Some(steps) = MIGRATIONS.get(done..) else { return Err(OpenError::Newer { found, supported }) };
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", supported)?;
    Ok(transaction.commit()?)
}
