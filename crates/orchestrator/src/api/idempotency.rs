//! `Idempotency-Key`: the key decides the id of the request, and the uniqueness of ids in the queue does the rest. So
//! nothing else has to be stored, and the promise is as durable as the request.
//!
//! A key holds for 24 hours. The id is derived from the key and the current period of 24 hours; a request of the
//! period before that is younger than 24 hours still counts. Two calls with one key within milliseconds of each other
//! on either side of a period's end (midnight UTC) may both create a request.

use axum::http::HeaderMap;
use gen_worker_proto::RequestId;

use super::{code::Code, error::ApiError, state::Api};
use crate::{pool::SubmitError, request::NewRequest, request::Request, request::UnixMs};

/// How long a key holds, in milliseconds.
const PERIOD_MS: i64 = 24 * 3_600 * 1_000;

/// Longest key, in bytes: room for any UUID or path a client may use.
const KEY_BYTES_MAX: usize = 255;

/// A client's key.
#[derive(Debug)]
pub(super) struct Key<'a> {
    text: &'a str,
    tenant: &'a str,
    period: i64,
}

impl<'a> Key<'a> {
    /// Reads the header.
    pub(super) fn read(headers: &'a HeaderMap, tenant: &'a str, now: UnixMs) -> Result<Option<Self>, ApiError> {
        let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
        match value.to_str() {
            Ok(text) if !text.is_empty() && text.len() <= KEY_BYTES_MAX => {
                Ok(Some(Self { text, tenant, period: now.0.div_euclid(PERIOD_MS) }))
            }
            _ => {
                let message = format!("header `idempotency-key` has 1 to {KEY_BYTES_MAX} printable ASCII characters");
                Err(ApiError::new(Code::Invalid, message))
            }
        }
    }

    /// Id of a request that this key creates now.
    pub(super) fn id(&self) -> RequestId {
        self.id_in(self.period)
    }

    /// The request that this key created in the period before, if it still holds.
    ///
    /// # Errors
    /// When that request has another body, or the pool cannot say.
    pub(super) async fn earlier(
        &self,
        api: &Api,
        new: &NewRequest,
    ) -> Result<Option<std::sync::Arc<Request>>, ApiError> {
        let Some(earlier) = api.handle.get(&self.id_in(self.period - 1)).await? else { return Ok(None) };
        if new.created_at.0.saturating_sub(earlier.submitted.created_at.0) >= PERIOD_MS {
            return Ok(None);
        }
        if earlier.submitted.body_digest != new.body_digest || earlier.submitted.tenant != new.tenant {
            return Err(ApiError::refused(SubmitError::Conflict, new.function.as_str()));
        }
        Ok(Some(earlier))
    }

    fn id_in(&self, period: i64) -> RequestId {
        let mut hasher = blake3::Hasher::new_derive_key("gen-worker 2026 idempotency key to request id");
        for part in [self.tenant.as_bytes(), self.text.as_bytes(), &period.to_le_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        let id = uuid::Builder::from_custom_bytes(bytes).into_uuid().hyphenated().to_string();
        RequestId::parse(id).expect("a UUID is short and not empty")
    }
}

#[cfg(test)]
mod tests;
