//! Refs of Civitai: numbers, alone or in an address.

use std::fmt;

use super::{RefError, trimmed};

/// Names of the version in the query of an address.
const QUERY_NAMES: [&str; 3] = ["modelVersionId", "model_version_id", "version_id"];

/// Most digits of a version: those of the largest number of 64 bits.
const DIGITS_MAX: usize = 20;

/// What an author wrote. It stays as it is: the canonical form is the same text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CivitaiRef(String);

impl CivitaiRef {
    /// Any text that is not blank.
    ///
    /// # Errors
    /// [`RefError::Empty`] and [`RefError::TooLong`].
    pub fn parse(text: &str) -> Result<Self, RefError> {
        Ok(Self(trimmed(text)?.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version that the text names: a number, `versions/<number>`, or a number in a query.
    ///
    /// # Errors
    /// [`RefError::Version`] when that is no number.
    pub fn version_id(&self) -> Result<&str, RefError> {
        let text = self.in_query().or_else(|| self.in_path()).unwrap_or(&self.0);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits && text.len() <= DIGITS_MAX { Ok(text) } else { Err(RefError::Version) }
    }

    fn in_query(&self) -> Option<&str> {
        let (_, query) = self.0.split_once('?')?;
        let query = query.split('#').next().unwrap_or(query);
        let named = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        QUERY_NAMES.into_iter().find_map(named)
    }

    fn in_path(&self) -> Option<&str> {
        let (before, version) = self.0.rsplit_once("versions/")?;
        (before.is_empty() || before.ends_with('/') || before.ends_with('-'))
            .then(|| version.split(['/', '?', '#']).next())
            .flatten()
    }
}

impl fmt::Display for CivitaiRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
