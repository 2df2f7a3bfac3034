//! The base payload of a command: given as text, in a file, or not at all.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{bounded, exit::Failure};

/// Largest payload that a command reads, in bytes: what fits into one message of the wire.
pub(crate) const PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads the base payload; neither source means `{}`. At most one of the two is given.
///
/// # Errors
/// A file that cannot be read, or text that is no JSON.
pub(crate) fn base(text: Option<&str>, file: Option<&Path>) -> Result<Value, Failure> {
    match (text, file) {
        (Some(text), _) => json(text, "--payload"),
        (None, Some(file)) => {
            let shown = file.display();
            let bytes = bounded::read_file(file, PAYLOAD_BYTES_MAX)
                .map_err(|error| Failure::usage(format!("payload file {shown}: {error}")))?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Failure::usage(format!("payload file {shown}: not valid JSON: not UTF-8 text")))?;
            json(&text, &format!("payload file {shown}"))
        }
        (None, None) => Ok(empty()),
    }
}

/// Parses JSON that came from `origin`.
///
/// # Errors
/// When it is none.
pub(crate) fn json(text: &str, origin: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::usage(format!("{origin} is not valid JSON: {error}")))
}

/// The payload without any argument.
pub(crate) fn empty() -> Value {
    Value::Object(Map::new())
}
