//! The models of the pool.

use axum::{extract::State, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Shared,
    error::{ApiError, ErrorBody},
    extract::{Caller, Query},
    page::{Page, PageQuery, page},
    reply,
};
use crate::pool::{ModelPlaceView, ModelView};

/// A model of the pool.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelObject {
    /// Its ref.
    r#ref: String,
    /// Workers that know it.
    workers: Vec<ModelPlace>,
}

/// A model on a worker.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelPlace {
    /// The worker.
    worker_id: String,
    /// `none`, `disk`, `ram` or `vram`.
    tier: &'static str,
    /// Measured footprint when in VRAM.
    vram_bytes: i64,
    /// A download under way.
    download: Option<Download>,
}

/// A download under way.
#[derive(Debug, Serialize, ToSchema)]
pub struct Download {
    /// Bytes that are there.
    bytes_done: i64,
    /// Bytes in total; 0 when unknown.
    bytes_total: i64,
}

impl Download {
    /// The view of the pool's pair.
    pub(super) fn new((bytes_done, bytes_total): (i64, i64)) -> Self {
        Self { bytes_done, bytes_total }
    }
}

impl From<ModelView> for ModelObject {
    fn from(view: ModelView) -> Self {
        Self { r#ref: view.r#ref, workers: view.workers.into_iter().map(ModelPlace::from).collect() }
    }
}

impl From<ModelPlaceView> for ModelPlace {
    fn from(view: ModelPlaceView) -> Self {
        Self {
            worker_id: view.worker_id,
            tier: view.tier,
            vram_bytes: view.vram_bytes,
            download: view.download.map(Download::new),
        }
    }
}

/// Models of the pool by ref, with their tier on each worker and downloads in progress.
#[utoipa::path(get, path = "/v1/models", tag = "pool", params(PageQuery), responses(
    (status = 200, description = "A page of models", body = Page<ModelObject>),
    (status = 400, description = "Bad query", body = ErrorBody),
    (status = 401, description = "No or bad credentials", body = ErrorBody),
    (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody)))]
pub(super) async fn list(
    State(api): State<Shared>,
    _caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page(api.handle.models(), &query, |model| &model.r#ref)?;
    Ok(reply::json(&page.map(ModelObject::from)))
}
