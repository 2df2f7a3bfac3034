//! How much a token lets its job write.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::decode;
use crate::secret::BearerToken;

/// Limits in bytes; none means that there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ByteLimits {
    /// Of all files together.
    #[serde(rename = "max_total_bytes", deserialize_with = "limit", skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Of one file.
    #[serde(rename = "max_bytes_per_file", deserialize_with = "limit", skip_serializing_if = "Option::is_none")]
    pub per_file: Option<u64>,
}

impl ByteLimits {
    /// What `token` says of itself, unchecked: enough for its holder to stop early. A token that cannot be read has no limits;
    /// the hub enforces its own.
    #[must_use]
    pub fn read_unverified(token: &BearerToken) -> Self {
        let claims = token.reveal().split('.').nth(1).and_then(decode);
        claims.and_then(|claims| serde_json::from_slice(&claims).ok()).unwrap_or_default()
    }
}

/// Zero, less than zero, and what is no whole number are no limit.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    Ok(number.filter(|bytes| *bytes > 0))
}
