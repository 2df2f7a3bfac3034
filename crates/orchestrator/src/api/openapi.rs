//! The OpenAPI document: what is the same for all routes, and the route that serves it.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use super::{
    Shared,
    error::{ApiError, ErrorBody},
    extract::Caller,
};

/// The frame that routes add themselves to.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "gen-worker",
        description = "Requests to functions on a pool of workers. Times are RFC 3339 in UTC, durations end in `_ms`, \
            sizes are bytes. Clients ignore response fields that they do not know; unknown request fields are refused. \
            Every reply has the header `X-Request-Id`.",
        license(name = "MIT OR Apache-2.0"),
        contact()
    ),
    tags(
        (name = "requests", description = "Calling functions"),
        (name = "pool", description = "Functions, workers and models"),
        (name = "operations", description = "Running the service")
    ),
    modifiers(&Bearer),
    security(("bearer" = []))
)]
pub(super) struct Document;

/// Tokens, as they are sent.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The document as JSON, indented for its readers and for diffs.
pub(super) fn render(document: &utoipa::openapi::OpenApi) -> String {
    let mut text = document.to_pretty_json().expect("the document is plain data");
    text.push('\n');
    text
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", responses(
    (status = 200, description = "The OpenAPI 3.1 document of this server", body = Object),
    (status = 401, description = "No or bad credentials", body = ErrorBody),
    (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody)))]
pub(super) async fn openapi(State(api): State<Shared>, _caller: Caller) -> Result<Response, ApiError> {
    Ok(([(header::CONTENT_TYPE, "application/json")], api.document.clone()).into_response())
}
