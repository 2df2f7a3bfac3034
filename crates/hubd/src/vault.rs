//! Values that are kept encrypted (Hub contract, 10.4): ChaCha20-Poly1305 with a key derived from the secret of the hub and a
//! random nonce in front. What a value is for is bound to it, so that no two can be exchanged in the store.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};

use crate::signing::SECRET_BYTES;

/// Why a value cannot be encrypted or read. Nothing of it is in this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VaultError {
    /// The system gives no random bytes.
    #[error("the system has no random bytes")]
    Random,
    /// Changed, of something else, or encrypted with another secret.
    #[error("the value was encrypted for something else, or with another secret of the hub")]
    Unreadable,
}

/// Encrypts and reads values.
pub(crate) struct Vault(LessSafeKey);

impl Vault {
    /// A vault with the secret of a hub.
    pub fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        let key = blake3::derive_key("gen-worker hub 2026 environment", secret);
        Self(LessSafeKey::new(
            UnboundKey::new(&CHACHA20_POLY1305, &key).expect("derived keys have the 32 bytes of ChaCha20"),
        ))
    }

    /// Encrypts `value`, which is for `place`.
    pub fn seal(&self, place: &str, value: &str) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| VaultError::Random)?;
        let mut text = value.as_bytes().to_vec();
        let aad = Aad::from(place.as_bytes());
        let sealed = self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text);
        sealed.map_err(|_| VaultError::Unreadable)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// Reads a value that is for `place`.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<String, VaultError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(VaultError::Unreadable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Unreadable)?;
        let mut text = text.to_vec();
        let plain = self.0.open_in_place(nonce, Aad::from(place.as_bytes()), &mut text);
        let plain = plain.map_err(|_| VaultError::Unreadable)?;
        std::str::from_utf8(plain).map(str::to_owned).map_err(|_| VaultError::Unreadable)
    }
}

#[cfg(test)]
mod tests;
