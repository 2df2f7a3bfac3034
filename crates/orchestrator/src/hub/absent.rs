//! No hub: tokens are opaque, nothing resolves, outputs are believed.

use std::fmt;

use futures::{FutureExt as _, future, future::BoxFuture};
use gen_worker_proto::Pair;

use super::{Hub, HubUnavailable, JobGrant, Lookup, NotItsToken, Renewed};

/// For pools without files. Its tokens are not empty (O25) and of no use.
pub struct NoHub {
    key: [u8; 32],
}

impl Default for NoHub {
    /// With a fresh random key, which never leaves it.
    fn default() -> Self {
        let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        let seed: Vec<u8> = random.iter().flat_map(|part| *part.as_bytes()).collect();
        Self { key: *blake3::hash(&seed).as_bytes() }
    }
}

impl Hub for NoHub {
    fn token(&self, job: &JobGrant<'_>) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&job.pair.attempt.0.to_le_bytes()).update(job.pair.request_id.as_str().as_bytes());
        hasher.finalize().to_hex().to_string()
    }

    fn renew(&self, _pair: &Pair, _token: &str) -> Result<Renewed, NotItsToken> {
        Err(NotItsToken)
    }

    fn resolve(&self, _tenant: &str, _reference: &str) -> BoxFuture<'static, Result<Lookup, HubUnavailable>> {
        future::ready(Ok(Lookup::Absent)).boxed()
    }

    fn output(&self, _tenant: &str, _reference: &str) -> BoxFuture<'static, Result<Option<String>, HubUnavailable>> {
        future::ready(Ok(None)).boxed()
    }

    fn is_present(&self) -> bool {
        false
    }
}

impl fmt::Debug for NoHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoHub")
    }
}

#[cfg(test)]
mod tests {
    use gen_worker_proto::{Attempt, RequestId};

    use super::*;

    #[test]
    fn o25_tokens_differ_by_attempt_request_and_process() {
        let token = |hub: &NoHub, id: &str, attempt| {
            let pair = Pair { request_id: RequestId::parse(id).expect("valid id"), attempt: Attempt(attempt) };
            hub.token(&JobGrant { pair: &pair, worker_id: "w", tenant: "t", kind: "", timeout: None })
        };
        let here = NoHub::default();
        let first = token(&here, "r", 1);
        assert_eq!(first, token(&here, "r", 1));
        assert_ne!(first, token(&here, "r", 2));
        assert_ne!(first, token(&here, "s", 1));
        assert_ne!(first, token(&NoHub::default(), "r", 1));
        assert!(format!("{here:?}").len() < 20, "the key stays out of logs");
    }
}
