//! The end of an upload by grant: what came is read once from front to end, and is what was announced or is thrown away (Hub
//! contract, 4.16 and 4.19). That may take longer than a connection lives, and goes on without its client.

use std::sync::Arc;

use axum::http::StatusCode;
use futures::FutureExt as _;
use gen_worker_hub::{
    Blake3Hash,
    api::TransferDone,
    digest::{DigestAlgorithm, DigestHasher},
};

use super::{complete::Verifying, error::ApiError};
use crate::{
    grants::Access,
    hub::{Busy, Hub},
    metadata::{Part, Segment, Upload},
};

/// Completes `upload`, whose bytes came as `transfer` says. One that is complete answers as before.
///
/// # Cancel safety
/// May be dropped: the upload is verified all the same, and meanwhile others are told to come again (4.18).
pub(super) async fn complete(hub: &Arc<Hub>, upload: Upload, transfer: &TransferDone) -> Result<Upload, ApiError> {
    if upload.complete {
        return Ok(upload);
    }
    let id = upload.new.id.clone();
    let verifying = Verifying::begin(hub, &id)?;
    check(&upload, transfer)?;
    let own = Arc::clone(hub);
    let work = async move {
        let _verifying = verifying;
        verified(&own, upload).await
    };
    let flight = hub.transferring.join(hub.blobs.scope(), "hub-verify", id, work.boxed()).ok_or(Busy)?;
    flight.await.ok_or(Busy)?
}

/// Records what came, once it is known to be what was announced; else throws it away.
async fn verified(hub: &Hub, upload: Upload) -> Result<Upload, ApiError> {
    let id = upload.new.id.clone();
    let (blake3, sha256) = hashes(hub, &upload).await?;
    if blake3 != upload.new.blake3 {
        hub.metadata.drop_upload(id).await?;
        return Err(ApiError::invalid("digest_mismatch", "the bytes do not have the announced hash"));
    }
    let verified = upload.parts.into_iter().map(|part| part.segment.key).collect();
    let now_s = hub.options.clock.now_s();
    let completed =
        hub.metadata.complete_upload(id, verified, Some(sha256), now_s).await.map_err(ApiError::of_upload)?;
    hub.came_in_parts();
    Ok(completed)
}

/// The client means this upload, and all of its bytes came. Its ETag does not matter: such clients do not tell it.
fn check(upload: &Upload, transfer: &TransferDone) -> Result<(), ApiError> {
    let (bucket, key) = Access::Write(upload.new.id.clone()).place();
    let is_this = (transfer.bucket.as_str(), transfer.key.as_str()) == (bucket, &key)
        && (transfer.size_bytes, transfer.blake3) == (upload.new.size_bytes, upload.new.blake3);
    if !is_this {
        return Err(ApiError::invalid("transfer_mismatch", "the transfer is not that of this upload"));
    }
    let bytes = upload.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.segment.size_bytes));
    if upload.parts.is_empty() || bytes != upload.new.size_bytes {
        return Err(ApiError::new(StatusCode::CONFLICT, "upload_incomplete", "bytes of the transfer are missing"));
    }
    Ok(())
}

/// BLAKE3 and SHA-256 of what came. Of an object that was put whole they are known.
async fn hashes(hub: &Hub, upload: &Upload) -> Result<(Blake3Hash, String), ApiError> {
    if let [Part { chaining, sha256: Some(sha256), .. }] = upload.parts.as_slice() {
        return Ok((*chaining, sha256.clone()));
    }
    let segments: Vec<Segment> = upload.parts.iter().map(|part| part.segment.clone()).collect();
    let _turn = hub.verifying_turns.acquire().await.map_err(|error| ApiError::unavailable(&error))?;
    let (mut blake3, mut sha256) = (blake3::Hasher::new(), DigestHasher::new(DigestAlgorithm::Sha256));
    let mut take = |piece: &[u8]| {
        blake3.update(piece);
        sha256.update(piece);
    };
    let read = hub.blobs.feed(segments, 0..upload.new.size_bytes, &mut take).await;
    read.map_err(|error| ApiError::unavailable(&error))?;
    Ok((Blake3Hash::from_bytes(*blake3.finalize().as_bytes()), sha256.digest().hex()))
}
