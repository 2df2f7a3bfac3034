//! Text to JSON value, by the declared type of a field or by guessing.

use serde_json::{Number, Value};

use super::FieldType;

/// Why a text is not of the declared type. The text itself is shown by the caller.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum CoerceError {
    #[error("expected a boolean (true, 1, yes, y, on, false, 0, no, n, off)")]
    Bool,
    #[error("expected an integer")]
    Int,
    #[error("expected a finite number")]
    Float,
    #[error("none of the field's types fits")]
    Union,
    #[error("a list or map cannot be written this way; use `FIELD:=JSON`")]
    Collection,
}

/// Turns `text` into a value of type `field`.
pub(crate) fn coerce(field: &FieldType, text: &str) -> Result<Value, CoerceError> {
    match field {
        FieldType::Text => Ok(Value::String(text.to_owned())),
        FieldType::Bool => boolean(text).map(Value::Bool).ok_or(CoerceError::Bool),
        FieldType::Int => integer(text).map(Value::Number).ok_or(CoerceError::Int),
        FieldType::Float => float(text).map(Value::Number).ok_or(CoerceError::Float),
        FieldType::Union { alternatives, nullable } => {
            if text.is_empty() && *nullable {
                return Ok(Value::Null);
            }
            alternatives.iter().find_map(|field| coerce(field, text).ok()).ok_or(CoerceError::Union)
        }
        FieldType::Collection => Err(CoerceError::Collection),
        FieldType::Enum(members) => {
            Ok(members.iter().find(|member| shows_as(member, text)).cloned().unwrap_or_else(|| guess(text)))
        }
        FieldType::Bytes | FieldType::Guess => Ok(guess(text)),
    }
}

/// What a value of unknown type most likely is: boolean, null, integer, float, else the text itself.
pub(crate) fn guess(text: &str) -> Value {
    let trimmed = text.trim();
    let is = |word: &str| trimmed.eq_ignore_ascii_case(word);
    if is("true") || is("false") {
        Value::Bool(is("true"))
    } else if is("null") || is("none") {
        Value::Null
    } else if let Some(number) = integer(text).or_else(|| float(text)) {
        Value::Number(number)
    } else {
        Value::String(text.to_owned())
    }
}

fn shows_as(member: &Value, text: &str) -> bool {
    match member.as_str() {
        Some(member) => member == text,
        None => serde_json::from_str::<Value>(text).is_ok_and(|value| value == *member),
    }
}

fn boolean(text: &str) -> Option<bool> {
    let word = text.trim().to_ascii_lowercase();
    match word.as_str() {
        "true" | "1" | "yes" | "y" | "on" => Some(true),
        "false" | "0" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

/// A decimal integer of at most 64 bits; a sign, surrounding blanks and single `_` between digits are fine.
fn integer(text: &str) -> Option<Number> {
    let plain = without_separators(text.trim())?;
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    plain.parse::<i64>().map(Number::from).or_else(|_| plain.parse::<u64>().map(Number::from)).ok()
}

/// A finite decimal number, with or without exponent. Infinity and not-a-number cannot be JSON.
fn float(text: &str) -> Option<Number> {
    let plain = without_separators(text.trim())?;
    // Rust also reads `inf` and `nan`; only digits and what belongs to them may pass.
    if !plain.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
        return None;
    }
    plain.parse::<f64>().ok().and_then(Number::from_f64)
}

/// Removes `_` between digits; `None` when one stands anywhere else.
fn without_separators(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |index: Option<usize>| index.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
    let placed = |index: usize| digit(index.checked_sub(1)) && digit(index.checked_add(1));
    let well_placed = bytes.iter().enumerate().all(|(index, byte)| *byte != b'_' || placed(index));
    well_placed.then(|| text.replace('_', ""))
}
