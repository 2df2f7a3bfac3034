//! The functions of the pool.

use axum::{extract::State, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Shared,
    error::{ApiError, ErrorBody},
    extract::{Caller, Query, Segment},
    page::{Page, PageQuery, page},
    reply,
    submit::function,
};
use crate::pool::FunctionView;

/// A function.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "embed", "kind": "inference",
    "input_schema": {"type": "object"}, "output_schema": {"type": "object"},
    "workers": {"available": 2, "loading": 0, "degraded": 0, "disabled": 0}, "queued": 0, "running": 1}))]
pub struct FunctionObject {
    /// Its name.
    name: String,
    /// What kind of work it does; null when no manifest says so.
    kind: Option<String>,
    /// JSON Schema of its payload; null when no manifest says so.
    #[schema(value_type = Option<Object>)]
    input_schema: Option<serde_json::Value>,
    /// JSON Schema of its output; null when no manifest says so.
    #[schema(value_type = Option<Object>)]
    output_schema: Option<serde_json::Value>,
    /// Connected workers by what they can do for it.
    workers: FunctionWorkers,
    /// Requests that wait for a worker.
    queued: usize,
    /// Requests on a worker.
    running: usize,
}

/// Connected workers of a function.
#[derive(Debug, Serialize, ToSchema)]
pub struct FunctionWorkers {
    /// They take it now.
    available: usize,
    /// They are still loading for it.
    loading: usize,
    /// They run it, but not as planned; counted above as well.
    degraded: usize,
    /// They cannot run it.
    disabled: usize,
}

impl From<FunctionView> for FunctionObject {
    fn from(view: FunctionView) -> Self {
        Self {
            name: view.name,
            kind: view.manifest.as_ref().map(|manifest| manifest.kind.clone()),
            input_schema: view.manifest.as_ref().map(|manifest| manifest.input_schema.clone()),
            output_schema: view.manifest.as_ref().map(|manifest| manifest.output_schema.clone()),
            workers: FunctionWorkers {
                available: view.workers_available,
                loading: view.workers_loading,
                degraded: view.workers_degraded,
                disabled: view.workers_disabled,
            },
            queued: view.queued,
            running: view.running,
        }
    }
}

/// Functions that workers have ever offered, by name.
#[utoipa::path(get, path = "/v1/functions", tag = "pool", params(PageQuery), responses(
    (status = 200, description = "A page of functions", body = Page<FunctionObject>),
    (status = 400, description = "Bad query", body = ErrorBody),
    (status = 401, description = "No or bad credentials", body = ErrorBody),
    (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody)))]
pub(super) async fn list(
    State(api): State<Shared>,
    _caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page(api.handle.functions(), &query, |function| &function.name)?;
    Ok(reply::json(&page.map(FunctionObject::from)))
}

/// One function.
#[utoipa::path(get, path = "/v1/functions/{name}", tag = "pool",
    params(("name" = String, Path, description = "Name of the function")),
    responses(
        (status = 200, description = "The function", body = FunctionObject),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "Nobody has ever offered it", body = ErrorBody)))]
pub(super) async fn get(
    State(api): State<Shared>,
    _caller: Caller,
    Segment(name): Segment,
) -> Result<Response, ApiError> {
    let name = function(&name)?;
    match api.handle.function(&name) {
        Ok(view) => Ok(reply::json(&FunctionObject::from(view))),
        Err(error) => Err(ApiError::refused(error, name.as_str())),
    }
}
