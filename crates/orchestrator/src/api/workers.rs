//! The workers of the pool.

use std::time::Duration;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Shared,
    code::Code,
    error::{ApiError, ErrorBody},
    extract::{Caller, Query, Segment},
    models::Download,
    options::within,
    page::{Page, PageQuery, page},
    reply,
    times::Time,
};
use crate::pool::{DegradedView, DisabledView, ResidencyView, ResourcesView, WorkerView};

/// Time a drained worker gets when the caller does not say, in milliseconds: what a worker gives itself on a signal.
const DRAIN_MS: u64 = 30_000;

/// Longest such time: a day, enough for a training step to reach its checkpoint.
const DRAIN_MS_MAX: u64 = 24 * 3_600 * 1_000;

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerObject {
    /// Its id.
    id: String,
    /// Release it belongs to.
    release_id: String,
    /// Whether its stream is up.
    connected: bool,
    /// Whether it takes no more work.
    draining: bool,
    /// `unspecified`, `booting`, `downloading_models`, `loading_pipelines`, `warming`, `ready` or `error`.
    phase: &'static str,
    /// Functions by what it can do for them.
    functions: WorkerFunctions,
    /// Boot facts.
    resources: Resources,
    /// Free VRAM as last reported.
    free_vram_bytes: i64,
    /// Models it holds.
    models: Vec<Residency>,
    /// Requests on it.
    jobs: usize,
    /// When its present or last stream began.
    #[schema(value_type = String, format = DateTime)]
    connected_at: Time,
}

/// Functions of a worker.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerFunctions {
    /// It takes them now.
    available: Vec<String>,
    /// It is still loading for them.
    loading: Vec<String>,
    /// It runs them, but not as planned.
    degraded: Vec<Degraded>,
    /// It cannot run them.
    disabled: Vec<Disabled>,
}

/// A function that a worker runs, but not as planned.
#[derive(Debug, Serialize, ToSchema)]
pub struct Degraded {
    /// Its name.
    function: String,
    /// What was planned.
    wanted: String,
    /// What runs.
    ran: String,
    /// Text for people.
    reason: String,
    /// How much slower it is by the worker's guess.
    latency_multiplier: f64,
}

/// A function that a worker cannot run.
#[derive(Debug, Serialize, ToSchema)]
pub struct Disabled {
    /// Its name.
    function: String,
    /// Reason as the worker put it.
    reason: String,
    /// Text for people.
    detail: String,
}

/// Boot facts of a worker.
#[derive(Debug, Serialize, ToSchema)]
pub struct Resources {
    /// Visible GPUs.
    gpu_count: i32,
    /// Sum over the GPUs.
    vram_total_bytes: i64,
    /// Name of the first.
    gpu_name: String,
    /// Compute capability, two digits.
    gpu_sm: String,
    /// Engine libraries found.
    installed_libs: Vec<String>,
    /// Image the worker runs from.
    image_digest: String,
    /// Commit it was built from.
    git_commit: String,
    /// Machine it runs on.
    instance_id: String,
}

/// A model on a worker.
#[derive(Debug, Serialize, ToSchema)]
pub struct Residency {
    /// The model ref.
    r#ref: String,
    /// `none`, `disk`, `ram` or `vram`.
    tier: &'static str,
    /// Measured footprint when in VRAM.
    vram_bytes: i64,
    /// A download under way.
    download: Option<Download>,
}

impl From<WorkerView> for WorkerObject {
    fn from(view: WorkerView) -> Self {
        Self {
            id: view.worker_id,
            release_id: view.release_id,
            connected: view.connected,
            draining: view.draining,
            phase: view.phase,
            functions: WorkerFunctions {
                available: view.available_functions,
                loading: view.loading_functions,
                degraded: view.degraded_functions.into_iter().map(Degraded::from).collect(),
                disabled: view.disabled_functions.into_iter().map(Disabled::from).collect(),
            },
            resources: view.resources.into(),
            free_vram_bytes: view.free_vram_bytes,
            models: view.models.into_iter().map(Residency::from).collect(),
            jobs: view.jobs,
            connected_at: Time(view.connected_at),
        }
    }
}

