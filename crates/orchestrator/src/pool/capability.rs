//! Per-attempt bearer tokens for the file API: one key per process, so that a token is checked without being stored.

use std::fmt;

use gen_worker_proto::{Attempt, RequestId};

/// Mints tokens. The key never leaves it.
pub(crate) struct Capabilities {
    key: [u8; 32],
}

impl Capabilities {
    /// A fresh random key.
    pub(crate) fn new() -> Self {
        let mut key = [0; 32];
        let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        let seed: Vec<u8> = random.iter().flat_map(|part| *part.as_bytes()).collect();
        key.copy_from_slice(blake3::hash(&seed).as_bytes());
        Self { key }
    }

    /// The token of one attempt: opaque to workers, different for every attempt.
    pub(crate) fn token(&self, id: &RequestId, attempt: Attempt) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&attempt.0.to_le_bytes()).update(id.as_str().as_bytes());
        hasher.finalize().to_hex().to_string()
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capabilities")
    }
}

#[cfg(test)]
mod tests {
    use gen_worker_proto::{Attempt, RequestId};

    use super::Capabilities;

    #[test]
    fn o25_tokens_differ_by_attempt_request_and_process() {
        let id = |id: &str| RequestId::parse(id).expect("valid id");
        let here = Capabilities::new();
        let token = here.token(&id("r"), Attempt(1));
        assert_eq!(token, here.token(&id("r"), Attempt(1)));
        assert_ne!(token, here.token(&id("r"), Attempt(2)));
        assert_ne!(token, here.token(&id("s"), Attempt(1)));
        assert_ne!(token, Capabilities::new().token(&id("r"), Attempt(1)));
        assert!(format!("{here:?}").len() < 20, "the key stays out of logs");
    }
}
