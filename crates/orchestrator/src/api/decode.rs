//! Typed values out of query strings and MessagePack bodies, with errors that name the field.

use std::fmt;

mod pack;
mod query;

pub(super) use pack::{Packed, pack};
pub(super) use query::query;

use super::{code::Code, error::ApiError};

/// A field that does not fit its type, or that the type does not have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FieldError {
    /// Steps from the top, outermost first, as `.name` and `[index]`.
    path: String,
    problem: FieldProblem,
}

#[derive(Debug, PartialEq, Eq)]
enum FieldProblem {
    Unknown,
    Invalid(String),
}

impl FieldError {
    fn invalid(message: impl fmt::Display) -> Self {
        Self { path: String::new(), problem: FieldProblem::Invalid(message.to_string()) }
    }

    /// Puts the error below a key of the surrounding map.
    fn under_key(mut self, key: &str) -> Self {
        self.path.insert_str(0, key);
        self.path.insert(0, '.');
        self
    }

    /// Puts the error below an item of the surrounding list.
    fn under_index(mut self, index: usize) -> Self {
        self.path.insert_str(0, &format!("[{index}]"));
        self
    }

    /// The reply for an error in a body.
    pub(super) fn in_body(self) -> ApiError {
        let path = format!("${}", self.path);
        self.reply(&path)
    }

    /// The reply for an error in a query string.
    pub(super) fn in_query(self) -> ApiError {
        let name = format!("query parameter {}", self.path.trim_start_matches('.'));
        self.reply(&name)
    }

    fn reply(self, place: &str) -> ApiError {
        // Names come from the caller and may be long.
        let place: String = place.chars().take(256).collect();
        let details = serde_json::json!({ "path": place });
        match self.problem {
            FieldProblem::Unknown => ApiError::new(Code::UnknownField, format!("unknown field `{place}`")),
            FieldProblem::Invalid(message) => ApiError::new(Code::Invalid, format!("{message} - at `{place}`")),
        }
        .with(details)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            FieldProblem::Unknown => write!(f, "unknown field `${}`", self.path),
            FieldProblem::Invalid(message) => write!(f, "{message} - at `${}`", self.path),
        }
    }
}

impl std::error::Error for FieldError {}

impl serde::de::Error for FieldError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::invalid(message)
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        Self { path: String::new(), problem: FieldProblem::Unknown }.under_key(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::invalid("missing field").under_key(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::invalid("given twice").under_key(field)
    }
}

#[cfg(test)]
mod tests;