impl From<DegradedView> for Degraded {
    fn from(view: DegradedView) -> Self {
        let DegradedView { function, wanted, ran, reason, latency_multiplier } = view;
        Self { function, wanted, ran, reason, latency_multiplier }
    }
}

impl From<DisabledView> for Disabled {
    fn from(view: DisabledView) -> Self {
        let DisabledView { function, reason, detail } = view;
        Self { function, reason, detail }
    }
}

impl From<ResourcesView> for Resources {
    fn from(view: ResourcesView) -> Self {
        Self {
            gpu_count: view.gpu_count,
            vram_total_bytes: view.vram_total_bytes,
            gpu_name: view.gpu_name,
            gpu_sm: view.gpu_sm,
            installed_libs: view.installed_libs,
            image_digest: view.image_digest,
            git_commit: view.git_commit,
            instance_id: view.instance_id,
        }
    }
}

impl From<ResidencyView> for Residency {
    fn from(view: ResidencyView) -> Self {
        Self {
            r#ref: view.r#ref,
            tier: view.tier,
            vram_bytes: view.vram_bytes,
            download: view.download.map(Download::new),
        }
    }
}

/// Workers that are connected or may still come back, by id.
#[utoipa::path(get, path = "/v1/workers", tag = "pool", params(PageQuery), responses(
    (status = 200, description = "A page of workers", body = Page<WorkerObject>),
    (status = 400, description = "Bad query", body = ErrorBody),
    (status = 401, description = "No or bad credentials", body = ErrorBody),
    (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody)))]
pub(super) async fn list(
    State(api): State<Shared>,
    _caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, ApiError> {
    let page = page(api.handle.workers(), &query, |worker| &worker.worker_id)?;
    Ok(reply::json(&page.map(WorkerObject::from)))
}

/// One worker.
#[utoipa::path(get, path = "/v1/workers/{id}", tag = "pool",
    params(("id" = String, Path, description = "Id of the worker")),
    responses(
        (status = 200, description = "The worker", body = WorkerObject),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "No such worker", body = ErrorBody)))]
pub(super) async fn get(
    State(api): State<Shared>,
    _caller: Caller,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    Ok(reply::json(&WorkerObject::from(find(&api, &id)?)))
}

/// How to drain.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct DrainQuery {
    /// Time to finish what it has, in milliseconds; 0 is all the time it wants. 30000 when left out.
    deadline_ms: Option<u64>,
}

/// Tells a worker to finish what it has and leave. It gets no more work.
#[utoipa::path(post, path = "/v1/workers/{id}/drain", tag = "pool",
    params(("id" = String, Path, description = "Id of the worker"), DrainQuery),
    responses(
        (status = 202, description = "It was told", body = WorkerObject),
        (status = 400, description = "Bad query", body = ErrorBody),
        (status = 401, description = "No or bad credentials", body = ErrorBody),
        (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
        (status = 404, description = "No such worker is connected", body = ErrorBody)))]
pub(super) async fn drain(
    State(api): State<Shared>,
    _caller: Caller,
    Segment(id): Segment,
    Query(query): Query<DrainQuery>,
) -> Result<Response, ApiError> {
    let deadline = within("deadline_ms", query.deadline_ms.unwrap_or(DRAIN_MS), 0..=DRAIN_MS_MAX)?;
    let before = find(&api, &id)?;
    if !api.handle.drain_worker(&id, Duration::from_millis(deadline)).await {
        return Err(no_such_worker());
    }
    // Without work it may be gone by now, as it was told.
    let worker = find(&api, &id).unwrap_or(WorkerView { draining: true, ..before });
    Ok((StatusCode::ACCEPTED, reply::json(&WorkerObject::from(worker))).into_response())
}

fn find(api: &Shared, id: &str) -> Result<WorkerView, ApiError> {
    api.handle.workers().into_iter().find(|view| view.worker_id == id).ok_or_else(no_such_worker)
}

fn no_such_worker() -> ApiError {
    ApiError::new(Code::NotFound, "there is no worker with this id")
}
