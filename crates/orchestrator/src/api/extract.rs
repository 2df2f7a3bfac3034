//! What routes take out of a request head, with refusals in our own form.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Path},
    http::{header, request::Parts},
};
use gen_worker_proto::RequestId;
use serde::de::DeserializeOwned;

use super::{
    code::Code,
    decode,
    error::ApiError,
    origin,
    state::{Access, Shared},
};

/// Longest request id of a client (contract, section 1).
const ID_BYTES_MAX: usize = 64;

/// Who calls. Taking it is what guards a route.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) tenant: Arc<str>,
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, ApiError> {
        if matches!(api.options.access, Access::Dev)
            && let Some(reason) = origin::refusal(&parts.uri, &parts.headers)
        {
            return Err(ApiError::new(Code::Forbidden, reason));
        }
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = header.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        match api.options.access.tenant(bearer) {
            Some(tenant) => Ok(Self { tenant }),
            None => Err(ApiError::new(Code::Unauthenticated, "this route wants a valid bearer token")),
        }
    }
}

/// The query as a struct; unknown parameters are refused.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _api: &Shared) -> Result<Self, ApiError> {
        decode::query(parts.uri.query()).map(Self).map_err(decode::FieldError::in_query)
    }
}

/// The variable segment of the path.
#[derive(Debug)]
pub(super) struct Segment(pub(super) String);

impl FromRequestParts<Shared> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, ApiError> {
        let Path(segment) = Path::<String>::from_request_parts(parts, api)
            .await
            .map_err(|_| ApiError::new(Code::NotFound, "the path is not UTF-8 text"))?;
        Ok(Self(segment))
    }
}

impl Segment {
    /// The id of a request that should exist.
    pub(super) fn known_id(self) -> Result<RequestId, ApiError> {
        RequestId::parse(self.0).map_err(|_| ApiError::no_such_request())
    }

    /// An id that a client chose for a new request.
    pub(super) fn chosen_id(self) -> Result<RequestId, ApiError> {
        let fits = self.0.len() <= ID_BYTES_MAX
            && self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        match RequestId::parse(self.0) {
            Ok(id) if fits => Ok(id),
            _ => Err(ApiError::new(
                Code::Invalid,
                "a request id has 1 to 64 characters out of A-Z, a-z, 0-9, `_` and `-`",
            )),
        }
    }
}
