//! How long a token says that it lasts.

use serde::Deserialize;

use super::decode;
use crate::secret::BearerToken;

/// Times in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Validity {
    /// Since when; not all tokens tell.
    #[serde(rename = "iat", default)]
    pub issued_s: Option<u64>,
    /// Until when.
    #[serde(rename = "exp")]
    pub expires_s: u64,
}

impl Validity {
    /// What `token` says of itself, unchecked: enough for its holder to renew it in time. None when it does not say.
    #[must_use]
    pub fn read_unverified(token: &BearerToken) -> Option<Self> {
        let claims = token.reveal().split('.').nth(1).and_then(decode)?;
        serde_json::from_slice(&claims).ok()
    }
}
