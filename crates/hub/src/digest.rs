//! Content hashes: BLAKE3 for everything, SHA-256 beside it for assets and old refs. Owns no state.
//!
//! Fields called `blake3` carry bare hex, fields called `digest` carry the algorithm in front (Hub contract, 12.1). The two
//! types here write what their fields carry, and both read either form.

mod hasher;
mod subtrees;

use std::{fmt, str::FromStr};

pub use hasher::DigestHasher;
pub use subtrees::{SubtreeHash, SubtreeHasher, Subtrees};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Bytes of a hash, of both algorithms.
pub const DIGEST_BYTES: usize = 32;

/// Hexadecimal digits of a hash.
pub const DIGEST_HEX: usize = 2 * DIGEST_BYTES;

/// How bytes are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestAlgorithm {
    /// BLAKE3 with 256 bits.
    Blake3,
    /// SHA-256.
    Sha256,
}

/// The BLAKE3 hash of some bytes. Displays as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Blake3Hash([u8; DIGEST_BYTES]);

/// A hash with its algorithm. Displays as `blake3:<hex>` or `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    bytes: [u8; DIGEST_BYTES],
}

/// A text that is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Neither `blake3:` nor `sha256:` nor nothing in front.
    #[error("digest has an unknown algorithm")]
    Algorithm,
    /// Not 64 hexadecimal digits.
    #[error("digest is not {DIGEST_HEX} hexadecimal digits")]
    Hex,
}

impl DigestAlgorithm {
    /// Name in front of the colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Sha256 => "sha256",
        }
    }

    /// By its name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Blake3, Self::Sha256].into_iter().find(|algorithm| name.eq_ignore_ascii_case(algorithm.as_str()))
    }
}

impl Blake3Hash {
    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// A hash that was computed elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; DIGEST_BYTES]) -> Self {
        Self(bytes)
    }

    /// The hash itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }
}

impl Digest {
    /// A hash that was computed elsewhere.
    #[must_use]
    pub fn from_bytes(algorithm: DigestAlgorithm, bytes: [u8; DIGEST_BYTES]) -> Self {
        Self { algorithm, bytes }
    }

    /// Hashes `bytes` with SHA-256.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        let mut hasher = DigestHasher::new(DigestAlgorithm::Sha256);
        hasher.update(bytes);
        hasher.digest()
    }

    /// How it was computed.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The hash itself.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.bytes
    }

    /// The hash without its algorithm, 64 lower-case digits.
    #[must_use]
    pub fn hex(&self) -> String {
        Blake3Hash(self.bytes).to_string()
    }

    /// The BLAKE3 hash, when it is one.
    #[must_use]
    pub fn as_blake3(&self) -> Option<Blake3Hash> {
        (self.algorithm == DigestAlgorithm::Blake3).then_some(Blake3Hash(self.bytes))
    }
}

impl From<Blake3Hash> for Digest {
    fn from(hash: Blake3Hash) -> Self {
        Self::from_bytes(DigestAlgorithm::Blake3, hash.0)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    /// Reads either form, in any case; bare hex is BLAKE3.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = match text.split_once(':') {
            Some((name, hex)) => (DigestAlgorithm::named(name).ok_or(DigestError::Algorithm)?, hex),
            None => (DigestAlgorithm::Blake3, text),
        };
        Ok(Self::from_bytes(algorithm, unhex(hex).ok_or(DigestError::Hex)?))
    }
}

impl FromStr for Blake3Hash {
    type Err = DigestError;

    /// Reads either form, in any case; another algorithm is an error.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.parse::<Digest>()?.as_blake3().ok_or(DigestError::Algorithm)
    }
}

fn unhex(hex: &str) -> Option<[u8; DIGEST_BYTES]> {
    let mut bytes = [0; DIGEST_BYTES];
    if hex.len() != DIGEST_HEX {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = (*byte << 4) | u8::try_from(value).ok()?;
        }
    }
    Some(bytes)
}

impl fmt::Display for Blake3Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), Blake3Hash(self.bytes))
    }
}

impl fmt::Debug for Blake3Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Blake3Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Blake3Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
