//! Hashing of bytes that come in pieces.

use super::{Blake3Hash, DIGEST_BYTES, Digest, DigestAlgorithm};

/// Hashes pieces as if they were one. Memory does not grow with them.
#[derive(Clone)]
pub struct DigestHasher(State);

#[derive(Clone)]
enum State {
    Blake3(Box<blake3::Hasher>),
    Sha256(Box<ring::digest::Context>),
}

impl DigestHasher {
    /// Has hashed nothing yet.
    #[must_use]
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        Self(match algorithm {
            DigestAlgorithm::Blake3 => State::Blake3(Box::default()),
            DigestAlgorithm::Sha256 => State::Sha256(Box::new(ring::digest::Context::new(&ring::digest::SHA256))),
        })
    }

    /// Hashes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Blake3(hasher) => {
                hasher.update(bytes);
            }
            State::Sha256(context) => context.update(bytes),
        }
    }

    /// The digest of all pieces so far. More may follow.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match &self.0 {
            State::Blake3(hasher) => Blake3Hash::from_bytes(*hasher.finalize().as_bytes()).into(),
            State::Sha256(context) => {
                let mut bytes = [0; DIGEST_BYTES];
                bytes.copy_from_slice((**context).clone().finish().as_ref());
                Digest::from_bytes(DigestAlgorithm::Sha256, bytes)
            }
        }
    }
}

impl std::fmt::Debug for DigestHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestHasher")
    }
}
