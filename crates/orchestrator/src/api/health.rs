//! Liveness and readiness, for whoever starts and routes to this process. Open to everybody.

use axum::{extract::State, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Shared,
    error::{ApiError, ErrorBody},
    reply,
};

/// How the process is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
}

/// The process runs.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()), responses(
    (status = 200, description = "It runs", body = Health)))]
pub(super) async fn healthz() -> Response {
    reply::json(&Health { status: "ok" })
}

/// Requests can be taken in: the store is reachable and the pool is open.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()), responses(
    (status = 200, description = "It is ready", body = Health),
    (status = 503, description = "It is not", body = ErrorBody)))]
pub(super) async fn readyz(State(api): State<Shared>) -> Result<Response, ApiError> {
    api.handle.ready().await?;
    Ok(reply::json(&Health { status: "ok" }))
}
