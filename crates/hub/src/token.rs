//! Capability tokens: what one job may do at the hub (Hub contract, section 9).
//!
//! ```text
//! CapabilityClaims ──TokenSigner──> "header.claims.signature" ──TokenCheck──> CapabilityClaims ──allows──> yes or no
//!                                                              └─ ByteLimits::read_unverified (the worker, without a key)
//! ```
//! Tokens are JWTs with HMAC-SHA256: the hub that makes them is the one that checks them, and a pool makes one for each attempt,
//! which has to cost microseconds. The algorithm is fixed; no header can choose another. Time is passed in, in seconds since 1970.

mod check;
mod claims;
mod limits;
mod renewal;
mod role;
mod signer;
mod validity;

pub use check::{TokenCheck, TokenError};
pub use claims::{Area, CapabilityClaims, Grant, GrantError, Right, Workload};
pub use limits::ByteLimits;
pub use renewal::{AfterFailure, after_failed_renewal, renewal_wait};
pub use role::{Role, RoleClaims};
pub use signer::{KeyError, TokenSigner};
pub use validity::Validity;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The header of every token that is written.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests;
