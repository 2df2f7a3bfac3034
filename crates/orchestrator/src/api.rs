//! The public HTTP API: one router over a [`crate::pool::Handle`]. Owns no state but its background tasks;
//! what a request is and where it stands, only the pool knows.
//!
//! ```text
//! connection ─> router ─> extract (caller, query) ─> body ─> submit ─> pool::Handle
//!                                                                        │ wait, subscribe
//!                            reply (object, status), sse, stream <───────┘
//! ```
//!
//! Every route stands in the document at `/openapi.json`: routes can be registered only together with their
//! description.

mod beside;
mod bindings;
mod body;
mod cancel;
mod capability;
mod code;
mod decode;
mod disconnect;
mod error;
mod events;
mod extract;
mod functions;
mod health;
mod idempotency;
mod list;
mod metrics;
mod models;
mod object;
mod openapi;
mod options;
mod origin;
mod output;
mod page;
mod prefer;
mod reply;
mod request_id;
mod requests;
mod run;
mod server;
mod sse;
mod state;
mod stream;
mod submit;
mod times;
mod workers;

use std::sync::Arc;

use axum::{Router, middleware};
use gen_worker_tasks::Scope;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use server::serve;
pub use state::{Access, DEV_TENANT, Options, Token};

use crate::pool::Handle;
use error::ApiError;
use state::{Api, Shared};

/// The router over a pool. Tasks that outlive a reply (a cancel after a disconnect, the rest of a refused body) run in
/// `scope`; [`serve`] is this with a listener.
pub fn router(handle: Handle, options: Options, scope: Arc<Scope>) -> Router {
    let (routes, document) = described().split_for_parts();
    let api = Arc::new(Api { handle, options, scope, document: openapi::render(&document) });
    routes
        .fallback(beside::elsewhere)
        .method_not_allowed_fallback(no_such_method)
        // Bodies are bounded where they are read, by the limit of the options.
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(middleware::map_response(request_id::ensure))
        .with_state(api)
}

/// The OpenAPI document of all routes, as JSON.
#[must_use]
pub fn document() -> String {
    let (_, document) = described().split_for_parts();
    openapi::render(&document)
}

fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(run::run))
        .routes(routes!(requests::post, list::list))
        .routes(routes!(requests::put, requests::get))
        .routes(routes!(events::events))
        .routes(routes!(stream::stream))
        .routes(routes!(output::output))
        .routes(routes!(cancel::cancel))
        .routes(routes!(functions::list))
        .routes(routes!(functions::get))
        .routes(routes!(workers::list))
        .routes(routes!(workers::get))
        .routes(routes!(workers::drain))
        .routes(routes!(models::list))
        .routes(routes!(capability::renew))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(openapi::openapi))
}

async fn no_such_method(_caller: extract::Caller) -> ApiError {
    ApiError::new(code::Code::MethodNotAllowed, "this route does not take this method")
}

#[cfg(test)]
mod tests;
