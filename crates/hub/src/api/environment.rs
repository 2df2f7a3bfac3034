//! Variables that an operator sets for an endpoint (Hub contract, section 10).

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Names that belong to the system.
const RESERVED: [&str; 8] = ["PATH", "HOME", "USER", "SHELL", "PWD", "TERM", "HOSTNAME", "LANG"];

/// Starts of names that belong to the system or to the worker.
const RESERVED_PREFIXES: [&str; 11] = [
    "WORKER_",
    "HF_",
    "TENSORHUB_",
    "ORCHESTRATOR_",
    "TRAINER_",
    "RUNPOD_",
    "LC_",
    "CUDA_",
    "NVIDIA_",
    "PYTHON",
    "LD_",
];

/// The name of a variable that an operator may set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentName(String);

/// Why a name cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentNameError {
    /// Not letters, digits and `_`, or a digit in front.
    #[error("name of a variable is not of the form [A-Za-z_][A-Za-z0-9_]*")]
    Form,
    /// It belongs to the system or to the worker.
    #[error("name of a variable is reserved")]
    Reserved,
}

/// One variable. `Debug` does not show its value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentEntry {
    /// Its name.
    pub name: EnvironmentName,
    /// Its value.
    pub value: String,
    /// Whether lists hide the value.
    #[serde(default)]
    pub sensitive: bool,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For which releases; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applies_to: Option<EnvironmentScope>,
}

/// For which releases a variable is set: any match is enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvironmentScope {
    /// Releases that one of these tags points to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// These releases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub release_ids: Vec<String>,
    /// Releases of these versions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compatibility_versions: Vec<String>,
}

/// The variables of one release. `Debug` does not show values.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedEnvironment {
    /// Values by name.
    pub env: BTreeMap<String, String>,
}

impl EnvironmentName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EnvironmentScope {
    /// Whether a release with these `tags`, `id` and `version` is meant.
    #[must_use]
    pub fn covers(&self, tags: &[&str], id: &str, version: Option<&str>) -> bool {
        let named = |list: &[String], text: &str| list.iter().any(|item| item == text);
        tags.iter().any(|tag| named(&self.tags, tag))
            || named(&self.release_ids, id)
            || version.is_some_and(|version| named(&self.compatibility_versions, version))
    }
}

impl FromStr for EnvironmentName {
    type Err = EnvironmentNameError;

    fn from_str(text: &str) -> Result<Self, EnvironmentNameError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !starts || text.len() > NAME_BYTES_MAX || !text.bytes().all(word) {
            return Err(EnvironmentNameError::Form);
        }
        let upper = text.to_ascii_uppercase();
        if RESERVED.contains(&upper.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) {
            return Err(EnvironmentNameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EnvironmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EnvironmentName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EnvironmentName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Debug for EnvironmentEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvironmentEntry").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for ResolvedEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.env.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
