//! Requests as resources: taking them in and looking at them.

use std::time::Duration;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Shared,
    body::{self, Binary},
    code::Code,
    decode::{self, Packed},
    disconnect::CancelOnDrop,
    error::{ApiError, ErrorBody},
    extract::{Caller, Query, Segment},
    idempotency::Key,
    object::RequestObject,
    options::{AT_ONCE, RequestOptions, WAIT_MS_MAX, within},
    prefer::Prefer,
    reply,
    submit::{Identity, Taken, Work, submit},
    times,
};
use crate::payload::{Reader, Token};

/// A request to take in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"function": "embed", "payload": {"text": "marco"}, "options": {"priority": 10},
    "metadata": {"customer": "42"}}))]
pub struct SubmitBody<'a> {
    /// Name of the function.
    function: &'a str,
    /// The payload.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    payload: Packed<'a>,
    /// How to run it.
    #[serde(default)]
    options: RequestOptions,
    /// Any JSON up to 64 KiB; it comes back with the request.
    #[serde(borrow)]
    #[schema(value_type = Value)]
    metadata: Option<Packed<'a>>,
}

/// Takes a request in and answers at once, or after `options.wait_ms`.
#[utoipa::path(post, path = "/v1/requests", tag = "requests",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats within 24 h give the same request"),
        ("Prefer" = Option<String>, Header, description = "`wait=<s>`, `bytes=inline`"),
    ),
    request_body(content((SubmitBody<'_> = "application/json"), (Binary = "application/msgpack"))),
    responses(
        (status = 200, description = "It ended within the wait, or was there already", body = RequestObject<'_>),
        (status = 202, description = "It was taken in", body = RequestObject<'_>),
        (status = 400, description = "The body is wrong", body = ErrorBody),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "Nobody has ever offered the function", body = ErrorBody),
        (status = 409, description = "The idempotency key belongs to another body", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 424, description = "No worker can run the function", body = ErrorBody),
        (status = 429, description = "The queue is full", body = ErrorBody),
        (status = 503, description = "The server cannot take it", body = ErrorBody)))]
pub(super) async fn post(
    State(api): State<Shared>,
    caller: Caller,
    Query(NoQuery {}): Query<NoQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let identity = Key::read(&headers, &caller.tenant, times::now())?.map_or(Identity::Fresh, Identity::Keyed);
    take(&api, &caller, identity, &headers, body).await
}

/// Takes a request in under the client's own id. Repeating it with an equal body gives the same request.
#[utoipa::path(put, path = "/v1/requests/{id}", tag = "requests",
    params(
        ("id" = String, Path, description = "1 to 64 characters out of A-Z, a-z, 0-9, `_` and `-`"),
        ("Prefer" = Option<String>, Header, description = "`wait=<s>`, `bytes=inline`"),
    ),
    request_body(content((SubmitBody<'_> = "application/json"), (Binary = "application/msgpack"))),
    responses(
        (status = 200, description = "It ended within the wait, or was there already", body = RequestObject<'_>),
        (status = 202, description = "It was taken in", body = RequestObject<'_>),
        (status = 400, description = "The id or the body is wrong", body = ErrorBody),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "Nobody has ever offered the function", body = ErrorBody),
        (status = 409, description = "The id belongs to another body", body = ErrorBody),
        (status = 413, description = "The body is too large", body = ErrorBody),
        (status = 424, description = "No worker can run the function", body = ErrorBody),
        (status = 429, description = "The queue is full", body = ErrorBody),
        (status = 503, description = "The server cannot take it", body = ErrorBody)))]
pub(super) async fn put(
    State(api): State<Shared>,
    caller: Caller,
    segment: Segment,
    Query(NoQuery {}): Query<NoQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    take(&api, &caller, Identity::Chosen(segment.chosen_id()?), &headers, body).await
}

async fn take(
    api: &Shared,
    caller: &Caller,
    identity: Identity<'_>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let now = times::now();
    let prefer = Prefer::read(headers);
    let body = body::packed(headers, body::read(api, headers, body).await?)?;
    let SubmitBody { function, payload, options, metadata } =
        decode::pack(&body).map_err(decode::FieldError::in_body)?;
    let call = options.with_headers(headers, prefer)?.resolve(AT_ONCE, now)?;
    let work = Work { function, payload: map(&body, payload)?, metadata: metadata.map(|packed| packed.0) };
    let Taken { request, created } = submit(api, caller, identity, work, &call, now).await?;
    if call.wait.is_zero() {
        return Ok(reply::object(object_status(false, created), &request, prefer.bytes_inline));
    }
    let id = &request.submitted.id;
    let mut guard = CancelOnDrop::new(api, id, created && call.cancel_on_disconnect);
    let seen = api.handle.wait(id, call.wait).await;
    guard.disarm();
    let seen = seen?.ok_or_else(|| ApiError::no_such_request().about(id))?;
    Ok(reply::object(object_status(seen.state.is_terminal(), created), &seen, prefer.bytes_inline))
}

/// The payload as a part of the body's buffer.
fn map(body: &Bytes, payload: Packed<'_>) -> Result<Bytes, ApiError> {
    match Reader::new(payload.0).token()? {
        Token::Map(_) => Ok(body.slice_ref(payload.0)),
        _ => Err(ApiError::new(Code::Invalid, "expected an object - at `$.payload`")
            .with(serde_json::json!({ "path": "$.payload" }))),
    }
}

/// For routes without parameters: any is one too many.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// How to look.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct GetQuery {
    /// Wait up to so many milliseconds for the end, at most 60000.
    wait_ms: Option<u64>,
}

/// A request as it is now, or once it has ended. A failed request is a 200 with the object.
#[utoipa::path(get, path = "/v1/requests/{id}", tag = "requests",
    params(
        ("id" = String, Path, description = "Id of the request"),
        GetQuery,
        ("Prefer" = Option<String>, Header, description = "`wait=<s>`, `bytes=inline`"),
    ),
    responses(
        (status = 200, description = "The request", body = RequestObject<'_>),
        (status = 400, description = "Bad query", body = ErrorBody),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "No such request", body = ErrorBody),
        (status = 503, description = "The store cannot be used now", body = ErrorBody)))]
pub(super) async fn get(
    State(api): State<Shared>,
    caller: Caller,
    segment: Segment,
    Query(query): Query<GetQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let prefer = Prefer::read(&headers);
    let preferred = prefer.wait_seconds.map(|seconds| seconds.saturating_mul(1_000).min(WAIT_MS_MAX));
    let wait = within("wait_ms", query.wait_ms.or(preferred).unwrap_or(0), 0..=WAIT_MS_MAX)?;
    let id = segment.known_id()?;
    let mut request = find(&api, &caller, &id).await?;
    if wait > 0 && !request.state.is_terminal() {
        let seen = api.handle.wait(&id, Duration::from_millis(wait)).await?;
        request = seen.ok_or_else(ApiError::no_such_request)?;
    }
    Ok(reply::object(StatusCode::OK, &request, prefer.bytes_inline))
}

/// A request that the caller may see.
pub(super) async fn find(
    api: &Shared,
    caller: &Caller,
    id: &gen_worker_proto::RequestId,
) -> Result<std::sync::Arc<crate::request::Request>, ApiError> {
    let request = api.handle.get(id).await?;
    request.filter(|request| request.submitted.tenant == *caller.tenant).ok_or_else(ApiError::no_such_request)
}

/// Status of a reply with the object alone.
fn object_status(ended: bool, created: bool) -> StatusCode {
    if ended || !created { StatusCode::OK } else { StatusCode::ACCEPTED }
}
