//! Opening the store: every way in which a file can be unusable, told apart.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use super::{Options, lock::OwnerLock, readers::Readers, schema};

/// How long a statement waits for another program's lock: a person with a database shell, since ours never wait
/// for each other. Longer would stall every caller of the writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Prepared statements kept per connection; above the number of statements there are.
const STATEMENTS_MAX: usize = 64;

/// Page cache of the writer in KiB: the pages that a busy minute's requests live on, eight times the default.
const CACHE_KIB: i64 = 16 * 1024;

/// Pages between checkpoints, 16 MiB: each costs an fsync of the database, so four times the default; the log's size
/// is what a reopening after a crash reads again.
const CHECKPOINT_PAGES: i64 = 4_096;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the queue store {}", path.display())]
pub struct OpenError {
    path: PathBuf,
    #[source]
    cause: OpenCause,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenCause {
    /// The path is a directory.
    #[error("it is a directory")]
    Directory,
    /// The system refuses the file: no such directory, no permission, and the like.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another orchestrator owns the store.
    #[error("it is in use by another orchestrator{}", named(*holder))]
    InUse {
        /// Process id of the owner, where it is known.
        holder: Option<u32>,
    },
    /// A program that is not an orchestrator holds a lock on the file.
    #[error("it is locked by another program")]
    Locked,
    /// The file is something else.
    #[error("it is not an SQLite database")]
    NotADatabase,
    /// The file is an SQLite database, made by something else.
    #[error("it is an SQLite database of another program")]
    Foreign,
    /// A newer version of ours wrote it.
    #[error("it has format {found}, this version reads formats up to {supported}")]
    Newer {
        /// Format of the file.
        found: i64,
        /// Newest format this version reads.
        supported: i64,
    },
    /// The disk, or the limit set on the store, is full.
    #[error("no space is left for it")]
    Full,
    /// Its file system cannot share memory between connections.
    #[error("its file system does not support write-ahead logging")]
    NoWriteAheadLog,
    /// The file is damaged.
    #[error("it is corrupt: {detail}")]
    Corrupt {
        /// What was found.
        detail: String,
    },
    /// Anything else that SQLite says.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
}

impl OpenError {
    pub(super) fn new(path: PathBuf, cause: OpenCause) -> Self {
        Self { path, cause }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why.
    #[must_use]
    pub fn cause(&self) -> &OpenCause {
        &self.cause
    }
}

impl From<rusqlite::Error> for OpenCause {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { detail: error.to_string() },
            _ => Self::Sqlite(error),
        }
    }
}

/// An open store.
#[derive(Debug)]
pub(super) struct Opened {
    pub writer: Connection,
    pub readers: Readers,
    pub lock: OwnerLock,
}

/// Opens the store. Blocks.
pub(super) fn open(options: &Options) -> Result<Opened, OpenError> {
    let with_path = |cause| OpenError::new(options.path.clone(), cause);
    let lock = claim(&options.path).map_err(with_path)?;
    let writer = open_writer(options).map_err(with_path)?;
    let readers = Readers::open(&options.path).map_err(|error| with_path(error.into()))?;
    Ok(Opened { writer, readers, lock })
}

/// Takes the ownership and lets the system say what it has against the file; SQLite says it less well.
fn claim(path: &Path) -> Result<OwnerLock, OpenCause> {
    if path.is_dir() {
        return Err(OpenCause::Directory);
    }
    let lock = OwnerLock::take(path)?;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    Ok(lock)
}

fn open_writer(options: &Options) -> Result<Connection, OpenCause> {
    let mut connection = connect(&options.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Before anything is written: a file that is not ours is left as it was.
    schema::recognize(&connection)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenCause::NoWriteAheadLog);
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // Negative: in KiB instead of pages.
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    if let Some(bytes) = options.size_bytes_max {
        let page_bytes: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page_bytes.max(1);
        connection.pragma_update(None, "max_page_count", pages.max(1))?;
    }
    schema::migrate(&mut connection, schema::MIGRATIONS)?;
    Ok(connection)
}

/// Opens one connection; each is used by one thread at a time.
pub(super) fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "trusted_schema", false)?;
    // Plans never depend on bound values; otherwise SQLite prepares a join anew for every value bound to it, which
    // costs more than to run it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

fn named(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |process| format!(" (process {process})"))
}
