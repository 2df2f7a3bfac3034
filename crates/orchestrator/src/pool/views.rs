//! What the pool tells about itself, and what its calls answer. Plain values.

use std::sync::Arc;

use gen_worker_proto::FunctionName;
use serde::Serialize;

use crate::{
    queue::QueueError,
    request::{Request, UnixMs},
};

/// What a submit came to.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// Taken in; durable if that was asked for.
    Created(Arc<Request>),
    /// The id was known with an equal body: the request as it is now.
    Existing(Arc<Request>),
}

impl Submitted {
    /// The request, however it came about.
    #[must_use]
    pub fn request(&self) -> &Arc<Request> {
        match self {
            Self::Created(request) | Self::Existing(request) => request,
        }
    }
}

/// Why one request of a submit was not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The id belongs to another body or another tenant.
    #[error("request id is taken by another body")]
    Conflict,
    /// Nobody has ever advertised the function.
    #[error("no worker has ever offered this function")]
    UnknownFunction {
        /// Known names that look alike, nearest first.
        near: Vec<String>,
    },
    /// No connected worker can run the function, and the caller did not want to wait for one; or every worker
    /// that has it reported it as unusable.
    #[error("no worker can run this function now")]
    NoWorker,
    /// The pool holds as many unfinished requests as it may.
    #[error("queue holds its limit of {limit} unfinished requests")]
    QueueFull {
        /// The limit.
        limit: usize,
    },
}

/// Why the pool could not answer at all.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The durable store failed.
    #[error("pool could not use its store")]
    Store(#[from] QueueError),
    /// The pool has been stopped, or is shutting down.
    #[error("pool is closed")]
    Closed,
}

/// What a cancel came to.
#[derive(Clone, Debug)]
pub enum CancelOutcome {
    /// It waited in the queue and is cancelled now.
    Canceled(Arc<Request>),
    /// It is on a worker, which has been told; the end comes within the grace.
    Requested(Arc<Request>),
    /// It had ended before.
    AlreadyFinished(Arc<Request>),
    /// There is no such request.
    Unknown,
}

/// One function of the pool.
#[derive(Clone, Debug)]
pub struct FunctionView {
    /// Its slug.
    pub name: String,
    /// What its endpoint says about it, if somebody told the pool.
    pub manifest: Option<Arc<FunctionManifest>>,
    /// Connected workers that take it now.
    pub workers_available: usize,
    /// Connected workers that are still loading for it.
    pub workers_loading: usize,
    /// Connected workers that run it, but not as planned; counted in the two above as well.
    pub workers_degraded: usize,
    /// Connected workers that reported it as unusable.
    pub workers_disabled: usize,
    /// Requests that wait for a worker.
    pub queued: usize,
    /// Requests on a worker.
    pub running: usize,
}

/// What an endpoint says about one of its functions. The wire does not carry it: whoever has the endpoint at hand tells
/// the pool, by [`super::Handle::describe`].
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionManifest {
    /// Its slug.
    pub name: FunctionName,
    /// What kind of work it does.
    pub kind: String,
    /// JSON Schema of its payload.
    pub input_schema: serde_json::Value,
    /// JSON Schema of its output.
    pub output_schema: serde_json::Value,
    /// Tenant as whom the hub is asked for its models.
    pub owner: String,
    /// Models that it declares.
    pub models: Vec<DeclaredModel>,
}

/// A model that a function declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredModel {
    /// Its slot.
    pub slot: String,
    /// Its ref as it stands on the wire.
    pub r#ref: String,
    /// What the hub is asked for, tag and flavor spelled out; `None` when the model is of another provider, which the worker asks
    /// itself.
    pub hub_ref: Option<String>,
}

/// A function that a worker cannot run.
#[derive(Clone, Debug, Serialize)]
pub struct DisabledView {
    /// Its slug.
    pub function: String,
    /// Reason as the worker put it.
    pub reason: String,
    /// Text for people.
    pub detail: String,
}

