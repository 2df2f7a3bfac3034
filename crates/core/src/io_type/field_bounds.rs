//! Bounds of payload fields: one description, enforced when a value is decoded and written into its schema.

use std::{collections::BTreeMap, collections::HashMap, fmt, hash::BuildHasher, sync::OnceLock};

use regex::Regex;
use schemars::Schema;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

/// `#[field(min = .., ..)]` of one field.
#[derive(Clone, Copy, Debug)]
pub struct FieldBounds {
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
    /// Smallest length: characters of text, elements of a collection, bytes.
    pub min_len: Option<usize>,
    /// Largest length.
    pub max_len: Option<usize>,
    /// Regular expression that the text has to contain a match of.
    pub pattern: Option<&'static Pattern>,
}

/// A bound, as exact as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Written without a point.
    Int(i128),
    /// Written with a point.
    Float(f64),
}

/// A regular expression, compiled when it is first used.
#[derive(Debug)]
pub struct Pattern {
    text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}
