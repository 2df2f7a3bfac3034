//! `X-Request-Id` on every reply: the request's own id where the reply is about one, else a fresh one.

use axum::{
    http::{HeaderName, HeaderValue},
    response::Response,
};
use gen_worker_proto::RequestId;
use uuid::Uuid;

/// The header.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// An id for a request whose client chose none. Version 7, so that ids sort by time.
pub(super) fn fresh() -> RequestId {
    RequestId::parse(Uuid::now_v7().hyphenated().encode_lower(&mut Uuid::encode_buffer()) as &str)
        .expect("a UUID is short and not empty")
}

/// The id as a header value.
pub(super) fn value(id: &RequestId) -> Option<HeaderValue> {
    HeaderValue::from_str(id.as_str()).ok()
}

/// Gives a reply an id when it has none.
pub(super) async fn ensure(mut response: Response) -> Response {
    if !response.headers().contains_key(&HEADER) {
        let id = Uuid::now_v7().hyphenated().to_string();
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(HEADER, id);
        }
    }
    response
}
