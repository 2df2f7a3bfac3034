//! The request object (contract, section 2): how a request looks from outside.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use utoipa::ToSchema;

use super::times::Time;
use crate::{
    payload::AsJson,
    request::{AttemptRecord, ErrorClass, Metrics, Output, Request, RequestError, State, Timings},
};

/// Largest output inside the object, in bytes of its MessagePack form.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// The same for callers that prefer `bytes=inline`.
const INLINE_BYTES_MAX_PREFERRED: usize = 4 * 1024 * 1024;

/// Bytes of an object without output and metadata: what a buffer starts with.
const OBJECT_BYTES: usize = 1_024;

/// A request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199f3b0-6c1e-7d52-a7a5-3f0c5b1d2e44", "function": "embed", "endpoint": null, "release_id": "dev",
    "tenant": "dev", "state": "succeeded", "attempt": 1, "priority": 0, "created_at": "2026-11-21T00:00:00.000Z",
    "started_at": "2026-11-21T00:00:00.001Z", "ended_at": "2026-11-21T00:00:00.006Z", "deadline": null,
    "worker_id": "w1", "output": {"dimensions": 384}, "output_url": null, "error": null,
    "timings": {"queue_ms": 0.8, "dispatch_ms": 0.2, "download_ms": 0.0, "load_ms": 0.0, "slot_wait_ms": 0.1,
        "run_ms": 5.2, "upload_ms": 0.1, "total_ms": 6.4},
    "metrics": {"runtime_ms": 5, "queue_ms": 0, "peak_rss_bytes": 0, "peak_vram_bytes": 0,
        "concurrency_at_start": 0, "output_media_duration_s": 0.0},
    "metadata": null}))]
pub struct RequestObject<'a> {
    /// Its id.
    id: &'a str,
    /// Function it runs.
    function: &'a str,
    /// Endpoint it was addressed to, when it was.
    endpoint: Option<&'a str>,
    /// Release whose workers run it.
    release_id: &'a str,
    /// Its owner.
    tenant: &'a str,
    /// Where it is in its life.
    state: State,
    /// Current or last attempt; 0 before the first.
    attempt: i64,
    /// -100 to 100, higher goes first.
    priority: i16,
    /// When it was taken in.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When a worker accepted the current or last attempt.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Time>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Time>,
    /// Its latest end.
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline: Option<Time>,
    /// Worker of the current or last attempt.
    worker_id: Option<&'a str>,
    /// What the function returned, up to 64 KiB (4 MiB with `Prefer: bytes=inline`).
    #[schema(value_type = Value)]
    output: Option<OutputValue<'a>>,
    /// Where a larger output is.
    output_url: Option<String>,
    /// Why it failed or was canceled.
    error: Option<ErrorObject<'a>>,
    /// Where the time went; present once it ended.
    timings: Option<Timings>,
    /// What the worker measured.
    metrics: Option<Metrics>,
    /// The client's own JSON.
    #[schema(value_type = Value)]
    metadata: &'a serde_json::Value,
}

/// Why a request failed or was canceled.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorObject<'a> {
    /// One of the codes of error replies.
    code: &'a str,
    /// What kind of failure it was.
    class: ErrorClass,
    /// Text for people.
    message: &'a str,
    /// Failed attempts in order.
    attempts: Vec<AttemptObject<'a>>,
}

/// A failed attempt.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptObject<'a> {
    /// Its number.
    attempt: i64,
    /// Where it ran.
    worker_id: &'a str,
    /// What kind of failure it was.
    class: ErrorClass,
    /// Text for people.
    message: &'a str,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
}

impl<'a> RequestObject<'a> {
    /// The view of a request; `bytes_inline` raises the limit for outputs inside it.
    pub(super) fn new(request: &'a Request, bytes_inline: bool) -> Self {
        let submitted = &request.submitted;
        let ending = request.ending.as_ref();
        let limit = if bytes_inline { INLINE_BYTES_MAX_PREFERRED } else { INLINE_BYTES_MAX };
        let (output, elsewhere) = match ending.and_then(|ending| ending.output.as_ref()) {
            Some(Output::Inline(bytes)) if bytes.is_empty() => (None, false),
            Some(Output::Inline(bytes)) if bytes.len() <= limit => (Some(OutputValue::Shown(AsJson(bytes))), false),
            Some(Output::Inline(_) | Output::Blob(_)) => (None, true),
            None => (None, false),
        };
        Self {
            id: submitted.id.as_str(),
            function: submitted.function.as_str(),
            endpoint: None,
            release_id: &submitted.release_id,
            tenant: &submitted.tenant,
            state: request.state,
            attempt: request.attempt.0,
            priority: submitted.options.priority,
            created_at: Time(submitted.created_at),
            started_at: request.started_at.map(Time),
            ended_at: ending.map(|ending| Time(ending.ended_at)),
            deadline: submitted.options.deadline.map(Time),
            worker_id: request.worker_id.as_deref(),
            output,
            output_url: elsewhere.then(|| format!("/v1/requests/{}/output", submitted.id)),
            error: ending.and_then(|ending| ending.error.as_ref()).map(ErrorObject::new),
            timings: ending.map(|ending| ending.timings),
            metrics: ending.and_then(|ending| ending.metrics),
            metadata: &submitted.metadata,
        }
    }

    /// Appends its JSON. An output that JSON cannot show (a worker may send anything) goes out as
    /// `{"$msgpack": "<base64>"}`.
    pub(super) fn write(mut self, out: &mut Vec<u8>) {
        let start = out.len();
        let raw = self.output.as_ref().map_or(&[][..], |output| output.raw());
        out.reserve(OBJECT_BYTES + raw.len() * 2);
        if serde_json::to_writer(&mut *out, &self).is_err() {
            out.truncate(start);
            self.output = Some(OutputValue::Packed(raw));
            serde_json::to_writer(out, &self).expect("every other field serializes");
        }
    }
}

impl<'a> ErrorObject<'a> {
    fn new(error: &'a RequestError) -> Self {
        Self {
            code: &error.code,
            class: error.class,
            message: &error.message,
            attempts: error.attempts.iter().map(AttemptObject::new).collect(),
        }
    }
}

impl<'a> AttemptObject<'a> {
    /// The view of a failed attempt.
    pub(super) fn new(record: &'a AttemptRecord) -> Self {
        Self {
            attempt: record.attempt,
            worker_id: &record.worker_id,
            class: record.class,
            message: &record.message,
            at: Time(record.at),
        }
    }
}

/// An output inside JSON.
#[derive(Debug)]
pub(super) enum OutputValue<'a> {
    /// As the JSON it stands for.
    Shown(AsJson<'a>),
    /// As its own bytes, because it stands for none.
    Packed(&'a [u8]),
}

impl<'a> OutputValue<'a> {
    fn raw(&self) -> &'a [u8] {
        match self {
            Self::Shown(AsJson(raw)) | Self::Packed(raw) => raw,
        }
    }
}

impl Serialize for OutputValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Shown(value) => value.serialize(serializer),
            Self::Packed(raw) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$msgpack", &STANDARD.encode(raw))?;
                map.end()
            }
        }
    }
}

/// Appends the JSON of an output alone; what JSON cannot show as in [`RequestObject::write`].
pub(super) fn write_output(raw: &[u8], out: &mut Vec<u8>) {
    out.reserve(raw.len() * 2);
    if serde_json::to_writer(&mut *out, &OutputValue::Shown(AsJson(raw))).is_err() {
        out.clear();
        serde_json::to_writer(out, &OutputValue::Packed(raw)).expect("text serializes");
    }
}

#[cfg(test)]
mod tests;
