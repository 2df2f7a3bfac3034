//! What a hub says when it refuses: `{"error":{"code":"…","message":"…"}}`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest code that is kept, in bytes: codes are short words, anything longer is none.
const CODE_BYTES_MAX: usize = 64;

/// The body of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong.
    pub error: ErrorDetail,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// A word for programs, in snake case.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// More, by the code.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl ErrorBody {
    /// A refusal without more.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { error: ErrorDetail { code: code.into(), message: message.into(), more: Map::new() } }
    }

    /// The code in a body of any form. Servers also send a text for `error`, plain text, and nothing.
    #[must_use]
    pub fn code_of(body: &[u8]) -> Option<String> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let code = value.get("error")?.get("code")?.as_str()?;
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        ((1..=CODE_BYTES_MAX).contains(&code.len()) && code.bytes().all(word)).then(|| code.to_owned())
    }
}

#[cfg(test)]
mod tests;
