//! Bytes go out, whole or a range of them (Hub contract, 3.7 and 7.4).

use std::{ops::Range, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use gen_worker_hub::{Blake3Hash, Digest};

use super::{caller::Caller, error::ApiError, parts::check_address};
use crate::{
    content_kind::ContentKind,
    hub::Hub,
    metadata::BlobRecord,
    signing::{Use, expiry},
};

/// A blob for who may read something that holds it. To others it is not there.
pub(crate) async fn by_token(
    State(hub): State<Arc<Hub>>,
    Path(digest): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let hash = digest.parse::<Digest>().ok().and_then(|digest| digest.as_blake3());
    let hash = hash.ok_or_else(|| ApiError::not_found("blob"))?;
    if !matches!(caller, Caller::Operator) && !hub.metadata.readable(hash, caller.reader()).await? {
        return Err(ApiError::not_found("blob"));
    }
    send(&hub, hash, &headers).await
}

/// A blob for who has an address of it, as content of the kind that the address was signed with.
pub(crate) async fn by_address(
    State(hub): State<Arc<Hub>>,
    Path(digest): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let kind = check_address(&hub, Use::Read, &uri)?;
    let hash = digest.parse().map_err(|_| ApiError::not_found("blob"))?;
    let blob = hub.metadata.blob(hash).await?.ok_or_else(|| ApiError::not_found("blob"))?;
    // A bucket tells kinds of its own.
    if kind.is_none() && !knows(&headers, hash) {
        let left_s = expiry(uri.query().unwrap_or_default()).unwrap_or(0).saturating_sub(hub.options.clock.now_s());
        if let Some(direct) = direct(&hub, &method, &blob, left_s).await? {
            return Ok(direct);
        }
    }
    let mut response = send_blob(&hub, blob, &headers).await?;
    if response.status().is_success() {
        tell(kind, response.headers_mut());
    }
    Ok(response)
}

/// Whether a client asks about the content by the name that the hub gave it: a bucket has another for it.
fn knows(headers: &HeaderMap, hash: Blake3Hash) -> bool {
    let name = hash.to_string();
    [header::IF_RANGE, header::IF_MATCH, header::IF_NONE_MATCH]
        .iter()
        .flat_map(|header| headers.get_all(header))
        .any(|value| value.to_str().is_ok_and(|value| value.contains(&name)))
}

/// The way to the bucket that has the content as one object, for `left_s` seconds at most; none when it comes through the hub.
async fn direct(hub: &Hub, method: &Method, blob: &BlobRecord, left_s: u64) -> Result<Option<Response>, ApiError> {
    let valid = Duration::from_secs(left_s.max(1));
    let address = hub.blobs.address(method, &blob.segments, valid).await;
    let address = address.map_err(|error| ApiError::unavailable(&error))?;
    let location = address.and_then(|address| HeaderValue::try_from(address.reveal()).ok());
    // The address ends sooner than what leads to it: nobody may keep it.
    let head = |location| [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok(location.map(|location| (StatusCode::TEMPORARY_REDIRECT, head(location)).into_response()))
}

/// Tells what the content is. A browser takes nobody else's word for it, and shows nothing that could run.
fn tell(kind: Option<ContentKind>, headers: &mut HeaderMap) {
    let is_shown = kind.as_ref().is_some_and(ContentKind::is_shown);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let disposition = if is_shown { "inline" } else { "attachment" };
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(disposition));
    // A kind is made of characters that a header may have.
    if let Some(kind) = kind.and_then(|kind| HeaderValue::try_from(kind.as_str()).ok()) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
}

/// A blob, or the range of it that `headers` ask for.
pub(super) async fn send(hub: &Hub, hash: Blake3Hash, headers: &HeaderMap) -> Result<Response, ApiError> {
    let blob = hub.metadata.blob(hash).await?.ok_or_else(|| ApiError::not_found("blob"))?;
    send_blob(hub, blob, headers).await
}

async fn send_blob(hub: &Hub, blob: BlobRecord, headers: &HeaderMap) -> Result<Response, ApiError> {
    let BlobRecord { blake3, size_bytes, segments, .. } = blob;
    let etag = format!("\"{blake3}\"");
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // A range of another content than the client began with would not fit to what it has.
    let same = text(header::IF_RANGE).is_none_or(|wanted| wanted == etag);
    let asked = text(header::RANGE).filter(|_| same).and_then(|range| parse_range(range, size_bytes));
    let (status, range) = match asked {
        None => (StatusCode::OK, 0..size_bytes),
        Some(Ok(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(Err(Unsatisfiable)) => {
            let whole = format!("bytes */{size_bytes}");
            let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "invalid_range", "the blob ends before");
            return Ok(([(header::CONTENT_RANGE, whole)], error).into_response());
        }
    };
    let length = range.end.saturating_sub(range.start);
    let content_range = (status == StatusCode::PARTIAL_CONTENT)
        .then(|| [(header::CONTENT_RANGE, format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1))]);
    let head = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, etag),
    ];
    // The first bytes are there before anything is promised: who is refused comes again, who is cut off may not.
    let mut bytes = Box::pin(hub.blobs.read(segments, range));
    let first = bytes.next().await.transpose().map_err(|error| ApiError::unavailable(&error))?;
    let bytes = Body::from_stream(stream::iter(first.map(Ok)).chain(bytes));
    Ok(match content_range {
        Some(content_range) => (status, head, content_range, bytes).into_response(),
        None => (status, head, bytes).into_response(),
    })
}

/// A range that begins behind the end.
#[derive(Debug, PartialEq, Eq)]
struct Unsatisfiable;

/// The bytes that `Range` means. None for what is no single range of bytes: then the whole is sent.
fn parse_range(text: &str, size_bytes: u64) -> Option<Result<Range<u64>, Unsatisfiable>> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (from, to) = (from.trim(), to.trim());
    let range = if from.is_empty() {
        let last: u64 = to.parse().ok()?;
        size_bytes.saturating_sub(last)..size_bytes
    } else {
        let start: u64 = from.parse().ok()?;
        let end = if to.is_empty() { size_bytes } else { to.parse::<u64>().ok()?.saturating_add(1) };
        if end <= start && start < size_bytes {
            return None;
        }
        start..end.min(size_bytes)
    };
    Some(if range.start < range.end { Ok(range) } else { Err(Unsatisfiable) })
}

#[cfg(test)]
mod tests;
