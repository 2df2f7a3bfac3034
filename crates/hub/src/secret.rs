//! Texts that open doors: tokens and signed addresses. They are shown to nobody: `Debug` says what they are, not what they say.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest token in bytes: it travels in a header, and servers refuse larger ones.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Longest signed address in bytes: what servers take in a request line.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// A token for `Authorization: Bearer`. Safe as the value of a header.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

/// An address that carries its own permission in its query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SignedUrl(String);

/// Why a text is neither. Nothing of the text is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No text.
    #[error("it is empty")]
    Empty,
    /// Too long to be sent.
    #[error("it is too long")]
    TooLong,
    /// A blank or something that is not ASCII.
    #[error("it has a character that cannot be sent")]
    Character,
    /// Not `http://` or `https://` with a host, or with a user in it.
    #[error("it is no address of the web")]
    Scheme,
}

impl BearerToken {
    /// The token itself. For the header, and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl SignedUrl {
    /// The address itself. For the request, and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The part that may be shown: scheme, host and path.
    #[must_use]
    pub fn without_query(&self) -> &str {
        self.0.split(['?', '#']).next().unwrap_or_default()
    }
}

fn sendable(text: &str, bytes_max: usize) -> Result<(), SecretError> {
    match text.len() {
        0 => Err(SecretError::Empty),
        len if len > bytes_max => Err(SecretError::TooLong),
        _ if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(()),
        _ => Err(SecretError::Character),
    }
}

impl FromStr for BearerToken {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        sendable(text, TOKEN_BYTES_MAX)?;
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for SignedUrl {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        sendable(text, URL_BYTES_MAX)?;
        let (scheme, rest) = text.split_once("://").ok_or(SecretError::Scheme)?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        if !web || host.is_empty() || host.contains(['@', '\\']) {
            return Err(SecretError::Scheme);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken([redacted])")
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedUrl").field(&self.without_query()).finish()
    }
}

impl Serialize for SignedUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SignedUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for BearerToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BearerToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
