//! Between rows and values.

use rusqlite::{Error, ErrorCode};

use crate::metadata::MetadataError;
pub(super) use crate::metadata::columns::{count, parse, stored};

/// Says what was tried when SQLite failed.
pub(super) fn unavailable(operation: &'static str) -> impl Fn(Error) -> MetadataError {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            MetadataError::Corrupt { detail: format!("cannot {operation}: {error}") }
        }
        _ => MetadataError::Unavailable { operation, source: Box::new(error) },
    }
}

impl From<Error> for MetadataError {
    fn from(error: Error) -> Self {
        unavailable("use the store")(error)
    }
}
