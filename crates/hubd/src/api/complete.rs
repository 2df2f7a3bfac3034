//! The end of an upload: its parts are what was announced, or they are thrown away (Hub contract, 4.15 to 4.19).

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use axum::http::StatusCode;
use gen_worker_hub::{
    Blake3Hash, ServerId,
    api::{CompleteRequest, same_etag},
};
use parking_lot::Mutex;

use super::{
    error::ApiError,
    parts::{expected, part_count},
};
use crate::{
    blobs::merge,
    hub::Hub,
    metadata::{Upload, UploadOwner},
};

/// Who verifies an upload; the others are told to come again.
pub(super) struct Verifying {
    completing: Arc<Mutex<HashSet<ServerId>>>,
    id: ServerId,
}

impl Verifying {
    pub fn begin(hub: &Hub, id: &ServerId) -> Result<Self, ApiError> {
        if !hub.completing.lock().insert(id.clone()) {
            let message = "the upload is being verified";
            return Err(ApiError::new(StatusCode::CONFLICT, "upload_complete_in_progress", message));
        }
        Ok(Self { completing: Arc::clone(&hub.completing), id: id.clone() })
    }
}

impl Drop for Verifying {
    fn drop(&mut self) {
        self.completing.lock().remove(&self.id);
    }
}

/// Completes `upload`. One that is complete answers as before.
pub(super) async fn complete(hub: &Hub, upload: Upload, request: &CompleteRequest) -> Result<Upload, ApiError> {
    if upload.complete {
        return Ok(upload);
    }
    let id = upload.new.id.clone();
    let _verifying = Verifying::begin(hub, &id)?;
    check_parts(hub, &upload, request)?;
    let chainings: Vec<Blake3Hash> = upload.parts.iter().map(|part| part.chaining).collect();
    if merge(&chainings) != Some(upload.new.blake3) {
        hub.metadata.drop_upload(id).await?;
        return Err(ApiError::invalid("digest_mismatch", "the bytes do not have the announced hash"));
    }
    let sha256 = sha256(hub, &upload).await?;
    let verified = upload.parts.into_iter().map(|part| part.segment.key).collect();
    let now_s = hub.options.clock.now_s();
    let completed = hub.metadata.complete_upload(id, verified, sha256, now_s).await.map_err(ApiError::of_upload)?;
    hub.came_in_parts();
    Ok(completed)
}

/// Every part is there, and is the one that the client means.
fn check_parts(hub: &Hub, upload: &Upload, request: &CompleteRequest) -> Result<(), ApiError> {
    let incomplete = |message| ApiError::new(StatusCode::CONFLICT, "upload_incomplete", message);
    if upload.parts.len() as u64 != part_count(hub, upload.new.size_bytes) {
        return Err(incomplete("parts of the upload are missing"));
    }
    let named: BTreeMap<u32, &str> = request.parts.iter().map(|part| (part.part_number, part.etag.as_str())).collect();
    for part in &upload.parts {
        if expected(hub, &upload.new, part.number).map(|part| part.size_bytes) != Some(part.segment.size_bytes) {
            return Err(incomplete("a part has another size than announced"));
        }
        let etag = named.get(&part.number).ok_or_else(|| incomplete("the complete does not name every part"))?;
        // A client that could not see an ETag has none to give.
        if !etag.is_empty() && !same_etag(etag, &part.chaining.to_string()) {
            return Err(incomplete("a part has another ETag"));
        }
    }
    Ok(())
}

/// SHA-256 of media, which replies tell. Of a content in several parts it can only be computed from front to end.
async fn sha256(hub: &Hub, upload: &Upload) -> Result<Option<String>, ApiError> {
    if let [part] = upload.parts.as_slice() {
        return Ok(part.sha256.clone());
    }
    if !matches!(upload.new.owner, UploadOwner::Media { .. }) {
        return Ok(None);
    }
    let _turn = hub.verifying_turns.acquire().await.map_err(|error| ApiError::unavailable(&error))?;
    hub.hash_to_end(upload).await.map(Some).map_err(|error| ApiError::unavailable(&error))
}
