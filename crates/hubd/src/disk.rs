//! What is wrong with the disk under a store, as far as an error tells: that is for whoever runs the hub to mend, so it is told
//! apart from all other failures.

use std::{error::Error, io, sync::Arc};

use rusqlite::{ErrorCode, ffi};

/// Why nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskFault {
    /// There is no room, or none for this user.
    Full,
    /// It takes nothing at all.
    ReadOnly,
}

impl DiskFault {
    /// What `error`, or one that it comes from, says of the disk.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        Self::said_by(error).or_else(|| error.source().and_then(Self::of))
    }

    /// Said to clients.
    pub fn message(self) -> &'static str {
        match self {
            Self::Full => "the disk of the hub is full",
            Self::ReadOnly => "the disk of the hub is read-only",
        }
    }

    fn said_by(error: &(dyn Error + 'static)) -> Option<Self> {
        // One that several callers are told of is shared.
        let shared = || error.downcast_ref::<Arc<rusqlite::Error>>().map(AsRef::as_ref);
        match (error.downcast_ref::<io::Error>(), error.downcast_ref().or_else(shared)) {
            (Some(error), _) => Self::of_system(error.kind()),
            (_, Some(error)) => Self::of_sqlite(error),
            _ => Self::of_postgres(error),
        }
    }

    fn of_system(kind: io::ErrorKind) -> Option<Self> {
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Full),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnly),
            _ => None,
        }
    }

    fn of_sqlite(error: &rusqlite::Error) -> Option<Self> {
        let error = error.sqlite_error()?;
        match (error.code, error.extended_code) {
            // The file that connections share beside the store cannot grow: SQLite does not look further into why.
            (ErrorCode::DiskFull, _) | (_, ffi::SQLITE_IOERR_SHMSIZE) => Some(Self::Full),
            (ErrorCode::ReadOnly, _) => Some(Self::ReadOnly),
            _ => None,
        }
    }

    #[cfg(feature = "postgres")]
    fn of_postgres(error: &(dyn Error + 'static)) -> Option<Self> {
        use tokio_postgres::error::SqlState;
        let code = error.downcast_ref::<tokio_postgres::Error>()?.code()?;
        match *code {
            SqlState::DISK_FULL => Some(Self::Full),
            SqlState::READ_ONLY_SQL_TRANSACTION => Some(Self::ReadOnly),
            _ => None,
        }
    }

    #[cfg(not(feature = "postgres"))]
    fn of_postgres(_: &(dyn Error + 'static)) -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests;
