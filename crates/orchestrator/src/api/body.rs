//! Request bodies: read under a limit, turned into MessagePack.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::{HeaderMap, header},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use utoipa::ToSchema;

use super::{code::Code, error::ApiError, state::Api};
use crate::payload::{check_map, from_json};

/// How much of a refused body is read and thrown away, so that its sender gets to read the refusal instead of a broken
/// connection: eight times the default limit. What is larger still is cut off.
const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// Bytes under their own media type, as the document describes them.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(super) struct Binary(#[expect(dead_code, reason = "stands in the document only")] Vec<u8>);

/// Reads a body into one buffer. What comes in one piece is not copied.
pub(super) async fn read(api: &Api, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let limit = api.options.body_bytes_max;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut frames = body.into_data_stream();
    if announced.is_some_and(|length| length > limit) {
        discard(api, frames);
        return Err(too_large(limit));
    }
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| ApiError::new(Code::Invalid, "the body could not be read to its end"))?;
        if whole.len() + joined.len() + frame.len() > limit {
            discard(api, frames);
            return Err(too_large(limit));
        }
        if whole.is_empty() && joined.is_empty() {
            whole = frame;
            continue;
        }
        if joined.is_empty() {
            joined.reserve(announced.unwrap_or_default().max(whole.len() + frame.len()));
            joined.extend_from_slice(&std::mem::take(&mut whole));
        }
        joined.extend_from_slice(&frame);
    }
    Ok(if joined.is_empty() { whole } else { joined.freeze() })
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(Code::PayloadTooLarge, format!("the body is larger than the limit of {limit} bytes"))
        .with(serde_json::json!({ "limit_bytes": limit }))
}

/// Reads what is left of a refused body behind the reply's back.
fn discard(api: &Api, mut frames: BodyDataStream) {
    api.scope.spawn_bare(async move {
        let reading = async {
            let mut left = DISCARDED_BYTES_MAX;
            while let Some(Ok(frame)) = frames.next().await {
                match left.checked_sub(frame.len()) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        };
        // Whether it was finished or given up makes no difference: the reply is on its way.
        drop(tokio::time::timeout(DISCARD_TIME, reading).await);
    });
}

/// The body as MessagePack. `application/msgpack` passes through after a check; everything else is read as JSON, since
/// common tools send JSON under any type.
pub(super) fn packed(headers: &HeaderMap, body: Bytes) -> Result<Bytes, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind.is_some_and(is_messagepack) {
        check_map(&body)?;
        return Ok(body);
    }
    Ok(Bytes::from(from_json(&body)?))
}

/// Whether a media type is MessagePack, under its registered name or an older one.
pub(super) fn is_messagepack(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim();
    ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack"]
        .iter()
        .any(|name| essence.eq_ignore_ascii_case(name))
}

/// Whether the caller accepts a media type that fits.
pub(super) fn accepts(headers: &HeaderMap, fits: impl Fn(&str) -> bool) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(fits)
}
