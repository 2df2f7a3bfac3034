//! Bounds of payload fields: enforced when a value is decoded, and written into its schema. What a bound may stand
//! on is decided by the traits here, so that a bound on a type without that property does not compile.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    sync::OnceLock,
};

use regex::Regex;
use schemars::Schema;
use serde_json::{Number as JsonNumber, Value};

use super::bytes_field::BytesField;

/// Bounds of a number.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberBounds {
    /// Smallest value.
    pub min: Option<Number>,
    /// Largest value.
    pub max: Option<Number>,
    /// The value has to be above this.
    pub exclusive_min: Option<Number>,
    /// The value has to be below this.
    pub exclusive_max: Option<Number>,
    /// The value has to be a multiple of this.
    pub multiple_of: Option<Number>,
}

/// Bounds of a length: characters of text, elements of a collection, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct LengthBounds {
    /// Smallest length.
    pub min: Option<usize>,
    /// Largest length.
    pub max: Option<usize>,
}

/// A number, as exact as it was written or decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Without a fraction.
    Int(i64),
    /// Above the range of [`Number::Int`].
    Large(u64),
    /// With a fraction, even if it is zero.
    Float(f64),
}

/// A regular expression that text has to contain a match of; compiled when it is first used.
#[derive(Debug)]
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

/// A field type that is a number, or may be absent.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a number",
    note = "`min`, `max`, `exclusive_min`, `exclusive_max` and `multiple_of` bound numbers; `min_len` and `max_len` bound lengths"
)]
pub trait NumberField {
    /// Name of the type in messages.
    const NAME: &'static str;

    /// The number, if there is one.
    fn number(&self) -> Option<Number>;
}

/// A field type that has a length, or may be absent.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no length",
    note = "`min_len` and `max_len` bound text, bytes, lists and maps; `min` and `max` bound numbers"
)]
pub trait LengthField {
    /// Name of the type in messages.
    const NAME: &'static str;
    /// Keywords of the schema for the smallest and the largest length.
    const KEYWORDS: [&'static str; 2];

    /// The length, if there is a value.
    fn length(&self) -> Option<usize>;
}

/// A field type that is text, or may be absent.
#[diagnostic::on_unimplemented(message = "`{Self}` is not text", note = "`pattern` bounds text")]
pub trait TextField {
    /// The text, if there is some.
    fn text(&self) -> Option<&str>;
}

impl NumberBounds {
    /// Checks a decoded value.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub fn check<T: NumberField>(&self, value: &T) -> Result<(), String> {
        let Some(number) = value.number() else { return Ok(()) };
        let fail = |relation: &str, bound: Number| Err(format!("Expected `{}` {relation} {bound}", T::NAME));
        // Comparisons with NaN are false: it is within no bounds.
        match *self {
            Self { min: Some(bound), .. } if !(number.at_least(bound)) => fail(">=", bound),
            Self { max: Some(bound), .. } if !(bound.at_least(number)) => fail("<=", bound),
            Self { exclusive_min: Some(bound), .. } if !(number.above(bound)) => fail(">", bound),
            Self { exclusive_max: Some(bound), .. } if !(bound.above(number)) => fail("<", bound),
            Self { multiple_of: Some(bound), .. } if !number.is_multiple_of(bound) => {
                fail("that's a multiple of", bound)
            }
            _ => Ok(()),
        }
    }

    /// Writes the bounds into the schema of the field.
    pub fn describe(&self, schema: &mut Schema) {
        let keywords = [
            ("minimum", self.min),
            ("maximum", self.max),
            ("exclusiveMinimum", self.exclusive_min),
            ("exclusiveMaximum", self.exclusive_max),
            ("multipleOf", self.multiple_of),
        ];
        for (keyword, bound) in keywords {
            if let Some(bound) = bound {
                schema.insert(keyword.to_owned(), bound.to_json());
            }
        }
    }
}

impl LengthBounds {
    /// Checks a decoded value.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub fn check<T: LengthField>(&self, value: &T) -> Result<(), String> {
        self.check_length(T::NAME, value.length())
    }

    /// Checks a decoded value that holds bytes.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub fn check_bytes<T: BytesField>(&self, value: &T) -> Result<(), String> {
        self.check_length("bytes", value.bytes().map(<[u8]>::len))
    }

    fn check_length(&self, name: &str, length: Option<usize>) -> Result<(), String> {
        let Some(length) = length else { return Ok(()) };
        let fail = |relation: &str, bound: usize| Err(format!("Expected `{name}` of length {relation} {bound}"));
        match *self {
            Self { min: Some(bound), .. } if length < bound => fail(">=", bound),
            Self { max: Some(bound), .. } if length > bound => fail("<=", bound),
            _ => Ok(()),
        }
    }

    /// Writes the bounds into the schema of the field.
    pub fn describe<T: LengthField>(&self, schema: &mut Schema) {
        self.insert(schema, T::KEYWORDS);
    }

    /// Writes the bounds of a field that holds bytes into its schema, where it is base64 text.
    pub fn describe_bytes(&self, schema: &mut Schema) {
        let in_base64 = |bytes: usize| bytes.div_ceil(3).saturating_mul(4);
        Self { min: self.min.map(in_base64), max: self.max.map(in_base64) }.insert(schema, OF_TEXT);
    }

    fn insert(self, schema: &mut Schema, keywords: [&str; 2]) {
        for (keyword, bound) in keywords.into_iter().zip([self.min, self.max]) {
            if let Some(bound) = bound {
                schema.insert(keyword.to_owned(), bound.into());
            }
        }
    }
}

