//! What a request is: the record that the queue keeps and the API shows. Plain values, no behaviour beyond parsing.

use bytes::Bytes;
use gen_worker_proto::{Attempt, FunctionName, RequestId};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC. Taken by the caller, never inside a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub i64);

/// Where a request is in its life. Transitions: queued -> assigned -> running -> terminal, back to queued only
/// by a requeue with attempt + 1, queued -> canceled or failed directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a worker.
    Queued,
    /// Sent to a worker that has not accepted it yet.
    Assigned,
    /// Accepted by a worker.
    Running,
    /// Ended with an output.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// Ended by a cancel.
    Canceled,
}

impl State {
    /// Whether no transition leaves this state.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

/// When a submit has returned, what survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The request survives a crash of the machine.
    #[default]
    Durable,
    /// The request lives in this process only; it is lost with it.
    Memory,
}

/// A model binding chosen per request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// Slot declared by the endpoint.
    pub slot: String,
    /// Model ref, opaque.
    pub r#ref: String,
    /// Adapters active for this request only.
    #[serde(default)]
    pub loras: Vec<LoraChoice>,
}

/// One adapter of a [`ModelChoice`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoraChoice {
    /// Adapter ref.
    pub r#ref: String,
    /// Scale in [-4, 4].
    pub weight: f64,
}

/// How a request is to be run (HTTP contract, section 3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Handler time in milliseconds; 0 leaves it to the endpoint.
    pub timeout_ms: i64,
    /// Latest end, wherever the request is by then.
    pub deadline: Option<UnixMs>,
    /// -100..=100; higher goes first.
    pub priority: i16,
    /// 1..=10 attempts in total.
    pub max_attempts: u8,
    /// What a returned submit guarantees.
    pub durability: Durability,
    /// Whether others may push it aside at a checkpoint.
    pub preemptible: bool,
    /// Slot choices.
    pub models: Vec<ModelChoice>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout_ms: 0,
            deadline: None,
            priority: 0,
            max_attempts: 3,
            durability: Durability::Durable,
            preemptible: false,
            models: Vec::new(),
        }
    }
}

/// A request on its way into the queue.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// Chosen by the client or made by us (UUID v7, so ids sort by time).
    pub id: RequestId,
    /// Function to run.
    pub function: FunctionName,
    /// Owner of the request; `dev` without authentication.
    pub tenant: String,
    /// Release whose workers may run it; `dev` without releases.
    pub release_id: String,
    /// MessagePack map.
    pub payload: Bytes,
    /// SHA-256 or blake3 of the canonical body (function, payload, options): equal digests make a repeated id the
    /// same request.
    pub body_digest: [u8; 32],
    /// How to run it.
    pub options: Options,
    /// Client's JSON, given back as it came; `null` when absent.
    pub metadata: serde_json::Value,
    /// When it was taken in.
    pub created_at: UnixMs,
}

/// Class of a failure, as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The input is wrong; repeating does not help.
    Invalid,
    /// Passing trouble.
    Retryable,
    /// The function failed for good.
    Fatal,
    /// Cancelled.
    Canceled,
    /// Out of time.
    Deadline,
    /// The worker vanished.
    Lost,
}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Its number.
    pub attempt: i64,
    /// Worker it ran on.
    pub worker_id: String,
    /// Class of its failure.
    pub class: ErrorClass,
    /// Client-visible text.
    pub message: String,
    /// When it ended.
    pub at: UnixMs,
}

/// Why a request failed, with every attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestError {
    /// Code of the HTTP contract, section 7: `invalid`, `failed`, `retries_exhausted`, `deadline_exceeded`, `canceled`, `no_worker`.
    pub code: String,
    /// Class of the last failure.
    pub class: ErrorClass,
    /// Client-visible text.
    pub message: String,
    /// Failed attempts in order.
    pub attempts: Vec<AttemptRecord>,
}

/// Output of a function.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// MessagePack bytes; empty when a stream ended without a result.
    Inline(Bytes),
    /// File ref of a larger output.
    Blob(String),
}

/// Where the time went, in milliseconds. The parts add up to `total_ms` within 1 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Timings {
    /// From submit to the dispatch of the last attempt.
    pub queue_ms: f64,
    /// From dispatch to acceptance.
    pub dispatch_ms: f64,
    /// Model download in the job.
    pub download_ms: f64,
    /// Model load in the job.
    pub load_ms: f64,
    /// Wait for a slot on the worker.
    pub slot_wait_ms: f64,
    /// Handler.
    pub run_ms: f64,
    /// Upload of the output, and what remains until the result was in.
    pub upload_ms: f64,
    /// From submit to end.
    pub total_ms: f64,
}

/// What the worker measured. Estimates, not billing facts, except the media duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Metrics {
    /// Handler time.
    pub runtime_ms: i64,
    /// Local wait.
    pub queue_ms: i64,
    /// Peak resident bytes, 0 = not measured.
    pub peak_rss_bytes: i64,
    /// Peak device bytes, 0 = not measured.
    pub peak_vram_bytes: i64,
    /// Other jobs active at admission.
    pub concurrency_at_start: i32,
    /// Media seconds in the output.
    pub output_media_duration_s: f64,
}

/// Where and when the last attempt ran. Part of an [`Ending`], because the records of its assignment and start are
/// written lazily and may have been skipped: the store takes these three over when it finishes a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The worker.
    pub worker_id: String,
    /// When the attempt was sent there.
    pub assigned_at: UnixMs,
    /// When the worker accepted it, if it did.
    pub started_at: Option<UnixMs>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// A terminal state.
    pub state: State,
    /// Present when it succeeded with an output.
    pub output: Option<Output>,
    /// Present when it failed or was cancelled.
    pub error: Option<RequestError>,
    /// Where the time went.
    pub timings: Timings,
    /// What the worker measured.
    pub metrics: Option<Metrics>,
    /// When it ended.
    pub ended_at: UnixMs,
    /// Where the last attempt ran; `None` when there was none. The store moves it into the request's `worker_id`,
    /// `assigned_at` and `started_at`, so an ending that was read has none; `None` leaves those as they are.
    pub placement: Option<Placement>,
}

/// A request as the queue keeps it.
#[derive(Clone, Debug)]
pub struct Request {
    /// What was submitted.
    pub submitted: NewRequest,
    /// Order of arrival, unique and increasing within one store; the key of stable paging.
    pub sequence: i64,
    /// Current state. The store may lag behind the pool for `assigned` and `running`, never for terminal states.
    pub state: State,
    /// Current attempt; 0 before the first dispatch.
    pub attempt: Attempt,
    /// Worker of the current or last attempt.
    pub worker_id: Option<String>,
    /// When the current or last attempt was placed; `None` when that was not recorded.
    pub assigned_at: Option<UnixMs>,
    /// When the current or last attempt was accepted.
    pub started_at: Option<UnixMs>,
    /// Failed attempts so far.
    pub attempts: Vec<AttemptRecord>,
    /// A client asked for its cancel while a worker had it. As the store has it; false once it has ended.
    pub cancel_requested: bool,
    /// Present exactly when the state is terminal.
    pub ending: Option<Ending>,
}
