//! Bodies of control calls, in and out.

use std::time::Duration;

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use serde::{Serialize, de::DeserializeOwned};

use super::error::ApiError;
use crate::patience::Stalled;

/// How long a body may take in all. The connection ends sooner when nothing comes at all; this is for those who send a byte now
/// and then. Clients wait 120 s for the answer.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(300);

/// Largest body of a call that names one thing, in bytes.
pub(crate) const SMALL_MAX: usize = 1024 * 1024;

/// Largest commit in bytes: a tree of as many files as are allowed, with paths of common length.
pub(crate) const COMMIT_MAX: usize = 32 * 1024 * 1024;

/// Reads a body of at most `bytes_max`.
pub(crate) async fn read<T: DeserializeOwned>(body: Body, bytes_max: usize) -> Result<T, ApiError> {
    parse(&collected(body, bytes_max).await?)
}

/// The same; an empty body is the default (Hub contract, 1.11).
pub(crate) async fn read_or_default<T: DeserializeOwned + Default>(
    body: Body,
    bytes_max: usize,
) -> Result<T, ApiError> {
    parse_or_default(&collected(body, bytes_max).await?)
}

async fn collected(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let collected = tokio::time::timeout(BODY_TIME, Limited::new(body, bytes_max).collect()).await;
    let collected = collected.map_err(|_| ApiError::stalled())?;
    Ok(collected.map_err(|error| refused(error.as_ref(), bytes_max))?.to_bytes())
}

/// What to answer to a body of at most `bytes_max` that failed.
pub(super) fn refused(error: &(dyn std::error::Error + Send + Sync + 'static), bytes_max: usize) -> ApiError {
    if error.is::<http_body_util::LengthLimitError>() {
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is over {bytes_max} bytes"))
    } else if Stalled::is_in(error) {
        ApiError::stalled()
    } else {
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_body", "the body did not come to its end")
    }
}

/// What a body says; an empty one the default.
pub(super) fn parse_or_default<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.trim_ascii().is_empty() { Ok(T::default()) } else { parse(bytes) }
}

/// What a body says.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // The text of the parser may repeat a value, but only to the one who sent it.
    serde_json::from_slice(bytes).map_err(|error| ApiError::invalid("invalid_body", error.to_string()))
}

/// A reply.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, ApiError> {
    let body = serde_json::to_vec(value).map_err(|error| ApiError::unavailable(&error))?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], Bytes::from(body)).into_response())
}
