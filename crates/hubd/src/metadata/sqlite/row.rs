//! Between rows and values.

use std::{fmt::Display, str::FromStr};

use rusqlite::{Error, ErrorCode};

use crate::metadata::MetadataError;

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

/// A text of the store as the value it must be.
pub(super) fn parse<T: FromStr>(column: &'static str, text: &str) -> Result<T, MetadataError>
where
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| MetadataError::Corrupt { detail: format!("column {column}: {error}") })
}

/// A count of the store.
pub(super) fn count(column: &'static str, value: i64) -> Result<u64, MetadataError> {
    u64::try_from(value).map_err(|error| MetadataError::Corrupt { detail: format!("column {column}: {error}") })
}

/// A count for the store. Larger ones do not occur: sizes are checked where they come in.
pub(super) fn stored(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
