//! Refusals that are made before a route is reached have the one shape of errors too (Hub contract, 1.9).

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::error::ApiError;

/// Puts a refusal in plain text, as the router writes it for parameters that it cannot read, into an envelope.
pub(super) async fn enveloped(response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| !kind.starts_with("text/plain")) {
        return response;
    }
    let (code, message) = match status {
        StatusCode::NOT_FOUND => ("not_found", "there is no such thing"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "the request is too large"),
        status if status.is_server_error() => ("internal", "the hub failed"),
        _ => ("invalid_request", "the address or a parameter of it is not what this route takes"),
    };
    let mut refusal = ApiError::new(status, code, message).into_response();
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            refusal.headers_mut().insert(name, value.clone());
        }
    }
    refusal
}
