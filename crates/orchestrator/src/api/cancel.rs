//! Cancelling a request (contract P-14).

use std::time::Duration;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::{
    Shared,
    code::Code,
    error::{ApiError, ErrorBody},
    extract::{Caller, Segment},
    object::RequestObject,
    reply, requests,
};
use crate::{
    pool::CancelOutcome,
    request::{Request, State as Phase},
};

/// How long a cancel waits for the store; a store that takes longer is in trouble, and the caller is told "accepted".
const COMMIT_TIME: Duration = Duration::from_secs(5);

/// Cancels a request: at once while it is queued, within the grace of its worker while it runs. Repeating it is
/// harmless.
#[utoipa::path(post, path = "/v1/requests/{id}/cancel", tag = "requests",
    params(("id" = String, Path, description = "Id of the request")),
    responses(
        (status = 200, description = "It is canceled", body = RequestObject<'_>),
        (status = 202, description = "Its worker was told", body = RequestObject<'_>),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "No such request", body = ErrorBody),
        (status = 409, description = "It had ended; `details.request` is the object", body = ErrorBody),
        (status = 503, description = "The store cannot be used now", body = ErrorBody)))]
pub(super) async fn cancel(State(api): State<Shared>, caller: Caller, segment: Segment) -> Result<Response, ApiError> {
    let id = segment.known_id()?;
    requests::find(&api, &caller, &id).await?;
    match api.handle.cancel(&id).await? {
        CancelOutcome::Canceled(request) => Ok(reply::object(StatusCode::OK, &request, false)),
        CancelOutcome::Requested(request) if request.state == Phase::Queued => decided(&api, &request).await,
        CancelOutcome::Requested(request) => Ok(reply::object(StatusCode::ACCEPTED, &request, false)),
        CancelOutcome::AlreadyFinished(request) => Ok(already_finished(&request)),
        CancelOutcome::Unknown => Err(ApiError::no_such_request()),
    }
}

/// The cancel of a queued request is decided and on its way to the disk: the caller gets to know it once it is there.
async fn decided(api: &Shared, request: &Request) -> Result<Response, ApiError> {
    let seen = api.handle.wait(&request.submitted.id, COMMIT_TIME).await?;
    let seen = seen.ok_or_else(ApiError::no_such_request)?;
    Ok(match seen.state {
        Phase::Canceled => reply::object(StatusCode::OK, &seen, false),
        // A result came in at the same moment and was first.
        Phase::Succeeded | Phase::Failed => already_finished(&seen),
        Phase::Queued | Phase::Assigned | Phase::Running => reply::object(StatusCode::ACCEPTED, &seen, false),
    })
}

fn already_finished(request: &Request) -> Response {
    let mut object = Vec::new();
    RequestObject::new(request, false).write(&mut object);
    let object: serde_json::Value = serde_json::from_slice(&object).unwrap_or_default();
    let mut response = ApiError::new(Code::AlreadyFinished, "the request had already ended")
        .about(&request.submitted.id)
        .with(serde_json::json!({ "request": object }))
        .into_response();
    reply::about(&mut response, request);
    response
}
