//! Makes tokens.

use std::fmt;

use ring::hmac;
use serde::Serialize;

use super::{HEADER, check::TokenCheck, claims::CapabilityClaims, encode, role::RoleClaims};
use crate::secret::{BearerToken, SecretError};

/// Bytes of a seed.
const SEED_BYTES: usize = 32;

/// Signs tokens with one key. `Debug` does not show it.
pub struct TokenSigner(hmac::Key);

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret of a token has to have {SEED_BYTES} bytes")]
pub struct KeyError;

impl TokenSigner {
    /// A signer with the key of `seed`: 32 secret bytes, which the caller keeps.
    ///
    /// # Errors
    /// When it has another length.
    pub fn from_seed(seed: &[u8]) -> Result<Self, KeyError> {
        key(seed).map(Self)
    }

    /// A check for the tokens of this signer.
    #[must_use]
    pub fn check(&self) -> TokenCheck {
        TokenCheck::of(self.0.clone())
    }

    /// A token that says `claims`.
    ///
    /// # Errors
    /// [`SecretError::TooLong`] when it would not fit into a header.
    pub fn sign(&self, claims: &CapabilityClaims) -> Result<BearerToken, SecretError> {
        self.signed(claims)
    }

    /// A role token that says `claims`. Its signer has another key than that of capability tokens.
    ///
    /// # Errors
    /// [`SecretError::TooLong`] when it would not fit into a header.
    pub fn sign_role(&self, claims: &RoleClaims) -> Result<BearerToken, SecretError> {
        self.signed(claims)
    }

    fn signed(&self, claims: &impl Serialize) -> Result<BearerToken, SecretError> {
        // Claims are texts and numbers: they always serialise.
        let claims = serde_json::to_vec(claims).unwrap_or_default();
        let signed = format!("{}.{}", encode(HEADER.as_bytes()), encode(&claims));
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", encode(signature.as_ref())).parse()
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").finish_non_exhaustive()
    }
}

/// The key of a seed.
pub(super) fn key(seed: &[u8]) -> Result<hmac::Key, KeyError> {
    if seed.len() == SEED_BYTES { Ok(hmac::Key::new(hmac::HMAC_SHA256, seed)) } else { Err(KeyError) }
}
