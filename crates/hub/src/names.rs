//! Names with a form: tags, flavors, ids that a server issues, and names of trees. Own no state.
//!
//! All of them are safe as one part of a URL or of a path.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Why a text is not a name of that kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} is not of the form {form}")]
pub struct NameError {
    kind: &'static str,
    form: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $form:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(NameError { kind: $kind, form: $form }) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

name! {
    /// A name that points to a tree and can be moved (Hub contract, 6.16).
    Tag, "tag", "[a-z0-9][a-z0-9._-]{0,62}", |text| is_label(text, 63)
}

name! {
    /// One of the trees of a tag, such as `fp8` (Hub contract, 6.16).
    Flavor, "flavor", "[a-z0-9][a-z0-9._-]{0,63}", |text| is_label(text, 64)
}

name! {
    /// An upload, session, revision or release, as its server calls it (Hub contract, 1.7).
    ServerId, "id", "[A-Za-z0-9_-]{1,128}",
    |text| (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

name! {
    /// What a server calls a tree, without `blake3:` in front. Our own hub gives its digest, others may give anything
    /// (Hub contract, 12.2); it is safe as the name of a directory.
    SnapshotId, "snapshot digest", "[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}",
    |text| (1..=128).contains(&text.len()) && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

name! {
    /// A published release (Hub contract, 13.1).
    ReleaseId, "release id", "r_[a-z2-7]{26}",
    |text| text.strip_prefix("r_").is_some_and(|id| {
        id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte))
    })
}

name! {
    /// A project or an endpoint in an address (Hub contract, 13.8).
    Slug, "slug", "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    |text| (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl Slug {
    /// Shortest slug of a project.
    const PROJECT_BYTES_MIN: usize = 3;

    /// The slug of `name`: in lower case, with one `-` for each run of other characters, and none at the ends.
    ///
    /// # Errors
    /// When nothing is left, or too much.
    pub fn of(name: &str) -> Result<Self, NameError> {
        let lower = name.to_ascii_lowercase();
        let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-").parse()
    }

    /// Whether a project may be called so: three characters or more, a letter in front, and no `--`.
    #[must_use]
    pub fn is_project(&self) -> bool {
        let text = self.as_str();
        text.len() >= Self::PROJECT_BYTES_MIN
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.contains("--")
    }
}

impl Flavor {
    /// The flavor that `text` means: in lower case, and with `-` for `:`, which a peer writes against its own grammar
    /// (`int4:nf4`; Hub contract, 6.17).
    ///
    /// # Errors
    /// When that is no flavor either.
    pub fn normalised(text: &str) -> Result<Self, NameError> {
        text.trim().to_ascii_lowercase().replace(':', "-").parse()
    }
}

impl SnapshotId {
    /// Reads an id with or without `blake3:` in front (Hub contract, 3.2).
    ///
    /// # Errors
    /// When it is no name.
    pub fn from_digest(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        text.strip_prefix("blake3:").unwrap_or(text).parse()
    }
}

fn is_label(text: &str, bytes_max: usize) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= bytes_max
        && text.bytes().next().is_some_and(alphanumeric)
        && text.bytes().all(|byte| alphanumeric(byte) || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests;
