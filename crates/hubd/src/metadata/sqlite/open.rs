//! Opening the file, and its format. An older format is brought forward in one transaction, a newer one is refused.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// Marks the file as ours: `gwhb`.
const APPLICATION_ID: i32 = 0x6777_6862;

/// Step n takes a store from format n to format n + 1. Steps are only ever added.
const MIGRATIONS: &[&str] = &[
    include_str!("format_1.sql"),
    include_str!("lean.sql"),
    include_str!("holders.sql"),
    include_str!("owners.sql"),
    include_str!("announced.sql"),
    include_str!("releases.sql"),
    include_str!("repeats.sql"),
    include_str!("revisions.sql"),
    include_str!("joins.sql"),
];

/// How long another program that looks into the file may take to let go.
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
    /// The lock file beside it cannot be used.
    #[error("cannot lock the store of the hub")]
    Lock(#[source] io::Error),
    /// The system has no thread left.
    #[error("cannot start a thread of the store of the hub")]
    Thread(#[source] io::Error),
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

/// Takes the lock of the store at `path`: one process owns it, since a second one would collect what the first is about to name.
/// The kernel gives the lock back when its owner dies.
///
/// The lock is on a file of its own, because SQLite has locks on the store that a close of any other handle would release.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).append(true).open(name).map_err(OpenError::Lock)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse),
        Err(TryLockError::Error(error)) => Err(OpenError::Lock(error)),
    }
}

/// Opens a store that is there and open, for reading. Blocks.
pub(super) fn reading(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Opens the store. Blocks.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
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
    if steps.is_empty() {
        // Nothing is written: a hub whose disk is full can begin again, and be read.
        return Ok(());
    }
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", supported)?;
    Ok(transaction.commit()?)
}
