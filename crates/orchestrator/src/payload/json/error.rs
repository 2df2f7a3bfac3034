//! What is wrong with a JSON text, and where.

use std::fmt;

/// Longest key and longest path in a message, in characters: a message names the place, it does not repeat the body.
const KEY_CHARS_MAX: usize = 64;
const PATH_BYTES_MAX: usize = 256;

/// A JSON text that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} - at `{path}` (line {line}, column {column})")]
pub struct JsonError {
    /// What is wrong.
    pub problem: Problem,
    /// The value that was being read, as `$.field[index]`.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
}

impl JsonError {
    pub(super) fn new(problem: Problem, path: Path, input: &[u8], at: usize) -> Self {
        let before = input.get(..at).unwrap_or(input);
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        Self {
            problem,
            path: path.0,
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: 1 + before.len() - line_start,
        }
    }
}

/// Why a JSON text was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is nothing but white space.
    Empty,
    /// It is longer than 32 bits can count.
    TooLarge,
    /// The bytes are not UTF-8.
    Utf8,
    /// Something else was due here.
    Expected(&'static str),
    /// The text stops before it is complete.
    End,
    /// Something follows the object.
    Trailing,
    /// The top is not an object.
    NotAnObject,
    /// Nested deeper than [`DEPTH_MAX`](super::super::DEPTH_MAX).
    TooDeep,
    /// A raw control character in a string.
    Control,
    /// An unknown or incomplete escape.
    Escape,
    /// A surrogate without its other half.
    Surrogate,
    /// A number that 64 bits cannot hold.
    NumberRange,
    /// A key that its object already has.
    DuplicateKey(String),
    /// The value of `$bytes` is not a string.
    BytesText,
    /// `$bytes` beside other keys.
    BytesAlone,
    /// The value of `$bytes` is not base64.
    Base64,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the body is empty, expected a JSON object (`{}` when there are no arguments)"),
            Self::TooLarge => f.write_str("the body is 4 GiB or more"),
            Self::Utf8 => f.write_str("malformed JSON: not UTF-8"),
            Self::Expected(what) => write!(f, "malformed JSON: expected {what}"),
            Self::End => f.write_str("malformed JSON: it ends too early"),
            Self::Trailing => f.write_str("malformed JSON: something follows the object"),
            Self::NotAnObject => f.write_str("expected a JSON object"),
            Self::TooDeep => write!(f, "nested deeper than {} levels", super::super::DEPTH_MAX),
            Self::Control => f.write_str("malformed JSON: raw control character in a string"),
            Self::Escape => f.write_str("malformed JSON: unknown escape in a string"),
            Self::Surrogate => f.write_str("malformed JSON: surrogate without its other half"),
            Self::NumberRange => f.write_str("number does not fit in 64 bits"),
            Self::DuplicateKey(key) => write!(f, "duplicate key `{key}`"),
            Self::BytesText => f.write_str("`$bytes` must be a base64 string"),
            Self::BytesAlone => f.write_str("`$bytes` must be the only key of its object"),
            Self::Base64 => f.write_str("`$bytes` is not valid base64"),
        }
    }
}

/// A `$` path under construction, cut when it gets long.
pub(super) struct Path(String);

impl Path {
    pub(super) fn new() -> Self {
        Self("$".to_owned())
    }

    pub(super) fn key(&mut self, text: &[u8]) {
        self.push(format_args!(".{}", key_text(text)));
    }

    pub(super) fn index(&mut self, index: usize) {
        self.push(format_args!("[{index}]"));
    }

    fn push(&mut self, part: fmt::Arguments<'_>) {
        if self.0.len() < PATH_BYTES_MAX {
            self.0.push_str(&part.to_string());
            if self.0.len() >= PATH_BYTES_MAX {
                self.0.push('…');
            }
        }
    }
}

/// A key as it stands in a message: cut, without control characters.
pub(super) fn key_text(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().take(KEY_CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
