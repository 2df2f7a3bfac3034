//! Function names as they travel: slugs.

use std::{fmt, sync::Arc};

use crate::limits::FUNCTION_NAME_CHARS_MAX;

/// The dispatch form of a name: trimmed, lower-cased, `_` and every run of characters outside `[a-z0-9.]`
/// turned into one `-`, without leading or trailing `-` and `.`, at most 128 characters.
///
/// The result can be empty (`"!!!"`). Applying it twice changes nothing.
#[must_use]
pub fn slug(name: &str) -> String {
    let mut out = String::with_capacity(name.len().min(FUNCTION_NAME_CHARS_MAX));
    for c in name.trim().chars().flat_map(char::to_lowercase) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' {
            out.push(c);
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    let cut = |text: &str| text.trim_matches(['-', '.']).to_owned();
    let mut out = cut(&out);
    if out.len() > FUNCTION_NAME_CHARS_MAX {
        // Only ASCII is left, so bytes are characters.
        out.truncate(FUNCTION_NAME_CHARS_MAX);
        out = cut(&out);
    }
    out
}

/// A non-empty slug: the name of a routable function. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionName(Arc<str>);

/// A name that slugs to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("function name {0:?} has no letter or digit in it")]
pub struct NameError(String);

impl FunctionName {
    /// Slugs `name`.
    ///
    /// # Errors
    /// When nothing is left of it.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let slug = slug(name);
        if slug.is_empty() {
            return Err(NameError(name.chars().take(FUNCTION_NAME_CHARS_MAX).collect()));
        }
        Ok(Self(slug.into()))
    }

    /// The slug.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::borrow::Borrow<str> for FunctionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for FunctionName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for FunctionName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
