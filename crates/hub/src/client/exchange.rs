//! One request and its bounded answer, and the same again where a policy says so.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;

use super::{
    error::HubError,
    hub_client::HubClient,
    retry::{RetryPolicy, random_name, random_unit, retry_after},
};
use crate::{
    api::{ErrorBody, REPLY_BYTES_MAX, ReplyError},
    redact::redact,
    secret::BearerToken,
};

/// Header with the tenant that a write is for.
const OWNER_HEADER: &str = "x-cozy-owner";

/// Header with the name of a call.
const KEY_HEADER: &str = "idempotency-key";

/// Excerpts of bodies in errors, in characters (Hub contract, 1.10).
pub(super) const EXCERPT_CHARS: usize = 256;
/// The same for uploads.
pub(super) const EXCERPT_UPLOAD_CHARS: usize = 300;
/// The same for the complete of an upload of a commit.
pub(super) const EXCERPT_COMMIT_COMPLETE_CHARS: usize = 500;
/// The same for commits.
pub(super) const EXCERPT_COMMIT_CHARS: usize = 800;

/// Bytes of a character in UTF-8, at most.
const CHAR_BYTES_MAX: usize = 4;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// Behind the base, encoded, query included.
    pub(super) target: String,
    /// Goes with writes.
    pub(super) owner: Option<&'a str>,
    /// Another token than the client's.
    pub(super) token: Option<&'a BearerToken>,
    /// Under which name it is sent again when its answer is lost.
    pub(super) key: Option<String>,
    /// JSON. An empty body is sent as JSON too.
    pub(super) body: Option<Bytes>,
    pub(super) timeout: Duration,
    pub(super) excerpt_chars: usize,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

impl<'a> Call<'a> {
    pub(super) fn new(operation: &'static str, method: Method, target: String, timeout: Duration) -> Self {
        let excerpt_chars = EXCERPT_CHARS;
        Self { operation, method, target, owner: None, token: None, key: None, body: None, timeout, excerpt_chars }
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Result<Self, HubError> {
        let why = "its body cannot be written as JSON";
        let body = serde_json::to_vec(body).map_err(|_| HubError::Refused { operation: self.operation, why })?;
        self.body = Some(body.into());
        Ok(self)
    }

    pub(super) fn owner(mut self, owner: Option<&'a str>) -> Self {
        self.owner = owner;
        self
    }

    /// Gives the call a name that no other call has: a server that knows it does the call once, however often it comes.
    pub(super) fn once(mut self) -> Self {
        self.key = Some(random_name());
        self
    }

    pub(super) fn excerpt(mut self, chars: usize) -> Self {
        self.excerpt_chars = chars;
        self
    }

    /// The error that a reply with another status than expected stands for.
    pub(super) fn refused(&self, reply: &Reply) -> HubError {
        let operation = self.operation;
        let excerpt = reply.body.get(..self.excerpt_chars * CHAR_BYTES_MAX).unwrap_or(&reply.body);
        let detail = redact(&String::from_utf8_lossy(excerpt), self.excerpt_chars);
        let status = reply.status.as_u16();
        match status {
            401 | 403 => HubError::Auth { operation, status, detail },
            404 => HubError::NotFound { operation, detail },
            429 => HubError::RateLimited { operation, retry_after: reply.retry_after },
            _ => HubError::Status { operation, status, code: ErrorBody::code_of(&reply.body), detail },
        }
    }

    /// What `read` makes of the body.
    pub(super) fn read<T>(
        &self,
        reply: &Reply,
        read: impl FnOnce(&[u8]) -> Result<T, ReplyError>,
    ) -> Result<T, HubError> {
        read(&reply.body).map_err(|source| HubError::Reply { operation: self.operation, source })
    }
}

impl Reply {
    fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        Self { status, retry_after: retry_after(headers), body }
    }

    fn may_pass(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS || self.status.is_server_error()
    }
}

impl HubClient {
    /// Sends `call` once and reads all of the answer.
    pub(super) async fn exchange(&self, call: &Call<'_>) -> Result<Reply, HubError> {
        let timeout = HubError::Timeout { operation: call.operation, after: call.timeout };
        tokio::time::timeout(call.timeout, self.exchange_untimed(call)).await.unwrap_or(Err(timeout))
    }

    /// Sends `call` once; any status but 2xx is an error.
    pub(super) async fn exchange_good(&self, call: &Call<'_>) -> Result<Reply, HubError> {
        let reply = self.exchange(call).await?;
        if reply.status.is_success() { Ok(reply) } else { Err(call.refused(&reply)) }
    }

    /// Sends `call` again after lost connections, 429 and 5xx, as `policy` says. Gives the last answer.
    pub(super) async fn exchange_again(&self, call: &Call<'_>, policy: &RetryPolicy) -> Result<Reply, HubError> {
        let mut failures = 0;
        loop {
            let result = self.exchange(call).await;
            let retry_after = match &result {
                Ok(reply) if reply.may_pass() => reply.retry_after,
                Err(error) if error.is_network() => None,
                _ => return result,
            };
            failures += 1;
            let Some(wait) = policy.wait(failures, retry_after, random_unit()) else { return result };
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends `call` and gives the answer as it comes.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<reqwest::Response, HubError> {
        let operation = call.operation;
        let url = format!("{}{}", self.base(), call.target);
        let mut request = self.http().request(call.method.clone(), url);
        if let Some(token) = call.token.or(self.token()) {
            request = request.header(header::AUTHORIZATION, bearer(operation, token)?);
        }
        if let Some(owner) = call.owner.filter(|owner| !owner.is_empty()) {
            let why = "the owner cannot be sent";
            let owner = HeaderValue::from_str(owner).map_err(|_| HubError::Refused { operation, why })?;
            request = request.header(OWNER_HEADER, owner);
        }
        if let Some(key) = &call.key {
            request = request.header(KEY_HEADER, key);
        }
        if let Some(body) = &call.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        request.send().await.map_err(|error| transport(operation, error))
    }

    /// The whole of an answer that has begun.
    pub(super) async fn rest_of(&self, call: &Call<'_>, response: reqwest::Response) -> Result<Reply, HubError> {
        let timeout = HubError::Timeout { operation: call.operation, after: call.timeout };
        tokio::time::timeout(call.timeout, read(call.operation, response)).await.unwrap_or(Err(timeout))
    }

    async fn exchange_untimed(&self, call: &Call<'_>) -> Result<Reply, HubError> {
        read(call.operation, self.send(call).await?).await
    }
}

async fn read(operation: &'static str, mut response: reqwest::Response) -> Result<Reply, HubError> {
    let too_large = || HubError::TooLarge { operation, limit_bytes: REPLY_BYTES_MAX as u64 };
    if response.content_length().is_some_and(|length| length > REPLY_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(piece) = response.chunk().await.map_err(|error| transport(operation, error))? {
        if body.len() + piece.len() > REPLY_BYTES_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
    }
    Ok(Reply::new(response.status(), response.headers(), body.freeze()))
}

/// The address is taken out: it may be a signed one.
pub(super) fn transport(operation: &'static str, error: reqwest::Error) -> HubError {
    HubError::Transport { operation, source: error.without_url() }
}

fn bearer(operation: &'static str, token: &BearerToken) -> Result<HeaderValue, HubError> {
    let why = "the token cannot be sent";
    let value = HeaderValue::from_str(&format!("Bearer {}", token.reveal()));
    let mut value = value.map_err(|_| HubError::Refused { operation, why })?;
    value.set_sensitive(true);
    Ok(value)
}
