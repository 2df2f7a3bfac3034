//! Successful replies, and the mapping of ended requests to status codes on routes that wait.

use std::fmt::Write as _;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    code::Code,
    error::ApiError,
    object::{AttemptObject, RequestObject, write_output},
    request_id,
    state::Api,
};
use crate::request::{Output, Request, State, Timings};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const MESSAGEPACK: HeaderValue = HeaderValue::from_static("application/msgpack");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// In which form a caller wants the result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The request object.
    Object {
        /// With outputs up to the larger limit.
        bytes_inline: bool,
    },
    /// The output alone, as JSON.
    Output,
    /// The output alone, as MessagePack.
    Packed,
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("views hold text, numbers and JSON values");
    ([(header::CONTENT_TYPE, JSON)], body).into_response()
}

/// The object of a request.
pub(super) fn object(status: StatusCode, request: &Request, bytes_inline: bool) -> Response {
    let mut body = Vec::new();
    RequestObject::new(request, bytes_inline).write(&mut body);
    let mut response = (status, [(header::CONTENT_TYPE, JSON)], body).into_response();
    about(&mut response, request);
    if status == StatusCode::ACCEPTED
        && let Ok(location) = HeaderValue::try_from(format!("/v1/requests/{}", request.submitted.id))
    {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The reply of a call that waited: by the state of the request, or 202 when it has not ended.
pub(super) async fn waited(api: &Api, request: &Request, form: Form) -> Result<Response, ApiError> {
    let bytes_inline = matches!(form, Form::Object { bytes_inline: true });
    match (request.state, form) {
        (State::Succeeded, Form::Object { .. }) => Ok(object(StatusCode::OK, request, bytes_inline)),
        (State::Succeeded, Form::Output | Form::Packed) => output(api, request, form).await,
        (State::Failed | State::Canceled, _) => Ok(failure(request)),
        _ => Ok(object(StatusCode::ACCEPTED, request, bytes_inline)),
    }
}

/// The output of a request that succeeded.
pub(super) async fn output(api: &Api, request: &Request, form: Form) -> Result<Response, ApiError> {
    let output = request.ending.as_ref().and_then(|ending| ending.output.as_ref());
    let raw = match output {
        Some(Output::Inline(raw)) if !raw.is_empty() => raw.clone(),
        // Streams end without an output of their own: nil.
        None | Some(Output::Inline(_)) => bytes::Bytes::from_static(&[0xc0]),
        Some(Output::Blob(reference)) => return elsewhere(api, request, reference).await,
    };
    let mut response = if form == Form::Packed {
        ([(header::CONTENT_TYPE, MESSAGEPACK)], raw).into_response()
    } else {
        let mut body = Vec::new();
        write_output(&raw, &mut body);
        ([(header::CONTENT_TYPE, JSON)], body).into_response()
    };
    about(&mut response, request);
    Ok(response)
}

/// Sends the caller to a file.
async fn elsewhere(api: &Api, request: &Request, reference: &str) -> Result<Response, ApiError> {
    let refused = |code, message: String| ApiError::new(code, message).about(&request.submitted.id);
    let hub = &api.handle.hub;
    if !hub.is_present() {
        let message =
            format!("the output is kept as `{reference}`, and this server has no file store to fetch it from");
        return Err(refused(Code::NotFound, message));
    }
    let url = hub.output(&request.submitted.tenant, reference).await;
    let url = url.map_err(|error| refused(Code::Unavailable, error.to_string()))?;
    let url = url.and_then(|url| HeaderValue::try_from(url).ok());
    let url = url.ok_or_else(|| refused(Code::NotFound, format!("the output `{reference}` is not there any more")))?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, url)]).into_response();
    about(&mut response, request);
    Ok(response)
}

/// The error reply of a request that failed or was canceled.
pub(super) fn failure(request: &Request) -> Response {
    let error = request.ending.as_ref().and_then(|ending| ending.error.as_ref());
    let reply = match error {
        Some(error) => {
            let attempts: Vec<_> = error.attempts.iter().map(AttemptObject::new).collect();
            let details = serde_json::json!({ "class": error.class, "attempts": attempts });
            ApiError::new(Code::of_ending(&error.code), error.message.clone()).with(details)
        }
        None if request.state == State::Canceled => ApiError::new(Code::Canceled, "canceled"),
        None => ApiError::new(Code::Failed, "failed"),
    };
    let mut response = reply.about(&request.submitted.id).into_response();
    about(&mut response, request);
    response
}

/// Headers of every reply about a request: its id and, once it has ended, where the time went.
pub(super) fn about(response: &mut Response, request: &Request) {
    if let Some(id) = request_id::value(&request.submitted.id) {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    if let Some(ending) = &request.ending
        && let Ok(timing) = HeaderValue::try_from(server_timing(&ending.timings))
    {
        response.headers_mut().insert(SERVER_TIMING, timing);
    }
}

fn server_timing(timings: &Timings) -> String {
    let parts = [
        ("queue", timings.queue_ms),
        ("dispatch", timings.dispatch_ms),
        ("download", timings.download_ms),
        ("load", timings.load_ms),
        ("slot_wait", timings.slot_wait_ms),
        ("run", timings.run_ms),
        ("upload", timings.upload_ms),
        ("total", timings.total_ms),
    ];
    let mut text = String::with_capacity(160);
    for (name, milliseconds) in parts {
        let comma = if text.is_empty() { "" } else { ", " };
        write!(text, "{comma}{name};dur={milliseconds:.3}").expect("writing to a string succeeds");
    }
    text
}
