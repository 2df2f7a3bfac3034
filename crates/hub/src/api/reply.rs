//! Replies that cannot be read.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Largest reply in bytes. A tree of [`crate::snapshot::SNAPSHOT_FILES_MAX`] files with addresses of common length fits.
pub const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a reply is not what it should be. Nothing of the reply is in it: it may hold signed addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not JSON, or JSON of another form.
    #[error("reply has another form than expected, line {line} column {column}")]
    Form {
        /// Where, counted from 1.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// Not an object.
    #[error("reply is no object")]
    NoObject,
    /// A field that has to be there is not.
    #[error("reply has no {0}")]
    Missing(&'static str),
    /// A field has a value that it cannot have.
    #[error("reply has a {0} that is none")]
    Invalid(&'static str),
    /// More of something than there can be.
    #[error("reply has more {0} than allowed")]
    TooMany(&'static str),
    /// It offers presigned parts where only a grant is allowed (Hub contract, 4.6).
    #[error("reply has no transfer grant, which this kind of upload needs")]
    GrantNeeded,
    /// It wants a file that was not offered.
    #[error("reply names a path that was not sent")]
    UnknownPath,
}

impl From<serde_json::Error> for ReplyError {
    fn from(error: serde_json::Error) -> Self {
        Self::Form { line: error.line(), column: error.column() }
    }
}

/// Reads a reply of a fixed form.
///
/// # Errors
/// [`ReplyError::Form`].
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ReplyError> {
    Ok(serde_json::from_slice(body)?)
}

/// Reads an object; an empty body is an empty one (Hub contract, 4.3).
///
/// # Errors
/// [`ReplyError::Form`] and [`ReplyError::NoObject`].
pub(crate) fn read_object(body: &[u8]) -> Result<Map<String, Value>, ReplyError> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body)? {
        Value::Object(object) => Ok(object),
        _ => Err(ReplyError::NoObject),
    }
}

/// The first of `names` that has a text that is not blank.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    let texts = names.iter().filter_map(|name| object.get(*name)?.as_str());
    texts.map(str::trim).find(|text| !text.is_empty())
}

/// A count; absent and null are none.
pub(crate) fn count(object: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, ReplyError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or(ReplyError::Invalid(name)),
    }
}

/// Whether a field says yes, as Python reads it.
pub(crate) fn truthy(object: &Map<String, Value>, name: &str) -> bool {
    match object.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
    }
}
