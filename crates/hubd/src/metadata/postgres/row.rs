//! Between rows and values. Values go with their types, so that no statement has to be prepared: poolers that hand out a
//! connection for each transaction know nothing of prepared ones.

use gen_worker_hub::Blake3Hash;
use tokio_postgres::{
    Row,
    error::SqlState,
    types::{FromSql, ToSql, Type},
};

use crate::metadata::MetadataError;
pub(super) use crate::metadata::columns::{count, parse, stored};

/// Values of a statement.
pub(super) type Values<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A value that knows its type.
pub(super) trait Value: ToSql + Sync {
    /// As the database calls it.
    const TYPE: Type;
}

macro_rules! types {
    ($($value:ty => $type:ident),* $(,)?) => { $(impl Value for $value { const TYPE: Type = Type::$type; })* };
}

types! {
    bool => BOOL,
    i64 => INT8,
    &str => TEXT,
    String => TEXT,
    &[u8] => BYTEA,
    Vec<bool> => BOOL_ARRAY,
    Vec<i64> => INT8_ARRAY,
    Vec<&str> => TEXT_ARRAY,
    Vec<String> => TEXT_ARRAY,
    Vec<&[u8]> => BYTEA_ARRAY,
    Vec<Option<&str>> => TEXT_ARRAY,
}

impl<T: Value> Value for Option<T> {
    const TYPE: Type = T::TYPE;
}

/// A value with its type.
pub(super) fn typed<T: Value>(value: &T) -> (&(dyn ToSql + Sync), Type) {
    (value, T::TYPE)
}

/// The values of a statement, in order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::metadata::postgres::row::typed(&$value)),*] };
}
pub(super) use values;

/// Says what was tried when the database failed.
pub(super) fn unavailable(operation: &'static str) -> impl Fn(tokio_postgres::Error) -> MetadataError {
    move |error| match error.code() {
        Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED | &SqlState::UNDEFINED_TABLE) => {
            let said = error.as_db_error().map_or("", |error| error.message());
            MetadataError::Corrupt { detail: format!("cannot {operation}: {said}") }
        }
        Some(&SqlState::CHARACTER_NOT_IN_REPERTOIRE | &SqlState::UNTRANSLATABLE_CHARACTER) => {
            MetadataError::Unfit("a text has a character that cannot be stored".to_owned())
        }
        _ => MetadataError::Unavailable { operation, source: Box::new(error) },
    }
}

impl From<tokio_postgres::Error> for MetadataError {
    fn from(error: tokio_postgres::Error) -> Self {
        unavailable("use the database")(error)
    }
}

/// What a column holds.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, MetadataError> {
    row.try_get(index).map_err(|error| MetadataError::Corrupt { detail: format!("column {index}: {error}") })
}

/// A count in a column.
pub(super) fn counted(row: &Row, index: usize) -> Result<u64, MetadataError> {
    count("of bytes or seconds", column(row, index)?)
}

/// A hash in a column.
pub(super) fn hash(row: &Row, index: usize) -> Result<Blake3Hash, MetadataError> {
    let bytes: &[u8] = column(row, index)?;
    let bytes =
        bytes.try_into().map_err(|_| MetadataError::Corrupt { detail: "a hash of another length".to_owned() })?;
    Ok(Blake3Hash::from_bytes(bytes))
}

/// Hashes as values.
pub(super) fn hashes<'a>(hashes: impl IntoIterator<Item = &'a Blake3Hash>) -> Vec<&'a [u8]> {
    hashes.into_iter().map(|hash| hash.as_bytes().as_slice()).collect()
}
