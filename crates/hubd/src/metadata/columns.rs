//! Between values and what a database holds of them.

use std::{fmt::Display, str::FromStr};

use super::MetadataError;

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
