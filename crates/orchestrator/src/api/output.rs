//! The output of a request, alone.

use axum::{extract::State, http::HeaderMap, response::Response};

use super::{
    Shared,
    body::{self, Binary},
    code::Code,
    error::{ApiError, ErrorBody},
    extract::{Caller, Segment},
    reply::{self, Form},
    requests,
};
use crate::request::State as Phase;

/// The output of a request that succeeded, of any size, as JSON or with `Accept: application/msgpack` as MessagePack.
#[utoipa::path(get, path = "/v1/requests/{id}/output", tag = "requests",
    params(("id" = String, Path, description = "Id of the request")),
    responses(
        (status = 200, description = "The output", content(
            (Object = "application/json"), (Binary = "application/msgpack"))),
        (status = 303, description = "It is a file: `Location` is where it can be read for some hours"),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "No such request, or it has no output", body = ErrorBody),
        (status = 503, description = "The store cannot be used now", body = ErrorBody)))]
pub(super) async fn output(
    State(api): State<Shared>,
    caller: Caller,
    segment: Segment,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = segment.known_id()?;
    let request = requests::find(&api, &caller, &id).await?;
    let why = match request.state {
        Phase::Succeeded => {
            let packed = body::accepts(&headers, body::is_messagepack);
            return reply::output(&api, &request, if packed { Form::Packed } else { Form::Output }).await;
        }
        Phase::Failed => "the request failed and has no output",
        Phase::Canceled => "the request was canceled and has no output",
        Phase::Queued | Phase::Assigned | Phase::Running => "the request has not ended yet",
    };
    Err(ApiError::new(Code::NotFound, why).about(&id))
}
