//! Tokens of jobs that go on are renewed (Hub contract, 9.3 to 9.6).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use gen_worker_hub::{
    api::{RenewReply, RenewRequest},
    token::CapabilityClaims,
};

use super::{
    body::{self, SMALL_MAX},
    caller::bearer,
    error::ApiError,
};
use crate::{hub::Hub, renewal::NotRunning};

/// Exchanges a token for one with the same grants that ends later.
pub(crate) async fn renew(State(hub): State<Arc<Hub>>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let worker = bearer(&headers)?.ok_or_else(|| refused(NotRunning::Token))?;
    let RenewRequest { request_id, attempt, capability_token } = body::read(body, SMALL_MAX).await?;
    // A hub alone knows of no request.
    let jobs = hub.options.jobs.as_ref().ok_or_else(|| refused(NotRunning::Unknown))?;
    let name = jobs.check(&worker, &request_id, attempt).await.map_err(refused)?;
    let now_s = hub.options.clock.now_s();
    let claims = hub.tokens.verify_for_renewal(&capability_token, now_s).map_err(|error| {
        ApiError::new(StatusCode::UNAUTHORIZED, "invalid_token", format!("the capability token: {error}"))
    })?;
    // What a job may do is for the worker that runs it: a token of another one is not made to live longer.
    if claims.sub != name || claims.request_id != request_id {
        return Err(refused(NotRunning::OtherWorker));
    }
    if claims.attempt != attempt {
        return Err(refused(NotRunning::OtherAttempt));
    }
    // A job whose deadline is later than its kind lasts got a token that lives longer: it is not made to end sooner.
    let life_s = claims.kind.ttl().as_secs().max(claims.exp.saturating_sub(claims.iat));
    let expires_at_unix = now_s.saturating_add(life_s);
    let renewed = CapabilityClaims { iat: now_s, exp: expires_at_unix, ..claims };
    let capability_token = hub.token_signer.sign(&renewed).map_err(|error| ApiError::unavailable(&error))?;
    body::json(StatusCode::OK, &RenewReply { capability_token, expires_at_unix })
}

fn refused(why: NotRunning) -> ApiError {
    let (status, code) = match why {
        NotRunning::Token => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        NotRunning::OtherWorker => (StatusCode::FORBIDDEN, "other_worker"),
        NotRunning::Unknown => (StatusCode::NOT_FOUND, "unknown_request"),
        NotRunning::OtherAttempt => (StatusCode::CONFLICT, "attempt_mismatch"),
        NotRunning::Ended => (StatusCode::CONFLICT, "not_running"),
    };
    ApiError::new(status, code, why.to_string())
}
