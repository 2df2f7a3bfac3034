//! Makes tokens.

use std::fmt;

use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::{HEADER, check::TokenCheck, claims::CapabilityClaims, encode};
use crate::secret::{BearerToken, SecretError};

/// Bytes of a seed.
pub(super) const SEED_BYTES: usize = 32;

/// Signs tokens with one key. `Debug` does not show it.
pub struct TokenSigner(Ed25519KeyPair);

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no Ed25519 key of {SEED_BYTES} bytes")]
pub struct KeyError;

impl TokenSigner {
    /// A signer with the key of `seed`: 32 secret bytes, which the caller keeps.
    ///
    /// # Errors
    /// When it has another length.
    pub fn from_seed(seed: &[u8]) -> Result<Self, KeyError> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self).map_err(|_| KeyError)
    }

    /// The public key, for those who check.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// A check for the tokens of this signer.
    ///
    /// # Errors
    /// Never in practice: the key is a good one.
    pub fn check(&self) -> Result<TokenCheck, KeyError> {
        TokenCheck::new(&[self.public_key()])
    }

    /// A token that says `claims`.
    ///
    /// # Errors
    /// [`SecretError::TooLong`] when it would not fit into a header.
    pub fn sign(&self, claims: &CapabilityClaims) -> Result<BearerToken, SecretError> {
        // Claims are texts and numbers: they always serialise.
        let claims = serde_json::to_vec(claims).unwrap_or_default();
        let signed = format!("{}.{}", encode(HEADER.as_bytes()), encode(&claims));
        let signature = self.0.sign(signed.as_bytes());
        format!("{signed}.{}", encode(signature.as_ref())).parse()
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").finish_non_exhaustive()
    }
}
