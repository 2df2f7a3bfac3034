//! The bytes of one part, to a signed address (Hub contract, 4b).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use gen_worker_hub::{ServerId, SignedUrl, api::PARTS_MAX};

use super::error::ApiError;
use crate::{
    blobs::{Expected, ReceiveError},
    content_kind::ContentKind,
    hub::Hub,
    metadata::NewUpload,
    signing::{SignatureError, Use},
};

/// How many parts a content has; an empty one has one.
pub(super) fn part_count(hub: &Hub, size_bytes: u64) -> u64 {
    size_bytes.div_ceil(hub.options.part_bytes).max(1)
}

/// The addresses of the parts of an upload, as long as the upload lives.
pub(super) fn addresses(hub: &Hub, new: &NewUpload) -> Vec<SignedUrl> {
    let path = |number| format!("/api/v1/parts/{}/{number}", new.id);
    let count = part_count(hub, new.size_bytes);
    (1..=count).filter_map(|number| hub.signer.sign(Use::Write, &path(number), new.expires_s)).collect()
}

/// Refuses what would need more parts than there can be.
pub(super) fn check_size(hub: &Hub, size_bytes: u64) -> Result<(), ApiError> {
    if part_count(hub, size_bytes) > PARTS_MAX as u64 {
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", "the file has too many parts"));
    }
    Ok(())
}

/// Refuses an address that does not count. The kind of content that it tells.
pub(super) fn check_address(hub: &Hub, right: Use, uri: &Uri) -> Result<Option<ContentKind>, ApiError> {
    let now_s = hub.options.clock.now_s();
    hub.signer.check(right, uri.path(), uri.query().unwrap_or_default(), now_s).map_err(|error| {
        let code = match error {
            SignatureError::Wrong => "bad_signature",
            SignatureError::Expired => "url_expired",
        };
        ApiError::new(StatusCode::FORBIDDEN, code, error.to_string())
    })
}

/// Takes a part.
pub(crate) async fn put(
    State(hub): State<Arc<Hub>>,
    Path((upload, number)): Path<(String, u32)>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    check_address(&hub, Use::Write, &uri)?;
    let id: ServerId = upload.parse().map_err(|_| ApiError::not_found("upload"))?;
    let now_s = hub.options.clock.now_s();
    let upload = hub.metadata.upload(id.clone(), now_s).await?.filter(|upload| !upload.complete);
    let upload = upload.ok_or_else(|| ApiError::not_found("upload"))?;
    let expected = expected(&hub, &upload.new, number).ok_or_else(|| ApiError::not_found("part"))?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length != expected.size_bytes) {
        return Err(ReceiveError::Size.into());
    }
    let taken = hub.take(&id, number, expected, body.into_data_stream()).await?;
    let etag = taken.etag();
    let is_open = hub.metadata.put_part(id, taken.part(), now_s).await?;
    taken.recorded();
    if !is_open {
        return Err(ApiError::not_found("upload"));
    }
    hub.hash_ahead(&upload);
    Ok((StatusCode::OK, [(header::ETAG, etag)]).into_response())
}

/// What part `number` of an upload has to be; none when there is no such part.
pub(super) fn expected(hub: &Hub, new: &NewUpload, number: u32) -> Option<Expected> {
    let count = part_count(hub, new.size_bytes);
    let before = u64::from(number).checked_sub(1).filter(|before| *before < count)?;
    let offset = before.checked_mul(hub.options.part_bytes)?;
    let size_bytes = hub.options.part_bytes.min(new.size_bytes.checked_sub(offset)?);
    Some(Expected { size_bytes, offset, is_whole: count == 1 })
}
