//! The path of a file inside a repository: `/`-separated, relative, and safe to join to a directory.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest path in bytes (Hub contract, 6.18).
pub const PATH_BYTES_MAX: usize = 1024;

/// Longest part of a path in bytes: the limit of common file systems.
const PART_BYTES_MAX: usize = 255;

/// A checked path. Orders bytewise.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoPath(String);

/// Why a text is no path of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepoPathError {
    /// No text, or nothing between two slashes, in front of the first or behind the last.
    #[error("path has an empty part")]
    Empty,
    /// `.` or `..`: it would mean another place than it names.
    #[error("path has a relative part")]
    Relative,
    /// A character that separates parts elsewhere, or that cannot be shown.
    #[error("path has a backslash or a control character")]
    Character,
    /// Longer than file systems take.
    #[error("path is longer than {PATH_BYTES_MAX} bytes, or a part of it longer than {PART_BYTES_MAX}")]
    TooLong,
}

/// Two paths that cannot both be files of one tree on every file system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathConflict {
    /// The same path twice.
    #[error("path {0} is named twice")]
    Twice(RepoPath),
    /// Only the case differs: a file system that ignores it would keep one of them.
    #[error("paths {0} and {1} differ in case only")]
    Case(RepoPath, RepoPath),
    /// One would have to be a file and a directory.
    #[error("path {0} is a file and a directory")]
    Nested(RepoPath),
}

impl RepoPath {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path that a tree of somebody else means by `text`: `\` separates like `/`, and slashes in front mean nothing (model
    /// contract, 6.16).
    ///
    /// # Errors
    /// [`RepoPathError`] for what is no path even so.
    pub fn of_tree(text: &str) -> Result<Self, RepoPathError> {
        text.replace('\\', "/").trim_start_matches('/').parse()
    }

    /// The part behind the last slash.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Whether all of `paths` can be files of one tree.
    ///
    /// # Errors
    /// The first [`PathConflict`] in the order of the paths in lower case.
    pub fn check_tree<'a>(paths: impl IntoIterator<Item = &'a Self>) -> Result<(), PathConflict> {
        let mut lower: BTreeMap<String, &Self> = BTreeMap::new();
        for path in paths {
            if let Some(other) = lower.insert(path.0.to_lowercase(), path) {
                let conflict = if other == path {
                    PathConflict::Twice(path.clone())
                } else {
                    PathConflict::Case(other.clone(), path.clone())
                };
                return Err(conflict);
            }
        }
        for key in lower.keys() {
            let parents = key.match_indices('/').filter_map(|(at, _)| key.get(..at));
            if let Some(file) = parents.filter_map(|parent| lower.get(parent)).next() {
                return Err(PathConflict::Nested((*file).clone()));
            }
        }
        Ok(())
    }
}

impl FromStr for RepoPath {
    type Err = RepoPathError;

    fn from_str(text: &str) -> Result<Self, RepoPathError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(RepoPathError::TooLong);
        }
        if text.contains(|c: char| c == '\\' || c.is_control()) {
            return Err(RepoPathError::Character);
        }
        for part in text.split('/') {
            match part {
                "" => return Err(RepoPathError::Empty),
                "." | ".." => return Err(RepoPathError::Relative),
                _ if part.len() > PART_BYTES_MAX => return Err(RepoPathError::TooLong),
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RepoPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepoPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
