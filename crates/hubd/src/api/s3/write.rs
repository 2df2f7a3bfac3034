//! What changes an object: it is put whole, or as a transfer in parts. What came is only a candidate: the complete of the
//! upload verifies it (Hub contract, 4.19).

use axum::{
    body::{Body, HttpBody as _},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use gen_worker_hub::ServerId;

use super::{
    error::S3Error,
    operation::Write,
    payload::{self, Mismatch},
    xml::{self, FINISH_BYTES_MAX},
};
use crate::{
    api::uploads::new_id,
    blobs::Expected,
    grants::Access,
    hub::Hub,
    metadata::{MetadataError, Part, Upload},
    sigv4::Payload,
};

/// A body and what was said of it.
pub(super) struct Signed {
    /// Its hash, if any.
    pub payload: Payload,
    /// It.
    pub body: Body,
}

/// Does `write` to the object of the upload `id`.
pub(super) async fn perform(hub: &Hub, id: ServerId, write: Write, signed: Signed) -> Result<Response, S3Error> {
    let now_s = hub.options.clock.now_s();
    let upload = hub.metadata.upload(id.clone(), now_s).await?.filter(|upload| !upload.complete);
    let upload = upload.ok_or_else(S3Error::no_upload)?;
    match write {
        Write::Whole => {
            let length = length(&signed.body)?;
            if length != upload.new.size_bytes {
                return Err(too_much("the object does not have the announced size"));
            }
            store(hub, &upload, None, 1, length, signed).await
        }
        Write::Begin => begin(hub, id, now_s).await,
        Write::Part(transfer, number) => {
            let length = length(&signed.body)?;
            check_part(hub, &upload, &transfer, number, length).await?;
            store(hub, &upload, Some(transfer), number, length, signed).await
        }
        Write::Finish(transfer) => finish(hub, &upload, transfer, signed).await,
        Write::Abort(transfer) => match hub.metadata.abort_transfer(id, transfer).await? {
            true => Ok(StatusCode::NO_CONTENT.into_response()),
            false => Err(S3Error::no_upload()),
        },
    }
}

/// Refuses a part that would not count, before its bytes come.
async fn check_part(hub: &Hub, upload: &Upload, transfer: &ServerId, number: u32, length: u64) -> Result<(), S3Error> {
    if hub.metadata.transfer(upload.new.id.clone()).await?.as_ref() != Some(transfer) {
        return Err(S3Error::no_upload());
    }
    let others = upload.parts.iter().filter(|part| part.number != number);
    let bytes = others.fold(length, |sum, part| sum.saturating_add(part.segment.size_bytes));
    if bytes > upload.new.size_bytes {
        return Err(too_much("the parts have more bytes than were announced"));
    }
    Ok(())
}

/// Takes the bytes of a part, or of the whole object.
async fn store(
    hub: &Hub,
    upload: &Upload,
    transfer: Option<ServerId>,
    number: u32,
    length: u64,
    signed: Signed,
) -> Result<Response, S3Error> {
    let id = &upload.new.id;
    // Parts may have any size: where one starts is not known yet, so its hash is one of its own. Nothing has no other hash.
    let expected = Expected { size_bytes: length, offset: 0, is_whole: transfer.is_none() || length == 0 };
    let mismatch = Mismatch::default();
    let body = payload::checked(signed.body, signed.payload, &mismatch);
    let taken = hub.take(id, number, expected, body).await.map_err(|error| mismatch.or(error))?;
    let (etag, now_s) = (taken.etag(), hub.options.clock.now_s());
    let is_recorded = hub.metadata.put_transferred(id.clone(), transfer, taken.part(), now_s).await?;
    taken.recorded();
    if !is_recorded {
        return Err(S3Error::no_upload());
    }
    Ok((StatusCode::OK, [(header::ETAG, etag)]).into_response())
}

async fn begin(hub: &Hub, id: ServerId, now_s: u64) -> Result<Response, S3Error> {
    let transfer = new_id().map_err(|_| S3Error::busy())?;
    if !hub.metadata.begin_transfer(id.clone(), transfer.clone(), now_s).await? {
        return Err(S3Error::no_upload());
    }
    let (bucket, key) = Access::Write(id).place();
    Ok(xml::begun(bucket, &key, &transfer))
}

async fn finish(hub: &Hub, upload: &Upload, transfer: ServerId, signed: Signed) -> Result<Response, S3Error> {
    let body = payload::collected(signed.body, signed.payload, FINISH_BYTES_MAX).await?;
    let named = xml::parts(&body)?;
    let mut keys = Vec::with_capacity(named.len());
    let mut etags = blake3::Hasher::new();
    for (number, etag) in &named {
        let is_this = |part: &&Part| part.number == *number && part.chaining.to_string() == *etag;
        let part = upload.parts.iter().find(is_this).ok_or_else(|| no_part(*number))?;
        keys.push(part.segment.key.clone());
        etags.update(part.chaining.as_bytes());
    }
    let (id, now_s) = (upload.new.id.clone(), hub.options.clock.now_s());
    hub.metadata.seal_transfer(id.clone(), transfer, keys, now_s).await.map_err(|error| match error {
        MetadataError::Closed => S3Error::no_upload(),
        MetadataError::Changed => S3Error::invalid("InvalidPart", "a part came again meanwhile"),
        error => S3Error::from(error),
    })?;
    let (bucket, key) = Access::Write(id).place();
    Ok(xml::finished(bucket, &key, &format!("{}-{}", etags.finalize().to_hex(), named.len())))
}

fn no_part(number: u32) -> S3Error {
    S3Error::invalid("InvalidPart", format!("part {number} did not come, or has another ETag"))
}

fn too_much(message: &str) -> S3Error {
    S3Error::invalid("EntityTooLarge", message)
}

fn length(body: &Body) -> Result<u64, S3Error> {
    let message = "the request does not say how many bytes come";
    let unknown = || S3Error::new(StatusCode::LENGTH_REQUIRED, "MissingContentLength", message);
    body.size_hint().exact().ok_or_else(unknown)
}
