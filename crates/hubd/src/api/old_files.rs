//! Files of media as older workers write and read them: one call, the bytes in its body (Hub contract, section 11).

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody as _},
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use gen_worker_hub::{
    RepoPath,
    token::{Area, Right},
};
use serde_json::json;

use super::{
    blob, body,
    caller::Caller,
    error::ApiError,
    media,
    uploads::{OPEN_S, mime_type, new_id},
};
use crate::{
    blobs::Expected,
    content_kind::{BYTES, ContentKind},
    hub::Hub,
    metadata::{Author, NewUpload, Upload, UploadOpened, UploadOwner},
};

/// Writes a file: `PUT` whatever was there, `POST` only when nothing was.
pub(crate) async fn write(
    State(hub): State<Arc<Hub>>,
    Path(reference): Path<String>,
    method: Method,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let owner = media::owner(&caller, &headers)?;
    caller.must_write(Area::Media, &owner, "*")?;
    let reference = reference_of(&reference)?;
    let size_bytes = announced(&hub, &caller, &body)?;
    let create = method == Method::POST;
    if create && hub.metadata.media(owner.clone(), reference.to_string()).await?.is_some() {
        return Err(ApiError::new(StatusCode::CONFLICT, "ref_exists", "the ref exists already"));
    }
    let mime_type = mime_type(Some(kind_of(&reference, &headers)))?;
    let owner = UploadOwner::Media { owner, reference: reference.to_string(), create };
    let upload = stored(&hub, (owner, caller.author()), mime_type, size_bytes, body).await?;
    let reply = json!({
        "ref": reference, "size_bytes": size_bytes, "sha256": upload.sha256, "mime_type": upload.new.mime_type,
    });
    body::json(if upload.created { StatusCode::CREATED } else { StatusCode::OK }, &reply)
}

/// A file, or for `HEAD` only what is known of it.
pub(crate) async fn read(
    State(hub): State<Arc<Hub>>,
    Path(reference): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let owner = media::owner(&caller, &headers)?;
    let gone = || ApiError::not_found("file");
    if !caller.may(Area::Media, Right::Read, &owner, "*") {
        return Err(gone());
    }
    let file = hub.metadata.media_file(owner, reference_of(&reference)?.to_string()).await?.ok_or_else(gone)?;
    let sha256 = match file.sha256 {
        // Workers that read here take no larger files, and can do without a hash that cannot be had.
        None if file.size_bytes <= hub.options.old_file_bytes_max => {
            hub.sha256_soon(file.blake3).await.unwrap_or_default()
        }
        sha256 => sha256,
    };
    let mut response = blob::send(&hub, file.blake3, &headers).await?;
    let told = [
        ("x-cozy-size-bytes", Some(file.size_bytes.to_string())),
        ("x-cozy-sha256", sha256),
        ("x-cozy-mime-type", Some(file.mime_type)),
    ];
    for (name, value) in told {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn reference_of(text: &str) -> Result<RepoPath, ApiError> {
    text.parse()
        .map_err(|error: gen_worker_hub::repo_path::RepoPathError| ApiError::invalid("invalid_ref", error.to_string()))
}

/// How many bytes come. It has to be said before: then nothing is taken that would be too much.
fn announced(hub: &Hub, caller: &Caller, body: &Body) -> Result<u64, ApiError> {
    let needed =
        || ApiError::new(StatusCode::LENGTH_REQUIRED, "length_required", "the request does not say its length");
    let length = body.size_hint().exact().ok_or_else(needed)?;
    caller.check_file(length)?;
    let bytes_max = hub.options.old_file_bytes_max;
    if length > bytes_max {
        let message = format!("a file has at most {bytes_max} bytes here");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", message));
    }
    Ok(length)
}

fn kind_of(reference: &RepoPath, headers: &HeaderMap) -> String {
    let said = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if let Some(said) = said.filter(|said| !said.eq_ignore_ascii_case(BYTES)) {
        return said.to_owned();
    }
    ContentKind::of_name(reference.as_str()).map_or_else(|| BYTES.to_owned(), |kind| kind.to_string())
}

/// Stores the body and records it. What it is is known only when it has come.
async fn stored(
    hub: &Hub,
    (owner, author): (UploadOwner, Author),
    mime_type: String,
    size_bytes: u64,
    body: Body,
) -> Result<Upload, ApiError> {
    let id = new_id()?;
    let expected = Expected { size_bytes, offset: 0, is_whole: true };
    let taken = hub.take(&id, 1, expected, body.into_data_stream()).await?;
    let part = taken.part();
    let now_s = hub.options.clock.now_s();
    let new = NewUpload {
        id: id.clone(),
        owner,
        blake3: part.chaining,
        size_bytes,
        mime_type,
        expires_s: now_s.saturating_add(OPEN_S),
    };
    let opened = hub.metadata.open_upload(new, author, now_s).await.map_err(ApiError::of_upload)?;
    if let UploadOpened::Known(mut upload) = opened {
        // The object is one too many; tidying finds it. What came in parts before has a hash now.
        if upload.sha256.is_none()
            && let Some(sha256) = part.sha256
        {
            hub.metadata.learn_sha256(part.chaining, sha256.clone()).await?;
            upload.sha256 = Some(sha256);
        }
        return Ok(*upload);
    }
    let (verified, sha256) = (vec![part.segment.key.clone()], part.sha256.clone());
    hub.metadata.put_part(id.clone(), part, now_s).await?;
    taken.recorded();
    hub.metadata.complete_upload(id, verified, sha256, now_s).await.map_err(ApiError::of_upload)
}
