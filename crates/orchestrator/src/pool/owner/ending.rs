//! Endings: what a request shows once it is over, and where its time went (P-7, P-8).

use super::Owner;
use crate::{
    lifecycle::End,
    pool::{clock::Tick, live::Live},
    request::{AttemptRecord, Ending, ErrorClass, Metrics, Output, Placement, Request, RequestError, Timings},
};

/// What came with the message that ended an attempt.
#[derive(Debug, Default)]
pub(super) struct Detail {
    pub(super) message: String,
    pub(super) output: Option<Output>,
    pub(super) metrics: Option<Metrics>,
    /// Least pause before the next attempt.
    pub(super) pause: std::time::Duration,
}

impl Detail {
    /// A detail that is only a text.
    pub(super) fn text(message: &str) -> Self {
        Self { message: message.to_owned(), ..Self::default() }
    }
}

impl Owner {
    /// The record of the attempt that just failed.
    pub(super) fn attempt_record(&self, live: &Live, class: ErrorClass, message: &str) -> AttemptRecord {
        AttemptRecord {
            attempt: live.life.attempt().0,
            worker_id: live.spot.as_ref().map(|spot| spot.worker_id.to_string()).unwrap_or_default(),
            class,
            message: message.to_owned(),
            at: self.clock.unix(self.now),
        }
    }

    /// The ending of a live request.
    pub(super) fn ending(&self, live: &Live, end: End, failure: Option<ErrorClass>, detail: Detail) -> Ending {
        let message = if detail.message.is_empty() { default_message(end).to_owned() } else { detail.message };
        let error = end.error().map(|(code, class)| {
            let mut attempts = live.request.attempts.clone();
            attempts.extend(failure.map(|class| self.attempt_record(live, class, &message)));
            RequestError { code: code.to_owned(), class, message, attempts }
        });
        Ending {
            state: end.state(),
            output: if end == End::Succeeded { detail.output } else { None },
            error,
            timings: timings(live, detail.metrics, self.now),
            metrics: detail.metrics,
            ended_at: self.clock.unix(self.now),
            placement: live.spot.as_ref().map(|spot| Placement {
                worker_id: spot.worker_id.to_string(),
                assigned_at: spot.assigned_at,
                started_at: spot.started_at,
            }),
        }
    }

    /// The ending of a stored request that may not run because its id is taken in memory.
    pub(super) fn ending_of_row(&self, request: &Request) -> Ending {
        Ending {
            state: End::Canceled.state(),
            output: None,
            error: Some(RequestError {
                code: "canceled".to_owned(),
                class: ErrorClass::Canceled,
                message: "request id is taken by another request".to_owned(),
                attempts: request.attempts.clone(),
            }),
            timings: Timings::default(),
            metrics: None,
            ended_at: self.clock.unix(self.now),
            placement: None,
        }
    }
}

fn default_message(end: End) -> &'static str {
    match end {
        End::Succeeded => "",
        End::Invalid => "invalid input",
        End::Failed => "function failed",
        End::RetriesExhausted(ErrorClass::Lost) => "worker was lost",
        End::RetriesExhausted(_) => "every attempt failed",
        End::Canceled => "canceled",
        End::Deadline => "deadline exceeded",
        End::NoWorker => "no worker can run this function",
    }
}

/// Splits the time from submit to now. Our own clock says when the attempt was sent, accepted and over; how the time
/// on the worker is split comes from its metrics, cut so that the parts add up.
fn timings(live: &Live, metrics: Option<Metrics>, now: Tick) -> Timings {
    let total_ms = now.ms_since(live.submitted);
    if live.life.attempt().0 == 0 || live.spot.is_none() {
        return Timings { queue_ms: total_ms, total_ms, ..Timings::default() };
    }
    let dispatched = live.dispatched.max(live.submitted);
    let accepted = live.accepted.unwrap_or(dispatched).max(dispatched);
    let on_worker = now.ms_since(accepted);
    let (runtime_ms, wait_ms) = metrics.map_or((0, 0), |metrics| (metrics.runtime_ms, metrics.queue_ms));
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a job are far below 2^52")]
    let (runtime_ms, wait_ms) = (runtime_ms.max(0) as f64, wait_ms.max(0) as f64);
    let run_ms = runtime_ms.min(on_worker);
    let slot_wait_ms = wait_ms.min(on_worker - run_ms);
    Timings {
        queue_ms: dispatched.ms_since(live.submitted),
        dispatch_ms: accepted.ms_since(dispatched),
        download_ms: 0.0,
        load_ms: 0.0,
        slot_wait_ms,
        run_ms,
        upload_ms: on_worker - run_ms - slot_wait_ms,
        total_ms,
    }
}