impl Pattern {
    /// A pattern; `#[derive(Payload)]` has checked its syntax.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// Checks a decoded value.
    ///
    /// # Errors
    /// What is wrong with it, for the client.
    pub fn check<T: TextField>(&self, value: &T) -> Result<(), String> {
        let Some(text) = value.text() else { return Ok(()) };
        match self.compiled.get_or_init(|| Regex::new(self.text).ok()) {
            Some(regex) if regex.is_match(text) => Ok(()),
            Some(_) => Err(format!("Expected `str` matching regex '{}'", self.text)),
            None => Err(format!("The pattern '{}' of this field is too large to be used", self.text)),
        }
    }

    /// Writes the pattern into the schema of the field.
    pub fn describe(&self, schema: &mut Schema) {
        schema.insert("pattern".to_owned(), self.text.into());
    }
}

impl Number {
    fn at_least(self, bound: Self) -> bool {
        match (self.exact(), bound.exact()) {
            (Some(number), Some(bound)) => number >= bound,
            _ => self.approximate() >= bound.approximate(),
        }
    }

    fn above(self, bound: Self) -> bool {
        match (self.exact(), bound.exact()) {
            (Some(number), Some(bound)) => number > bound,
            _ => self.approximate() > bound.approximate(),
        }
    }

    fn is_multiple_of(self, bound: Self) -> bool {
        match (self.exact(), bound.exact()) {
            (Some(number), Some(bound)) => bound != 0 && number % bound == 0,
            _ => self.approximate() % bound.approximate() == 0.0,
        }
    }

    fn exact(self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(i128::from(value)),
            Self::Large(value) => Some(i128::from(value)),
            Self::Float(_) => None,
        }
    }

    fn approximate(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Large(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    fn to_json(self) -> Value {
        match self {
            Self::Int(value) => value.into(),
            Self::Large(value) => value.into(),
            Self::Float(value) => JsonNumber::from_f64(value).map_or(Value::Null, Value::Number),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => fmt::Display::fmt(value, f),
            Self::Large(value) => fmt::Display::fmt(value, f),
            Self::Float(value) => fmt::Debug::fmt(value, f),
        }
    }
}

macro_rules! numbers {
    ($name:literal: $($type:ty => $convert:expr),*) => {$(
        impl NumberField for $type {
            const NAME: &'static str = $name;

            fn number(&self) -> Option<Number> {
                let convert: fn($type) -> Number = $convert;
                Some(convert(*self))
            }
        }
    )*};
}

fn large(value: u64) -> Number {
    i64::try_from(value).map_or(Number::Large(value), Number::Int)
}

numbers!("int": i8 => |n| Number::Int(n.into()), i16 => |n| Number::Int(n.into()), i32 => |n| Number::Int(n.into()),
    i64 => Number::Int, isize => |n| Number::Int(n as i64), u8 => |n| Number::Int(n.into()),
    u16 => |n| Number::Int(n.into()), u32 => |n| Number::Int(n.into()), u64 => large, usize => |n| large(n as u64));
numbers!("float": f32 => |n| Number::Float(n.into()), f64 => Number::Float);

impl<T: NumberField> NumberField for Option<T> {
    const NAME: &'static str = T::NAME;

    fn number(&self) -> Option<Number> {
        self.as_ref().and_then(T::number)
    }
}

const OF_TEXT: [&str; 2] = ["minLength", "maxLength"];
const OF_LIST: [&str; 2] = ["minItems", "maxItems"];
const OF_MAP: [&str; 2] = ["minProperties", "maxProperties"];

macro_rules! lengths {
    ($([$($generic:tt)*] $type:ty, $name:literal, $keywords:ident, $length:expr);* $(;)?) => {$(
        impl<$($generic)*> LengthField for $type {
            const NAME: &'static str = $name;
            const KEYWORDS: [&'static str; 2] = $keywords;

            fn length(&self) -> Option<usize> {
                let length: fn(&Self) -> usize = $length;
                Some(length(self))
            }
        }
    )*};
}

lengths! {
    [] String, "str", OF_TEXT, |text| text.chars().count();
    [T] Vec<T>, "array", OF_LIST, |list| list.len();
    [T, S] HashSet<T, S>, "array", OF_LIST, |set| set.len();
    [T] BTreeSet<T>, "array", OF_LIST, |set| set.len();
    [K, V, S] HashMap<K, V, S>, "object", OF_MAP, |map| map.len();
    [K, V] BTreeMap<K, V>, "object", OF_MAP, |map| map.len();
}

impl<T: LengthField> LengthField for Option<T> {
    const NAME: &'static str = T::NAME;
    const KEYWORDS: [&'static str; 2] = T::KEYWORDS;

    fn length(&self) -> Option<usize> {
        self.as_ref().and_then(T::length)
    }
}

impl TextField for String {
    fn text(&self) -> Option<&str> {
        Some(self)
    }
}

impl<T: TextField> TextField for Option<T> {
    fn text(&self) -> Option<&str> {
        self.as_ref().and_then(T::text)
    }
}

#[cfg(test)]
mod tests;
