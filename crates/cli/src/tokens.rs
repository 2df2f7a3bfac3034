//! `FIELD=VALUE` tokens: what the words after a command mean for the payload.
//!
//! Reading a word is separate from applying it: [`Token::parse`] only looks at the text, [`Tokens::apply`] knows the
//! payload's fields. Tokens only shape the payload; bounds and types are judged by the real decode.

mod coerce;
mod fields;
mod nest;
#[cfg(test)]
mod tests;

use std::path::Path;

use base64::Engine as _;
use serde_json::{Map, Value};

pub(crate) use coerce::guess;
pub(crate) use fields::{FieldType, Fields};

use crate::{bounded, payload::PAYLOAD_BYTES_MAX};

/// Deepest nesting a dotted key may ask for, as for JSON bodies.
const KEY_SEGMENTS_MAX: usize = 64;

/// One word, by its form alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// `key:=JSON`.
    Json { key: &'a str, text: &'a str },
    /// `key@PATH`.
    File { key: &'a str, path: &'a str },
    /// `key=VALUE`.
    Set { key: &'a str, value: &'a str },
    /// Anything else: the primary field.
    Bare(&'a str),
}

impl<'a> Token<'a> {
    /// Tells the form of a word. Every word has one.
    pub(crate) fn parse(word: &'a str) -> Self {
        let mut chars = word.char_indices();
        let starts_key = |c: char| c.is_ascii_alphabetic() || c == '_';
        if !chars.next().is_some_and(|(_, c)| starts_key(c)) {
            return Self::Bare(word);
        }
        // A key has no delimiter in it, so the first other character decides.
        let Some((end, _)) = chars.find(|&(_, c)| !(c.is_alphanumeric() || c == '_' || c == '.')) else {
            return Self::Bare(word);
        };
        let (key, rest) = word.split_at(end);
        if let Some(text) = rest.strip_prefix(":=") {
            Self::Json { key, text }
        } else if let Some(path) = rest.strip_prefix('@') {
            Self::File { key, path }
        } else if let Some(value) = rest.strip_prefix('=') {
            Self::Set { key, value }
        } else {
            Self::Bare(word)
        }
    }
}

/// Why a token cannot be applied. All of these end the command with exit 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("`{key}:=` is not valid JSON: {detail}")]
    Json { key: String, detail: String },
    #[error("`{key}@{path}`: {detail}")]
    File { key: String, path: String, detail: String },
    #[error("unknown field `{key}`; valid fields: {}", valid.join(", "))]
    UnknownField { key: String, valid: Vec<String> },
    #[error("`{key}={value}`: {detail}")]
    Coerce { key: String, value: String, detail: String },
    #[error("`{key}` is nested deeper than {KEY_SEGMENTS_MAX} levels")]
    TooDeep { key: String },
    #[error("second bare value {second:?}: only one word may go without `FIELD=`, and {first:?} already did")]
    SecondBare { first: String, second: String },
    #[error("{value:?} names no field, and there is no primary field to put it in; use FIELD=VALUE")]
    NoPrimary { value: String },
}

/// Merges words over a base payload.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    /// Fields of the payload type; `None` when it is not known, then every value is guessed.
    pub(crate) fields: Option<&'a Fields>,
}

impl Tokens<'_> {
    /// Applies `words` in order; later ones win. A base that is not an object is discarded when there is any word.
    ///
    /// # Errors
    /// At the first word that does not fit the fields, is no JSON, or names a file that cannot be read.
    pub(crate) fn apply(&self, base: Value, words: &[String]) -> Result<Value, TokenError> {
        if words.is_empty() {
            return Ok(base);
        }
        let mut payload = match base {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        let mut bare: Option<&str> = None;
        for word in words {
            match Token::parse(word) {
                Token::Json { key, text } => {
                    let value = serde_json::from_str(text)
                        .map_err(|error| TokenError::Json { key: key.to_owned(), detail: error.to_string() })?;
                    insert(&mut payload, key, value)?;
                }
                Token::File { key, path } => insert(&mut payload, key, self.file(key, path)?)?,
                Token::Set { key, value } => insert(&mut payload, key, self.set(key, value)?)?,
                Token::Bare(value) => {
                    if let Some(first) = bare.replace(value) {
                        return Err(TokenError::SecondBare { first: first.to_owned(), second: value.to_owned() });
                    }
                    let primary = self.fields.and_then(Fields::primary);
                    let (name, field) = primary.ok_or_else(|| TokenError::NoPrimary { value: value.to_owned() })?;
                    payload.insert(name.to_owned(), coerced(field, name, value)?);
                }
            }
        }
        Ok(Value::Object(payload))
    }

    fn set(&self, key: &str, value: &str) -> Result<Value, TokenError> {
        let Some(fields) = self.fields.filter(|_| !key.contains('.')) else {
            return Ok(guess(value));
        };
        match fields.get(key) {
            Some(field) => coerced(field, key, value),
            None => Err(TokenError::UnknownField { key: key.to_owned(), valid: fields.names() }),
        }
    }

    fn file(&self, key: &str, path: &str) -> Result<Value, TokenError> {
        let fail = |detail: String| TokenError::File { key: key.to_owned(), path: path.to_owned(), detail };
        let bytes = bounded::read_file(Path::new(path), PAYLOAD_BYTES_MAX).map_err(|error| fail(error.to_string()))?;
        let field = self.fields.filter(|_| !key.contains('.')).and_then(|fields| fields.get(key));
        if field.is_some_and(FieldType::is_bytes) {
            return Ok(Value::String(base64::engine::general_purpose::STANDARD.encode(bytes)));
        }
        let text = String::from_utf8(bytes).map_err(|_| fail("the file is not UTF-8 text".to_owned()))?;
        match field {
            Some(field) => coerce::coerce(field, &text).map_err(|error| fail(error.to_string())),
            None => Ok(guess(&text)),
        }
    }
}

fn insert(payload: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), TokenError> {
    if nest::insert(payload, key, value, KEY_SEGMENTS_MAX) {
        Ok(())
    } else {
        Err(TokenError::TooDeep { key: key.to_owned() })
    }
}

fn coerced(field: &FieldType, key: &str, value: &str) -> Result<Value, TokenError> {
    coerce::coerce(field, value).map_err(|error| TokenError::Coerce {
        key: key.to_owned(),
        value: value.to_owned(),
        detail: error.to_string(),
    })
}
