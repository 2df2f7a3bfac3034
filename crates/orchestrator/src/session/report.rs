//! What a worker says, parsed: raw messages become typed values here and nowhere else. Unknown kinds and unknown
//! enum numbers are skipped (W4, C33).

use std::sync::Arc;

use bytes::Bytes;
use gen_worker_proto::{Attempt, FunctionName, Pair, limits, pb};
use pb::{job_result, worker_message::Msg};

use crate::{
    lifecycle::Status,
    request::{Metrics, Output},
};

/// Most functions, models, pairs or libraries read from one message: far above what any worker has, and a bound on
/// what a hostile one can make the pool keep.
const LIST_ITEMS_MAX: usize = 4_096;

/// Media type of frames that carry a handler's own events.
const REQUEST_EVENT: &str = "application/x-request-event+json";

/// What a drained worker answers; such an attempt does not count as failed.
const DRAINING: &str = "worker draining";

/// What a worker at its concurrency limit answers.
const BUSY: &str = "worker busy";

/// What a worker answers when the handler ran out of `timeout_ms`.
const DEADLINE: &str = "deadline exceeded";

/// A pair as it came: looked up by text, so that no id is allocated per message.
#[derive(Clone, Debug)]
pub(crate) struct RawPair {
    pub(crate) request_id: String,
    pub(crate) attempt: Attempt,
}

/// One message of a worker after its Hello.
#[derive(Debug)]
pub(crate) enum Report {
    State(StateReport),
    Accepted(RawPair),
    Result(Box<ResultReport>),
    Frame(RawPair, Frame),
    Model(ModelReport),
    Unavailable(UnavailableReport),
    Degraded(DegradedReport),
}

/// Everything of a Hello that the owner keeps.
#[derive(Debug)]
pub(crate) struct HelloReport {
    pub(crate) worker_id: Arc<str>,
    pub(crate) release_id: String,
    pub(crate) resources: pb::WorkerResources,
    pub(crate) state: StateReport,
    pub(crate) models: Vec<ModelPlace>,
    pub(crate) in_flight: Vec<Pair>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct StateReport {
    pub(crate) phase: Phase,
    pub(crate) available: Vec<FunctionName>,
    pub(crate) loading: Vec<FunctionName>,
    pub(crate) free_vram_bytes: i64,
}

/// Startup phase of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Phase(pub(crate) Option<pb::WorkerPhase>);

#[derive(Debug)]
pub(crate) struct ResultReport {
    pub(crate) pair: RawPair,
    pub(crate) verdict: Verdict,
    pub(crate) output: Option<Output>,
    pub(crate) message: String,
    pub(crate) metrics: Option<Metrics>,
}

/// What a result says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The attempt came to this.
    Status(Status),
    /// The worker leaves and gives the attempt back.
    Draining,
    /// The worker is at its limit and gives the attempt back.
    Busy,
}

/// One frame of an output stream.
#[derive(Debug)]
pub(crate) enum Frame {
    Chunk { content_type: Arc<str>, data: Bytes },
    Progress(serde_json::Value),
    Log(serde_json::Value),
}

#[derive(Clone, Debug)]
pub(crate) struct ModelPlace {
    pub(crate) r#ref: String,
    pub(crate) tier: pb::ResidencyTier,
    pub(crate) vram_bytes: i64,
}

#[derive(Debug)]
pub(crate) struct ModelReport {
    pub(crate) r#ref: String,
    pub(crate) state: pb::ModelState,
    pub(crate) vram_bytes: i64,
    pub(crate) error: String,
    pub(crate) bytes_done: i64,
    pub(crate) bytes_total: i64,
}

#[derive(Debug)]
pub(crate) struct UnavailableReport {
    pub(crate) function: FunctionName,
    pub(crate) reason: String,
    pub(crate) detail: String,
}

#[derive(Debug)]
pub(crate) struct DegradedReport {
    pub(crate) function: FunctionName,
    pub(crate) wanted: String,
    pub(crate) ran: String,
    pub(crate) reason: String,
    pub(crate) latency_multiplier: f64,
}

/// Parses messages of one stream; remembers the last media type, which is nearly always the next one too.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    content_type: Option<Arc<str>>,
}

impl Parser {
    /// A message as a report; `None` for what this version does not know or cannot use.
    pub(crate) fn report(&mut self, message: pb::WorkerMessage) -> Option<Report> {
        Some(match message.msg? {
            Msg::Hello(_) => return None,
            Msg::StateDelta(state) => Report::State(StateReport::from(state)),
            Msg::JobAccepted(job) => Report::Accepted(RawPair::new(job.request_id, job.attempt)),
            Msg::JobResult(result) => Report::Result(Box::new(ResultReport::from(result))),
            Msg::JobProgress(progress) => self.frame(progress),
            Msg::ModelEvent(event) => Report::Model(ModelReport {
                state: pb::ModelState::try_from(event.state).ok()?,
                r#ref: event.r#ref,
                vram_bytes: event.vram_bytes,
                error: cut(event.error),
                bytes_done: event.bytes_done,
                bytes_total: event.bytes_total,
            }),
            Msg::FnUnavailable(function) => Report::Unavailable(UnavailableReport {
                function: FunctionName::parse(&function.function_name).ok()?,
                reason: cut(function.reason),
                detail: cut(function.detail),
            }),
            Msg::FnDegraded(function) => Report::Degraded(DegradedReport {
                function: FunctionName::parse(&function.function_name).ok()?,
                wanted: cut(function.wanted),
                ran: cut(function.ran),
                reason: cut(function.reason),
                latency_multiplier: function.est_latency_multiplier,
            }),
        })
    }

