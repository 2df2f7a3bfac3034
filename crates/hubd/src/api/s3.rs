//! The subset of S3 that grants are for (Hub contract, 4d): one object, written whole or in parts, or read.
//!
//! ```text
//! request ─> signature, session token (who may do what to which object) ─> operation ─> write | read ─> XML
//! ```
//! Nothing of a body is read before the request is known to be allowed, so `Expect: 100-continue` is answered by a refusal or
//! by a 100. Owns no state.

mod error;
mod operation;
mod payload;
mod read;
mod write;
mod xml;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Method, Uri},
    response::{IntoResponse, Response},
};

use crate::{
    grants::Access,
    hub::Hub,
    sigv4::{Authorization, Incoming, Payload, SignatureError},
};
use error::S3Error;
use operation::Operation;

/// One call of an S3 client.
pub(crate) async fn call(
    State(hub): State<Arc<Hub>>,
    Path(place): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let request = Request { method: &method, uri: &uri, headers: &headers };
    match answer(&hub, &place, request, body).await {
        Ok(response) => response,
        Err(error) => error.at(uri.path()).into_response(),
    }
}

/// The head of a request.
#[derive(Clone, Copy)]
struct Request<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

async fn answer(hub: &Hub, place: &str, request: Request<'_>, body: Body) -> Result<Response, S3Error> {
    let (access, payload) = admitted(hub, request)?;
    let (bucket, key) = access.place();
    if place != format!("{bucket}/{key}") {
        return Err(S3Error::denied("the credentials are for another object"));
    }
    let operation = Operation::of(request.method, request.uri.query().unwrap_or_default(), request.headers)?;
    match (operation, access) {
        (Operation::Read, Access::Read(blob)) => read::object(hub, blob, request.headers).await,
        (Operation::Write(write), Access::Write(upload)) => {
            write::perform(hub, upload, write, write::Signed { payload, body }).await
        }
        _ => Err(S3Error::denied("the credentials do not allow this operation")),
    }
}

/// What the one who signed may do, and what was said of the body.
fn admitted(hub: &Hub, request: Request<'_>) -> Result<(Access, Payload), S3Error> {
    let Request { method, uri, headers } = request;
    let authorization = Authorization::read(headers)?;
    let token = headers.get("x-amz-security-token").and_then(|token| token.to_str().ok());
    let token = token.ok_or_else(|| S3Error::denied("the request has no session token"))?;
    let granted = hub.grants.read(token).ok_or_else(S3Error::no_token)?;
    let path = format!("{}{}", hub.grants.path_prefix(), uri.path());
    let query = uri.query().unwrap_or_default();
    let incoming = Incoming { method: method.as_str(), path: &path, query, headers };
    let now_s = hub.options.clock.now_s();
    let payload = authorization.check(&granted.secret, incoming, now_s)?;
    if authorization.access_key_id != granted.access_key_id {
        return Err(SignatureError::Wrong.into());
    }
    if now_s >= granted.expires_s {
        return Err(S3Error::expired());
    }
    Ok((granted.access, payload))
}