/// A function that a worker runs, but not as planned.
#[derive(Clone, Debug, Serialize)]
pub struct DegradedView {
    /// Its slug.
    pub function: String,
    /// What was planned.
    pub wanted: String,
    /// What runs.
    pub ran: String,
    /// Text for people.
    pub reason: String,
    /// How much slower it is by the worker's guess.
    pub latency_multiplier: f64,
}

/// Boot facts of a worker.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ResourcesView {
    /// Visible GPUs.
    pub gpu_count: i32,
    /// Sum over the GPUs.
    pub vram_total_bytes: i64,
    /// Name of the first.
    pub gpu_name: String,
    /// Compute capability, two digits.
    pub gpu_sm: String,
    /// Engine libraries found.
    pub installed_libs: Vec<String>,
    /// Image the worker runs from.
    pub image_digest: String,
    /// Commit it was built from.
    pub git_commit: String,
    /// Machine it runs on.
    pub instance_id: String,
}

/// A model on a worker.
#[derive(Clone, Debug, Serialize)]
pub struct ResidencyView {
    /// The model ref.
    pub r#ref: String,
    /// `none`, `disk`, `ram` or `vram`.
    pub tier: &'static str,
    /// Measured footprint when in VRAM.
    pub vram_bytes: i64,
    /// A download under way: bytes done and total, total 0 when unknown.
    pub download: Option<(i64, i64)>,
}

/// One worker of the pool.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerView {
    /// Its id.
    pub worker_id: String,
    /// Release it belongs to; may be empty without authentication.
    pub release_id: String,
    /// Whether its stream is up. A worker that lost its stream stays listed until the reconnect window is over.
    pub connected: bool,
    /// Whether it takes no more work.
    pub draining: bool,
    /// `unspecified`, `booting`, `downloading_models`, `loading_pipelines`, `warming`, `ready` or `error`.
    pub phase: &'static str,
    /// Functions it takes now.
    pub available_functions: Vec<String>,
    /// Functions it is loading for.
    pub loading_functions: Vec<String>,
    /// Functions it cannot run.
    pub disabled_functions: Vec<DisabledView>,
    /// Functions it runs otherwise than planned.
    pub degraded_functions: Vec<DegradedView>,
    /// Boot facts.
    pub resources: ResourcesView,
    /// Free VRAM as last reported.
    pub free_vram_bytes: i64,
    /// Models it holds.
    pub models: Vec<ResidencyView>,
    /// Requests on it.
    pub jobs: usize,
    /// When its present or last stream began.
    pub connected_at: UnixMs,
}

/// Where a model is.
#[derive(Clone, Debug, Serialize)]
pub struct ModelPlaceView {
    /// The worker.
    pub worker_id: String,
    /// `none`, `disk`, `ram` or `vram`.
    pub tier: &'static str,
    /// Measured footprint when in VRAM.
    pub vram_bytes: i64,
    /// A download under way: bytes done and total, total 0 when unknown.
    pub download: Option<(i64, i64)>,
}

/// One model ref of the pool.
#[derive(Clone, Debug, Serialize)]
pub struct ModelView {
    /// The model ref.
    pub r#ref: String,
    /// Workers that know it.
    pub workers: Vec<ModelPlaceView>,
}

/// Totals since the start and gauges of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Requests taken in.
    pub submitted: u64,
    /// Requests that succeeded.
    pub succeeded: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were cancelled.
    pub canceled: u64,
    /// Attempts that were sent to a worker.
    pub dispatched: u64,
    /// `RunJob` messages repeated because nobody answered.
    pub resent: u64,
    /// Attempts that went back to the queue.
    pub requeued: u64,
    /// Messages dropped because their pair was not current.
    pub stale: u64,
    /// Frames fanned out.
    pub frames: u64,
    /// Streams replaced by a newer one of the same worker.
    pub superseded: u64,
    /// Streams refused before or at Hello.
    pub refused: u64,
    /// Store writes that failed and were tried again.
    pub store_retries: u64,
    /// Requests that wait for a worker now.
    pub queued: u64,
    /// Requests on a worker now.
    pub running: u64,
    /// Workers whose stream is up now.
    pub workers: u64,
}
