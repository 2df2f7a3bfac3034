//! The events of a request, as server-sent events.

use axum::{extract::State, http::HeaderMap, response::Response};

use super::{
    Shared,
    code::Code,
    disconnect::CancelOnDrop,
    error::{ApiError, ErrorBody},
    extract::{Caller, Segment},
    prefer::Prefer,
    requests, sse,
};
use crate::pool::EventId;

/// Streams the events of a request: `state`, `chunk`, `progress`, `log`, `phase`, `gap`, then exactly one `result` or
/// `error`. Without `Last-Event-ID` it starts with the oldest event that is kept.
#[utoipa::path(get, path = "/v1/requests/{id}/events", tag = "requests",
    params(
        ("id" = String, Path, description = "Id of the request"),
        ("Last-Event-ID" = Option<String>, Header, description = "Continue after this event, `<attempt>-<seq>`"),
        ("Prefer" = Option<String>, Header, description = "`bytes=inline`"),
    ),
    responses(
        (status = 200, description = "Events; `data` is one JSON object each", content_type = "text/event-stream",
            body = String, example = "event: chunk\nid: 1-3\ndata: {\"text\":\"polo\"}\n\n"),
        (status = 400, description = "Bad `Last-Event-ID`", body = ErrorBody),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "No such request", body = ErrorBody),
        (status = 503, description = "The store cannot be used now", body = ErrorBody)))]
pub(super) async fn events(
    State(api): State<Shared>,
    caller: Caller,
    segment: Segment,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = segment.known_id()?;
    let after = headers.get("last-event-id").map(|value| last(value.to_str().unwrap_or_default())).transpose()?;
    let request = requests::find(&api, &caller, &id).await?;
    let subscription = api.handle.subscribe(&id, after).await?.ok_or_else(ApiError::no_such_request)?;
    let nobody_waits = CancelOnDrop::new(&api, &id, false);
    Ok(sse::reply(&request, subscription, nobody_waits, Prefer::read(&headers).bytes_inline))
}

fn last(text: &str) -> Result<EventId, ApiError> {
    text.parse().map_err(|_| ApiError::new(Code::Invalid, "header `last-event-id` is not of the form <attempt>-<seq>"))
}
