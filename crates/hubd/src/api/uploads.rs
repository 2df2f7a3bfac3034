//! Uploads to the media of a tenant (Hub contract, 4a and 4c).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use gen_worker_hub::{
    ServerId,
    api::{CompleteRequest, UploadCreate, UploadPlace, UploadedFile},
    token::Area,
};
use serde_json::{Map, Value, json};

use super::{
    body::{self, SMALL_MAX},
    caller::{Caller, owner_name},
    complete,
    error::ApiError,
    parts,
};
use crate::{
    content_kind::BYTES,
    hub::Hub,
    metadata::{NewUpload, Upload, UploadOpened, UploadOwner},
};

/// How long an upload or a commit may stay open (Hub contract, 4.14 and 6.21).
pub(super) const OPEN_S: u64 = 24 * 60 * 60;

/// How long an address for reading lives (Hub contract, 3.9: at least an hour).
pub(crate) const READ_S: u64 = 6 * 60 * 60;

/// Longest kind of content in bytes: far longer than any is, parameters included.
const MIME_TYPE_BYTES_MAX: usize = 512;

/// The kind of content that a client announces. Headers tell it later, so that it has no character that they may not have.
pub(super) fn mime_type(announced: Option<String>) -> Result<String, ApiError> {
    let kind = announced.unwrap_or_else(|| BYTES.to_owned());
    if kind.len() > MIME_TYPE_BYTES_MAX || !kind.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let message = format!("a kind of content has at most {MIME_TYPE_BYTES_MAX} printable characters of ASCII");
        return Err(ApiError::invalid("invalid_content_type", message));
    }
    Ok(kind)
}

/// A new id of an upload or a commit.
pub(super) fn new_id() -> Result<ServerId, ApiError> {
    let id = uuid::Uuid::new_v4().simple().to_string().parse();
    id.map_err(|error: gen_worker_hub::names::NameError| ApiError::unavailable(&error))
}

/// Announces a file.
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Path(owner): Path<String>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let owner = owner_name(&owner)?;
    caller.must_write(Area::Media, &owner, "*")?;
    let create: UploadCreate = body::read(body, SMALL_MAX).await?;
    let UploadPlace::Ref(reference) = create.place else {
        return Err(ApiError::invalid("invalid_body", "media uploads need a ref"));
    };
    caller.check_file(create.size_bytes)?;
    parts::check_size(&hub, create.size_bytes)?;
    let now_s = hub.options.clock.now_s();
    let new = NewUpload {
        id: new_id()?,
        owner: UploadOwner::Media { owner, reference: reference.to_string(), create: create.create },
        blake3: create.blake3,
        size_bytes: create.size_bytes,
        mime_type: mime_type(create.content_type)?,
        expires_s: now_s.saturating_add(OPEN_S),
    };
    match hub.metadata.open_upload(new.clone(), caller.author(), now_s).await.map_err(ApiError::of_upload)? {
        UploadOpened::Known(mut upload) => {
            if upload.sha256.is_none() {
                upload.sha256 = hub.sha256_soon(upload.new.blake3).await?;
            }
            let mut reply = object(&uploaded(&upload));
            reply.insert("dedup".to_owned(), true.into());
            body::json(StatusCode::OK, &reply)
        }
        UploadOpened::Wanted => {
            let urls = parts::addresses(&hub, &new);
            let reply = json!({
                "upload_id": new.id, "total_parts": urls.len(), "part_size": hub.options.part_bytes, "part_urls": urls,
            });
            body::json(StatusCode::OK, &reply)
        }
    }
}

/// Says that all bytes are there.
pub(crate) async fn complete(
    State(hub): State<Arc<Hub>>,
    Path((owner, id)): Path<(String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let upload = find(&hub, &owner, &id, &caller).await?;
    let request: CompleteRequest = body::read(body, SMALL_MAX).await?;
    let upload = complete::complete(&hub, upload, &request).await?;
    body::json(StatusCode::OK, &uploaded(&upload))
}

/// Gives an upload up.
pub(crate) async fn abort(
    State(hub): State<Arc<Hub>>,
    Path((owner, id)): Path<(String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let upload = find(&hub, &owner, &id, &caller).await?;
    hub.metadata.drop_upload(upload.new.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn find(hub: &Hub, owner: &str, id: &str, caller: &Caller) -> Result<Upload, ApiError> {
    let owner = owner_name(owner)?;
    caller.must_write(Area::Media, &owner, "*")?;
    let id: ServerId = id.parse().map_err(|_| ApiError::not_found("upload"))?;
    let upload = hub.metadata.upload(id, hub.options.clock.now_s()).await?;
    let own = |upload: &Upload| matches!(&upload.new.owner, UploadOwner::Media { owner: of, .. } if *of == owner);
    upload.filter(own).ok_or_else(|| ApiError::not_found("upload"))
}

fn uploaded(upload: &Upload) -> UploadedFile {
    match &upload.new.owner {
        UploadOwner::Media { reference, .. } => described(upload, reference),
        UploadOwner::Commit(_) => described(upload, ""),
    }
}

/// What a client is told of a file that is there (Hub contract, 4.21).
pub(super) fn described(upload: &Upload, reference: &str) -> UploadedFile {
    UploadedFile {
        reference: reference.to_owned(),
        size_bytes: upload.new.size_bytes,
        blake3: upload.new.blake3,
        mime_type: upload.new.mime_type.clone(),
        blob_digest: upload.new.blake3.into(),
        sha256: upload.sha256.clone(),
        media_id: Some(upload.new.id.to_string()),
        created: Some(upload.created),
        blob_domain: None,
        blob_path: None,
        snapshot_digest: None,
        filename: None,
    }
}

pub(super) fn object(file: &UploadedFile) -> Map<String, Value> {
    match serde_json::to_value(file) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}
