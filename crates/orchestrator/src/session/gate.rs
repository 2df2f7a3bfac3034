//! Who may open a stream, and what its first message must say (O1, O2).

use std::fmt;

use gen_worker_proto::pb;
use tonic::Status;

/// What a verified token says about its bearer. `None` = the token does not say: Hello is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Worker the token was issued to.
    pub worker_id: Option<String>,
    /// Release the worker belongs to.
    pub release_id: Option<String>,
}

/// The token was refused: unknown, expired, malformed or missing. Says nothing more on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker token was refused")]
pub struct TokenRefused;

/// Checks the bearer token of a worker stream before anything is read from it.
pub trait WorkerVerifier: Send + Sync + fmt::Debug {
    /// `bearer` is what follows `Bearer ` in the `authorization` metadata; `None` when the key is absent.
    ///
    /// # Errors
    /// When the stream is to be refused as UNAUTHENTICATED.
    fn verify(&self, bearer: Option<&str>) -> Result<Identity, TokenRefused>;
}

/// Authentication off: every Hello is believed. For one machine and tests only.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenGate;

impl WorkerVerifier for OpenGate {
    fn verify(&self, _bearer: Option<&str>) -> Result<Identity, TokenRefused> {
        Ok(Identity::default())
    }
}

/// A fixed list of bearer tokens, without identities.
#[derive(Clone)]
pub struct TokenGate {
    tokens: Vec<String>,
}

impl TokenGate {
    /// Accepts exactly these tokens; an empty list accepts nobody.
    #[must_use]
    pub fn new(tokens: Vec<String>) -> Self {
        Self { tokens }
    }
}

impl WorkerVerifier for TokenGate {
    fn verify(&self, bearer: Option<&str>) -> Result<Identity, TokenRefused> {
        let bearer = bearer.ok_or(TokenRefused)?;
        // Every token is compared in full, so that the time taken does not tell how much of one was right.
        let known = self.tokens.iter().fold(false, |known, token| known | equal(token.as_bytes(), bearer.as_bytes()));
        if known { Ok(Identity::default()) } else { Err(TokenRefused) }
    }
}

impl fmt::Debug for TokenGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenGate").field("tokens", &self.tokens.len()).finish()
    }
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

/// The bearer token of a stream's metadata.
pub(crate) fn bearer(metadata: &tonic::metadata::MetadataMap) -> Option<&str> {
    let text = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Checks a Hello against the identity of its stream. The texts are part of the contract: workers exit on them.
pub(super) fn admit(hello: &pb::Hello, identity: &Identity) -> Result<(), Status> {
    if hello.protocol_version != i32::from(pb::ProtocolVersion::Current) {
        return Err(Status::failed_precondition("protocol_version_mismatch"));
    }
    if hello.worker_id.is_empty() {
        return Err(Status::failed_precondition("missing worker identity"));
    }
    if identity.worker_id.as_ref().is_some_and(|id| *id != hello.worker_id) {
        return Err(Status::failed_precondition("worker_id_mismatch"));
    }
    if identity.release_id.as_ref().is_some_and(|id| *id != hello.release_id) {
        return Err(Status::failed_precondition("release_id_mismatch"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
