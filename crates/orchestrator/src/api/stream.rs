//! The binary chunks of a request (audio, for one) as one body.

use std::io;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};

use super::{
    Shared,
    body::Binary,
    error::{ApiError, ErrorBody},
    extract::{Caller, Segment},
    reply, requests,
    sse::Kind,
};
use crate::pool::{Event, Subscription};

/// Streams the binary chunks of a request as they come, under the media type of the first; text, JSON and chunks of
/// another type are left out. A stream that ends too early (the request failed, or this reader was too slow and lost
/// chunks) breaks off, so that it cannot be taken for a complete one.
#[utoipa::path(get, path = "/v1/requests/{id}/stream", tag = "requests",
    params(("id" = String, Path, description = "Id of the request")),
    responses(
        (status = 200, description = "The bytes, under their own media type", content_type = "application/octet-stream",
            body = Binary),
        (status = 204, description = "It succeeded without any such chunk"),
        (status = 400, description = "It failed: the payload is wrong", body = ErrorBody),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "No such request", body = ErrorBody),
        (status = 499, description = "It was canceled", body = ErrorBody),
        (status = 500, description = "It failed", body = ErrorBody),
        (status = 503, description = "It failed for a passing reason", body = ErrorBody),
        (status = 504, description = "Its deadline passed", body = ErrorBody)))]
pub(super) async fn stream(State(api): State<Shared>, caller: Caller, segment: Segment) -> Result<Response, ApiError> {
    let id = segment.known_id()?;
    let request = requests::find(&api, &caller, &id).await?;
    let mut events = api.handle.subscribe(&id, None).await?.ok_or_else(ApiError::no_such_request)?;
    while let Some(event) = events.next().await {
        match event {
            Event::Chunk { content_type, data, .. } if Kind::of(&content_type) == Kind::Binary => {
                let kind = HeaderValue::from_str(&content_type)
                    .unwrap_or(HeaderValue::from_static("application/octet-stream"));
                let mut response = Body::from_stream(bytes(data, content_type, events)).into_response();
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                reply::about(&mut response, &request);
                return Ok(response);
            }
            Event::Result(ended) => {
                let mut response = StatusCode::NO_CONTENT.into_response();
                reply::about(&mut response, &ended);
                return Ok(response);
            }
            Event::Error(ended) => return Ok(reply::failure(&ended)),
            _ => {}
        }
    }
    Err(ApiError::from(crate::pool::PoolError::Closed))
}

fn bytes(
    first: Bytes,
    kind: std::sync::Arc<str>,
    events: Subscription,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let rest = futures::stream::unfold(Some(events), move |events| {
        let kind = kind.clone();
        async move {
            let mut events = events?;
            loop {
                match events.next().await {
                    Some(Event::Chunk { content_type, data, .. }) if content_type == kind => {
                        return Some((Ok(data), Some(events)));
                    }
                    Some(Event::Result(_)) => return None,
                    Some(Event::Error(_) | Event::Gap { .. }) | None => {
                        return Some((Err(io::Error::other("the stream is not complete")), None));
                    }
                    Some(_) => {}
                }
            }
        }
    });
    futures::stream::iter([Ok(first)]).chain(rest)
}