    fn frame(&mut self, progress: pb::JobProgress) -> Report {
        let pair = RawPair::new(progress.request_id, progress.attempt);
        if progress.content_type == REQUEST_EVENT
            && let Some(frame) = own_event(&progress.data)
        {
            return Report::Frame(pair, frame);
        }
        let content_type = match &self.content_type {
            Some(last) if **last == *progress.content_type => Arc::clone(last),
            _ => {
                let new: Arc<str> = progress.content_type.into();
                self.content_type = Some(Arc::clone(&new));
                new
            }
        };
        Report::Frame(pair, Frame::Chunk { content_type, data: progress.data })
    }
}

/// A handler's own event; `None` when the bytes are not one, so that nothing a worker sends is lost.
fn own_event(data: &[u8]) -> Option<Frame> {
    let value: serde_json::Value = serde_json::from_slice(data).ok()?;
    let kind = value.get("type")?.as_str()?;
    Some(match kind {
        "request.log" | "request.warning" => Frame::Log(value),
        _ => Frame::Progress(value),
    })
}

impl HelloReport {
    /// Takes a Hello that the gate has admitted.
    pub(crate) fn new(hello: pb::Hello) -> Self {
        let state = StateReport::from(hello.state.unwrap_or_default());
        let models = hello.models.into_iter().take(LIST_ITEMS_MAX).filter_map(ModelPlace::parse).collect();
        let in_flight = hello.in_flight.into_iter().filter_map(|job| Pair::parse(job.request_id, job.attempt).ok());
        let mut resources = hello.resources.unwrap_or_default();
        resources.installed_libs.truncate(LIST_ITEMS_MAX);
        Self {
            worker_id: hello.worker_id.into(),
            release_id: hello.release_id,
            resources,
            state,
            models,
            in_flight: in_flight.collect(),
        }
    }
}

impl ModelPlace {
    fn parse(model: pb::ModelResidency) -> Option<Self> {
        let tier = pb::ResidencyTier::try_from(model.tier).ok()?;
        (!model.r#ref.is_empty()).then_some(Self { r#ref: model.r#ref, tier, vram_bytes: model.vram_bytes })
    }
}

impl From<pb::StateDelta> for StateReport {
    fn from(state: pb::StateDelta) -> Self {
        let names = |names: Vec<String>| {
            names.iter().take(LIST_ITEMS_MAX).filter_map(|name| FunctionName::parse(name).ok()).collect()
        };
        Self {
            phase: Phase(pb::WorkerPhase::try_from(state.phase).ok()),
            available: names(state.available_functions),
            loading: names(state.loading_functions),
            free_vram_bytes: state.free_vram_bytes,
        }
    }
}

impl Phase {
    /// Whether the worker is beyond use.
    pub(crate) fn is_error(self) -> bool {
        self.0 == Some(pb::WorkerPhase::Error)
    }

    /// Whether the worker may still come up with more functions.
    pub(crate) fn is_starting(self) -> bool {
        !matches!(self.0, Some(pb::WorkerPhase::Ready | pb::WorkerPhase::Error))
    }

    /// The name shown to people.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            None | Some(pb::WorkerPhase::Unspecified) => "unspecified",
            Some(pb::WorkerPhase::Booting) => "booting",
            Some(pb::WorkerPhase::DownloadingModels) => "downloading_models",
            Some(pb::WorkerPhase::LoadingPipelines) => "loading_pipelines",
            Some(pb::WorkerPhase::Warming) => "warming",
            Some(pb::WorkerPhase::Ready) => "ready",
            Some(pb::WorkerPhase::Error) => "error",
        }
    }
}

impl RawPair {
    fn new(request_id: String, attempt: i64) -> Self {
        Self { request_id, attempt: Attempt(attempt) }
    }
}

impl From<pb::JobResult> for ResultReport {
    fn from(result: pb::JobResult) -> Self {
        let status = pb::JobStatus::try_from(result.status).unwrap_or(pb::JobStatus::Unspecified);
        let verdict = match (status, result.safe_message.as_str()) {
            (pb::JobStatus::Retryable, DRAINING) => Verdict::Draining,
            (pb::JobStatus::Retryable, BUSY) => Verdict::Busy,
            (pb::JobStatus::Fatal, DEADLINE) => Verdict::Status(Status::TimedOut),
            (pb::JobStatus::Ok, _) => Verdict::Status(Status::Ok),
            (pb::JobStatus::Invalid, _) => Verdict::Status(Status::Invalid),
            (pb::JobStatus::Retryable, _) => Verdict::Status(Status::Retryable),
            (pb::JobStatus::Canceled, _) => Verdict::Status(Status::Canceled),
            (pb::JobStatus::Fatal | pb::JobStatus::Unspecified, _) => Verdict::Status(Status::Fatal),
        };
        let message = cut(match status {
            pb::JobStatus::Unspecified => format!("worker sent unknown status {}", result.status),
            _ => result.safe_message,
        });
        Self {
            pair: RawPair::new(result.request_id, result.attempt),
            verdict,
            output: result.output.map(|output| match output {
                job_result::Output::Inline(bytes) => Output::Inline(bytes),
                job_result::Output::BlobRef(file) => Output::Blob(file),
            }),
            message,
            metrics: result.metrics.map(|metrics| Metrics {
                runtime_ms: metrics.runtime_ms,
                queue_ms: metrics.queue_ms,
                peak_rss_bytes: metrics.peak_rss_bytes,
                peak_vram_bytes: metrics.peak_vram_bytes,
                concurrency_at_start: metrics.concurrency_at_start,
                output_media_duration_s: metrics.output_media_duration_s,
            }),
        }
    }
}

/// A text of a worker, no longer than a message may be.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(limits::SAFE_MESSAGE_CHARS_MAX) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests;
