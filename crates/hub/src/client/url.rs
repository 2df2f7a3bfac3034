//! Paths and queries of calls.

use std::fmt::Write as _;

use super::error::HubError;

/// Longest part of a path or value of a query, in bytes.
const PART_BYTES_MAX: usize = 1024;

/// `text` as one part of a path. Nothing but unreserved characters stays as it is.
///
/// # Errors
/// [`HubError::Refused`] for what is no part of its own: nothing, `.` and `..`, which would name another place.
pub(super) fn part(operation: &'static str, text: &str) -> Result<String, HubError> {
    match text {
        "" => Err(HubError::Refused { operation, why: "a name in it is empty" }),
        "." | ".." => Err(HubError::Refused { operation, why: "a name in it is a relative path" }),
        _ if text.len() > PART_BYTES_MAX => Err(HubError::Refused { operation, why: "a name in it is too long" }),
        _ => Ok(encoded(text)),
    }
}

/// `text` as the value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
