//! Renewal of the tokens with which jobs read and write files (Hub contract, 9.3 to 9.6). Workers call it, not clients.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};
use gen_worker_proto::{Attempt, Pair, RequestId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Shared, body,
    code::Code,
    error::{ApiError, ErrorBody},
    reply,
};
use crate::request::State as Phase;

/// Which token is to be renewed.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"request_id": "0199f3b0-6c1e-7d52-a7a5-3f0c5b1d2e44", "attempt": 1, "capability_token": "…"}))]
pub struct RenewBody {
    /// The request that the worker runs.
    request_id: String,
    /// Its attempt.
    attempt: i64,
    /// The token, also up to five minutes past its end.
    capability_token: String,
}

/// The new token.
#[derive(Serialize, ToSchema)]
pub struct RenewedToken {
    /// With the same grants.
    capability_token: String,
    /// When it ends, in seconds since 1970.
    expires_at_unix: u64,
}

/// A token that ends later, for a job that runs on the worker that asks. Its bearer is the token of the worker.
#[utoipa::path(post, path = "/v1/worker/capability/renew", tag = "workers",
    request_body = RenewBody,
    responses(
        (status = 200, description = "The new token", body = RenewedToken),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 401, description = "The token of the worker, or of the job, is not accepted", body = ErrorBody),
        (status = 403, description = "The job runs on another worker", body = ErrorBody),
        (status = 404, description = "No such request", body = ErrorBody),
        (status = 409, description = "Another attempt, or it does not run", body = ErrorBody)))]
pub(super) async fn renew(State(api): State<Shared>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let unauthenticated = |why: &str| ApiError::new(Code::Unauthenticated, why);
    let verified = api.options.workers.verify(bearer);
    let identity = verified.map_err(|_| unauthenticated("the token of the worker was refused"))?;
    let body = body::read(&api, &headers, body).await?;
    let asked: RenewBody = serde_json::from_slice(&body)
        .map_err(|_| ApiError::new(Code::Invalid, "expected request_id, attempt and capability_token"))?;
    let id = RequestId::parse(asked.request_id).map_err(|_| ApiError::no_such_request())?;
    let request = api.handle.get(&id).await?.ok_or_else(ApiError::no_such_request)?;
    let pair = Pair { request_id: id, attempt: Attempt(asked.attempt) };
    let about = |error: ApiError| error.about(&pair.request_id);
    if identity.worker_id.is_some() && identity.worker_id != request.worker_id {
        return Err(about(ApiError::new(Code::Forbidden, "the request runs on another worker")));
    }
    if request.attempt != pair.attempt {
        return Err(about(ApiError::new(Code::AttemptMismatch, "the request is in another attempt")));
    }
    if !matches!(request.state, Phase::Assigned | Phase::Running) {
        return Err(about(ApiError::new(Code::NotRunning, "the request does not run")));
    }
    let renewed = api.handle.hub.renew(&pair, &asked.capability_token);
    let renewed = renewed.map_err(|error| about(unauthenticated(&error.to_string())))?;
    Ok(reply::json(&RenewedToken { capability_token: renewed.token, expires_at_unix: renewed.expires_at_unix }))
}
