//! What is wrong with a payload, and where.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

/// Longest name shown in a path, in characters: keys come from outside.
const NAME_CHARS_MAX: usize = 64;

/// A failure to decode. The place is put together from the inside out while the error travels up, so that a
/// payload without errors does not pay for it.
#[derive(Debug)]
pub(crate) struct DecodeError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    text: String,
    /// Innermost first.
    path: Vec<Segment>,
}

#[derive(Debug)]
enum Segment {
    Key(String),
    Index(usize),
}

impl DecodeError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(Box::new(Inner { text: text.into(), path: Vec::new() }))
    }

    pub(crate) fn mismatch(expected: &str, got: &str) -> Self {
        Self::new(format!("Expected `{expected}`, got `{got}`"))
    }

    pub(crate) fn truncated() -> Self {
        Self::new("Input data was truncated")
    }

    pub(crate) fn under_key(mut self, key: &str) -> Self {
        self.0.path.push(Segment::Key(key.chars().take(NAME_CHARS_MAX).collect()));
        self
    }

    pub(crate) fn under_index(mut self, index: usize) -> Self {
        self.0.path.push(Segment::Index(index));
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// `$` for the whole payload, `$.a[0].b` for a part.
    pub(crate) fn path(&self) -> String {
        let mut path = String::from("$");
        for segment in self.0.path.iter().rev() {
            match segment {
                Segment::Key(key) => {
                    path.push('.');
                    path.push_str(key);
                }
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let got = match got {
            Unexpected::Bool(_) => "bool",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "int",
            Unexpected::Float(_) => "float",
            Unexpected::Char(_) | Unexpected::Str(_) => "str",
            Unexpected::Bytes(_) => "bytes",
            Unexpected::Unit | Unexpected::Option => "null",
            Unexpected::Seq | Unexpected::TupleVariant => "array",
            Unexpected::Map | Unexpected::StructVariant | Unexpected::NewtypeVariant => "object",
            _ => "another type",
        };
        Self::mismatch(&plain_name(&expected.to_string()), got)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("Expected {expected}, got an array of length {length}"))
    }

    fn unknown_variant(variant: &str, _expected: &'static [&'static str]) -> Self {
        let shown: String = variant.chars().take(NAME_CHARS_MAX).collect();
        Self::new(format!("Invalid enum value '{shown}'"))
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        let shown: String = field.chars().take(NAME_CHARS_MAX).collect();
        Self::new(format!("Object contains unknown field `{shown}`"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("Object missing required field `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("Object has the field `{field}` twice"))
    }
}

/// Our names for what serde's own visitors say they expect.
fn plain_name(expected: &str) -> String {
    let name = match expected {
        "a string" | "a character" | "string or map" | "str" | "a borrowed string" => "str",
        "a boolean" | "bool" => "bool",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" | "isize" => "int",
        "f32" | "f64" => "float",
        "byte array" | "a byte array" | "bytes" => "bytes",
        "unit" => "null",
        "a sequence" => "array",
        "a map" => "object",
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum") => "object",
        other => return other.to_owned(),
    };
    name.to_owned()
}
