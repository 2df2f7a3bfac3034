//! Calling a function in one round trip.

use axum::{body::Body, extract::State, http::HeaderMap, response::Response};

use super::{
    Shared,
    body::{self, Binary},
    disconnect::CancelOnDrop,
    error::{ApiError, ErrorBody},
    extract::{Caller, Query, Segment},
    idempotency::Key,
    object::RequestObject,
    options::{RequestOptions, RunQuery, SYNCHRONOUS},
    prefer::Prefer,
    reply::{self, Form},
    sse,
    submit::{Identity, Taken, Work, submit},
    times,
};

/// Calls a function and waits for its end. The body is the payload itself.
///
/// With `Accept: text/event-stream` the events of the request are streamed in the same call. With
/// `Prefer: return=minimal` the reply is the output alone, with `Accept: application/msgpack` the same as MessagePack.
/// Options go into the query or headers; headers win. When the wait is over before the request has ended, the reply is
/// 202 with the request object.
#[utoipa::path(post, path = "/v1/run/{function}", tag = "requests",
    params(
        ("function" = String, Path, description = "Name of the function"),
        RunQuery,
        ("X-Timeout-Ms" = Option<u64>, Header, description = "As the parameter `timeout_ms`"),
        ("X-Cancel-On-Disconnect" = Option<bool>, Header, description = "As the parameter `cancel_on_disconnect`"),
        ("Prefer" = Option<String>, Header, description = "`wait=<s>`, `bytes=inline`, `return=minimal`"),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats within 24 h give the same request"),
    ),
    request_body(
        content((Object = "application/json", example = json!({"text": "marco"})), (Binary = "application/msgpack")),
        description = "The payload: an object. `{\"$bytes\": \"<base64>\"}` stands for bytes"),
    responses(
        (status = 200, description = "It succeeded", content(
            (RequestObject<'_> = "application/json"), (String = "text/event-stream"), (Binary = "application/msgpack"))),
        (status = 202, description = "It has not ended yet", body = RequestObject<'_>),
        (status = 303, description = "The output alone was asked for, and it is a file at `Location`"),
        (status = 400, description = "The payload or an option is wrong", body = ErrorBody),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "Nobody has ever offered the function", body = ErrorBody),
        (status = 409, description = "The idempotency key belongs to another body", body = ErrorBody),
        (status = 413, description = "The payload is too large", body = ErrorBody),
        (status = 424, description = "No worker can run the function", body = ErrorBody),
        (status = 429, description = "The queue is full", body = ErrorBody),
        (status = 499, description = "It was canceled", body = ErrorBody),
        (status = 500, description = "It failed", body = ErrorBody),
        (status = 503, description = "Retries are used up, or the server cannot take it", body = ErrorBody),
        (status = 504, description = "Its deadline passed", body = ErrorBody)))]
pub(super) async fn run(
    State(api): State<Shared>,
    caller: Caller,
    Segment(function): Segment,
    Query(query): Query<RunQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let now = times::now();
    let prefer = Prefer::read(&headers);
    let call = RequestOptions::from(query).with_headers(&headers, prefer)?.resolve(SYNCHRONOUS, now)?;
    let key = Key::read(&headers, &caller.tenant, now)?;
    // Before the body is read: nobody wants to send megabytes to a name that is none.
    super::submit::function(&function)?;
    let payload = body::packed(&headers, body::read(&api, &headers, body).await?)?;
    let work = Work { function: &function, payload, metadata: None };
    let identity = key.map_or(Identity::Fresh, Identity::Keyed);
    let Taken { request, created } = submit(&api, &caller, identity, work, &call, now).await?;
    let id = &request.submitted.id;
    // Whoever comes second with an idempotency key does not own the request.
    let mut guard = CancelOnDrop::new(&api, id, created && call.cancel_on_disconnect);
    if sse::accepted(&headers) {
        let subscription = api.handle.subscribe(id, None).await?.ok_or_else(ApiError::no_such_request)?;
        return Ok(sse::reply(&request, subscription, guard, prefer.bytes_inline));
    }
    let ended = api.handle.wait(id, call.wait).await;
    guard.disarm();
    let ended = ended?.ok_or_else(|| ApiError::no_such_request().about(id))?;
    reply::waited(&api, &ended, form(&headers, prefer)).await
}

fn form(headers: &HeaderMap, prefer: Prefer) -> Form {
    if body::accepts(headers, body::is_messagepack) {
        Form::Packed
    } else if prefer.minimal {
        Form::Output
    } else {
        Form::Object { bytes_inline: prefer.bytes_inline }
    }
}
