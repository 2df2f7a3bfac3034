//! How much a large body says besides its lists of files. What is read of such things may take sixteen times its text, so that
//! it is measured before it is read, without keeping anything.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{body::SMALL_MAX, error::ApiError};

/// Most text of an entry of a list of files: two paths of the greatest length, and some words.
const ENTRY_BYTES_MAX: usize = 16 * 1024;

/// What stands where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The body of a commit.
    Commit,
    /// The body that ends a session.
    Session,
    /// The trees that a session makes.
    Trees,
    /// One of them.
    Tree,
    /// A list of files.
    Files,
    /// All else.
    Rest,
}

/// Refuses a body with more text besides its lists of files than a small one may have at all.
pub(super) fn check(body: &[u8], place: Place) -> Result<(), ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let length = place.deserialize(&mut reader);
    let length = length.map_err(|error| ApiError::invalid("invalid_body", error.to_string()))?;
    if length > SMALL_MAX {
        let message = format!("besides its files the body may say {SMALL_MAX} bytes");
        return Err(ApiError::new(axum::http::StatusCode::PAYLOAD_TOO_LARGE, "too_large", message));
    }
    Ok(())
}

impl Place {
    fn field(self, name: &str) -> Self {
        match (self, name) {
            (Self::Commit, "operations") | (Self::Tree, "snapshot_manifest" | "deletions") => Self::Files,
            (Self::Session, "checkpoint_flavors") => Self::Trees,
            _ => Self::Rest,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place {
    /// Bytes of text that it has at least.
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<usize, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a body")
    }

    fn visit_bool<E>(self, _: bool) -> Result<usize, E> {
        Ok(2)
    }

    fn visit_i64<E>(self, _: i64) -> Result<usize, E> {
        Ok(2)
    }

    fn visit_u64<E>(self, _: u64) -> Result<usize, E> {
        Ok(2)
    }

    fn visit_f64<E>(self, _: f64) -> Result<usize, E> {
        Ok(2)
    }

    fn visit_unit<E>(self) -> Result<usize, E> {
        Ok(2)
    }

    fn visit_str<E>(self, text: &str) -> Result<usize, E> {
        Ok(text.len().saturating_add(2))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<usize, A::Error> {
        let entry = if self == Self::Trees { Self::Tree } else { Self::Rest };
        let mut sum = 2_usize;
        while let Some(length) = list.next_element_seed(entry)? {
            if self != Self::Files {
                sum = sum.saturating_add(length);
            } else if length > ENTRY_BYTES_MAX {
                return Err(A::Error::custom(format!("a file is named with more than {ENTRY_BYTES_MAX} bytes")));
            }
        }
        Ok(sum)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<usize, A::Error> {
        let mut sum = 2_usize;
        while let Some(name) = object.next_key::<String>()? {
            let length = object.next_value_seed(self.field(&name))?;
            sum = sum.saturating_add(name.len()).saturating_add(length);
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests;
