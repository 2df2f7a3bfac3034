//! Metrics in the Prometheus text format, from the counters that the pool schedules by. No labels: nothing here grows
//! with the number of functions, tenants or workers.

use std::fmt::Write as _;

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};

use super::{
    Shared,
    error::{ApiError, ErrorBody},
    extract::Caller,
};
use crate::pool::Counters;

/// Totals since the start and gauges of now, in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "Metrics", content_type = "text/plain", body = String,
        example = "# TYPE gen_worker_requests_submitted_total counter\ngen_worker_requests_submitted_total 3\n"),
    (status = 401, description = "No or bad credentials", body = ErrorBody),
    (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody)))]
pub(super) async fn metrics(State(api): State<Shared>, _caller: Caller) -> Result<Response, ApiError> {
    let text = text(&api.handle.counters());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn text(counters: &Counters) -> String {
    // Taken apart by name, so that a new counter cannot be forgotten here.
    let Counters {
        submitted,
        succeeded,
        failed,
        canceled,
        dispatched,
        resent,
        requeued,
        stale,
        frames,
        superseded,
        refused,
        store_retries,
        queued,
        running,
        workers,
    } = *counters;
    let rows = [
        ("requests_submitted_total", "counter", "Requests taken in.", submitted),
        ("requests_succeeded_total", "counter", "Requests that succeeded.", succeeded),
        ("requests_failed_total", "counter", "Requests that failed.", failed),
        ("requests_canceled_total", "counter", "Requests that were canceled.", canceled),
        ("attempts_dispatched_total", "counter", "Attempts sent to a worker.", dispatched),
        ("attempts_resent_total", "counter", "RunJob messages repeated because nobody answered.", resent),
        ("attempts_requeued_total", "counter", "Attempts that went back to the queue.", requeued),
        ("messages_stale_total", "counter", "Messages dropped because their pair was not current.", stale),
        ("frames_total", "counter", "Stream frames fanned out.", frames),
        ("streams_superseded_total", "counter", "Streams replaced by a newer one of the same worker.", superseded),
        ("streams_refused_total", "counter", "Streams refused before or at Hello.", refused),
        ("store_retries_total", "counter", "Store writes that failed and were tried again.", store_retries),
        ("requests_queued", "gauge", "Requests that wait for a worker.", queued),
        ("requests_running", "gauge", "Requests on a worker.", running),
        ("workers_connected", "gauge", "Workers whose stream is up.", workers),
    ];
    let mut out = String::with_capacity(rows.len() * 160);
    for (name, kind, help, value) in rows {
        write!(out, "# HELP gen_worker_{name} {help}\n# TYPE gen_worker_{name} {kind}\ngen_worker_{name} {value}\n")
            .expect("writing to a string succeeds");
    }
    out
}
