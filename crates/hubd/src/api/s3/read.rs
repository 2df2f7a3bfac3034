//! `GetObject` and `HeadObject`.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use gen_worker_hub::{Blake3Hash, api::same_etag};

use super::error::S3Error;
use crate::{api::blob, hub::Hub};

/// A content, or a range of it. Its ETag is its hash: what one key stands for never changes.
pub(super) async fn object(hub: &Hub, hash: Blake3Hash, headers: &HeaderMap) -> Result<Response, S3Error> {
    if let Some(wanted) = headers.get(header::IF_MATCH) {
        let wanted = wanted.to_str().unwrap_or_default();
        let is_this = |etag: &str| etag.trim() == "*" || same_etag(etag, &hash.to_string());
        if !wanted.split(',').any(is_this) {
            let message = "the object is another than the one of If-Match";
            return Err(S3Error::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message));
        }
    }
    let response = blob::send(hub, hash, headers).await.unwrap_or_else(IntoResponse::into_response);
    match response.status() {
        StatusCode::NOT_FOUND => Err(S3Error::no_key()),
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let message = "the object ends before the range";
            Err(S3Error::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", message))
        }
        status if status.is_success() => Ok(response),
        _ => Err(S3Error::busy()),
    }
}
