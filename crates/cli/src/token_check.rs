//! The check of worker tokens against published keys (JWKS), before the worker connects and whenever the orchestrator
//! pushes a new token. Owns the fetched keys.
//!
//! ```text
//! token ──> Unverified (its form) ──> keys of its kid (cached, fetched) ──> signature ──> claims
//! ```
//! Only signatures of published keys count: RS256, ES256 and EdDSA with Ed25519. `none` and shared secrets are no
//! algorithms here, so no header can choose them. Signatures are verified by `ring`, which TLS links already.

mod claims;
mod fetch;
mod keys;
mod source;
#[cfg(test)]
mod tests;
mod token;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::future::BoxFuture;
use gen_worker_core::{TokenCheck, TokenRefused};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

use crate::exit::chain;

pub(crate) use self::claims::Expected;
pub(crate) use self::fetch::Fetch;
pub(crate) use self::source::KeySource;
use self::{
    claims::ClaimError,
    fetch::FetchError,
    keys::{KeyError, KeySet},
    token::{TokenError, Unverified},
};

/// Time between two fetches because of a key that is not in the set: a token with a made-up key id must not turn
/// this worker against the server of the keys.
const REFETCH_INTERVAL: Duration = Duration::from_secs(10);

/// Why a token failed the check. Nothing of the token is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckError {
    /// It is no token that could be checked.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The keys cannot be had.
    #[error("keys cannot be fetched from {from}")]
    Fetch { from: String, source: FetchError },
    /// What was fetched is no set of keys.
    #[error("what {from} serves are no keys")]
    Keys { from: String, source: KeyError },
    /// Its key is not among them.
    #[error("its key is not published")]
    UnknownKey,
    /// Its signature is not that of its key.
    #[error("its signature is wrong")]
    Signature,
    /// It is genuine, and not for here and now.
    #[error(transparent)]
    Claims(#[from] ClaimError),
}

/// Checks tokens with the keys of one URL.
pub(crate) struct JwksCheck {
    source: KeySource,
    expected: Expected,
    /// How long fetched keys are used without asking again.
    ttl: Duration,
    fetch: Fetch,
    fetched: Mutex<Option<Fetched>>,
}

/// Keys and when they were fetched.
#[derive(Clone)]
struct Fetched {
    keys: Arc<KeySet>,
    at: Instant,
    /// When the set was last fetched again because a key was missing.
    refetched: Option<Instant>,
}

impl JwksCheck {
    /// A check that has fetched nothing yet.
    pub(crate) fn new(source: KeySource, fetch: Fetch, ttl: Duration, expected: Expected) -> Self {
        Self { source, expected, ttl, fetch, fetched: Mutex::new(None) }
    }

    /// Whether `token` is genuine and meant for here and now.
    ///
    /// # Errors
    /// When it is not, or when the keys cannot be had. Keys that were fetched before are still used while their server
    /// cannot be reached: a token is pushed once.
    ///
    /// # Cancel safety
    /// May be dropped; the next check fetches again.
    pub(crate) async fn verify(&self, token: &str) -> Result<(), CheckError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.verify_at(token, now.as_secs()).await
    }

    /// The same at a time in seconds since 1970.
    async fn verify_at(&self, token: &str, now_s: u64) -> Result<(), CheckError> {
        let token = Unverified::parse(token)?;
        let mut fetched = self.current().await?;
        if fetched.keys.of(&token).next().is_none() {
            fetched = self.refetched(fetched).await?;
        }
        let mut known = false;
        for key in fetched.keys.of(&token) {
            known = true;
            if key.has_signed(&token) {
                return Ok(self.expected.check(token.claims()?, now_s)?);
            }
        }
        Err(if known { CheckError::Signature } else { CheckError::UnknownKey })
    }

    /// Keys that are fresh enough, or the last ones when there are no fresher to be had.
    async fn current(&self) -> Result<Fetched, CheckError> {
        let cached = self.fetched.lock().clone();
        let Some(cached) = cached else { return self.fetch(None).await };
        if cached.at.elapsed() < self.ttl {
            return Ok(cached);
        }
        match self.fetch(cached.refetched).await {
            Ok(fetched) => Ok(fetched),
            Err(error) => {
                warn!(error = chain(&error), "using the keys that were fetched before");
                Ok(cached)
            }
        }
    }

    /// The set once more, because a key is missing in `fetched`.
    async fn refetched(&self, fetched: Fetched) -> Result<Fetched, CheckError> {
        if fetched.refetched.is_some_and(|at| at.elapsed() < REFETCH_INTERVAL) {
            return Ok(fetched);
        }
        self.fetch(Some(Instant::now())).await
    }

    async fn fetch(&self, refetched: Option<Instant>) -> Result<Fetched, CheckError> {
        let from = || self.source.to_string();
        let body = self.fetch.get(&self.source).await.map_err(|source| CheckError::Fetch { from: from(), source })?;
        let keys = KeySet::parse(&body).map_err(|source| CheckError::Keys { from: from(), source })?;
        let fetched = Fetched { keys: Arc::new(keys), at: Instant::now(), refetched };
        *self.fetched.lock() = Some(fetched.clone());
        Ok(fetched)
    }
}

/// The same for tokens that are pushed.
pub(crate) struct PushedTokens(pub(crate) Arc<JwksCheck>);

impl TokenCheck for PushedTokens {
    fn check(&self, token: String) -> BoxFuture<'static, Result<(), TokenRefused>> {
        let check = self.0.clone();
        Box::pin(async move { check.verify(&token).await.map_err(|error| TokenRefused { source: error.into() }) })
    }
}
