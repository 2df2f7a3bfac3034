//! The conformance suite of the queue seam. Every implementation passes it: ours in their unit tests, others by
//! calling [`queue_conformance`] from theirs, with feature `testing`.
//!
//! Assertions panic: this module is for tests only.

use std::sync::Arc;

use bytes::Bytes;
use gen_worker_proto::{Attempt, FunctionName, Pair, RequestId};

use super::{Change, Queue};
use crate::request::{
    AttemptRecord, Ending, ErrorClass, Metrics, ModelChoice, NewRequest, Options, Output, Placement, RequestError,
    State, Timings, UnixMs,
};

mod model;
#[expect(clippy::panic, reason = "a failed assertion of the suite, in `let ... else` form")]
mod scenarios;

pub use model::{Model, Operation, check_operations};

/// Runs every scenario, each on a fresh, empty queue made by `factory`.
///
/// # Panics
/// When the implementation does not keep the contract of [`crate::queue`].
pub async fn queue_conformance(factory: impl AsyncFn() -> Arc<dyn Queue>) {
    scenarios::a_request_comes_back_as_it_was(factory().await).await;
    scenarios::ids_are_idempotent(factory().await).await;
    scenarios::a_life_ends_once(factory().await).await;
    scenarios::fencing_table(&factory).await;
    scenarios::requeues_keep_failures_in_order(factory().await).await;
    scenarios::endings_come_back_as_they_were(factory().await).await;
    scenarios::a_raise_forgets_the_attempt_before(factory().await).await;
    scenarios::placements_are_taken_over(factory().await).await;
    scenarios::listing_is_newest_first_and_stable(factory().await).await;
    scenarios::listing_filters(factory().await).await;
    scenarios::unfinished_is_oldest_first_and_paged(factory().await).await;
    scenarios::functions_are_remembered(factory().await).await;
    scenarios::lazy_changes_come_before_later_batches(factory().await).await;
    scenarios::concurrent_callers_are_all_answered(factory().await).await;
    scenarios::a_closed_queue_says_so(factory().await).await;
}

/// Builds requests for tests.
#[derive(Clone, Debug)]
pub struct Draft(NewRequest);

impl Draft {
    /// A small request of function `echo` and tenant `dev`, with defaults everywhere.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(NewRequest {
            id: request_id(id),
            function: function("echo"),
            tenant: "dev".to_owned(),
            release_id: "dev".to_owned(),
            payload: Bytes::from_static(b"\x80"),
            body_digest: [7; 32],
            options: Options::default(),
            metadata: serde_json::Value::Null,
            created_at: UnixMs(1_000),
        })
    }

    /// Another function.
    #[must_use]
    pub fn function(mut self, name: &str) -> Self {
        self.0.function = function(name);
        self
    }

    /// Another tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        tenant.clone_into(&mut self.0.tenant);
        self
    }

    /// Another payload.
    #[must_use]
    pub fn payload(mut self, payload: Bytes) -> Self {
        self.0.payload = payload;
        self
    }

    /// Another body digest, 32 times this byte.
    #[must_use]
    pub fn digest(mut self, byte: u8) -> Self {
        self.0.body_digest = [byte; 32];
        self
    }

    /// Another time of arrival.
    #[must_use]
    pub fn created_at(mut self, ms: i64) -> Self {
        self.0.created_at = UnixMs(ms);
        self
    }

    /// Nothing left at its default.
    #[must_use]
    pub fn rich(mut self) -> Self {
        let model = serde_json::json!({"slot": "unet", "ref": "a/b", "loras": [{"ref": "c/d", "weight": -0.1}]});
        let model: ModelChoice = serde_json::from_value(model).expect("it is a model choice");
        self.0.options = Options {
            timeout_ms: 5,
            deadline: Some(UnixMs(9)),
            priority: -100,
            max_attempts: 10,
            preemptible: true,
            models: vec![model],
            ..Options::default()
        };
        self.0.metadata =
            serde_json::json!({"text": "\u{0}ü", "float": 0.1, "large": u64::MAX, "list": [null, [], {}]});
        self
    }

    /// The request.
    #[must_use]
    pub fn build(self) -> NewRequest {
        self.0
    }
}

/// An id for tests.
#[must_use]
pub fn request_id(id: &str) -> RequestId {
    RequestId::parse(id).expect("tests use short ids")
}

/// A function name for tests.
#[must_use]
pub fn function(name: &str) -> FunctionName {
    FunctionName::parse(name).expect("tests use plain names")
}

/// A pair for tests.
#[must_use]
pub fn pair(id: &str, attempt: i64) -> Pair {
    Pair { request_id: request_id(id), attempt: Attempt(attempt) }
}

/// An assignment to worker `w<attempt>` at time `10 * attempt`.
#[must_use]
pub fn assign(id: &str, attempt: i64) -> Change {
    Change::Assign { pair: pair(id, attempt), worker_id: format!("w{attempt}"), at: UnixMs(attempt.saturating_mul(10)) }
}

/// A start at time `10 * attempt + 1`.
#[must_use]
pub fn start(id: &str, attempt: i64) -> Change {
    Change::Start { pair: pair(id, attempt), at: UnixMs(attempt.saturating_mul(10).saturating_add(1)) }
}

/// A requeue after a failure.
#[must_use]
pub fn requeue(id: &str, attempt: i64) -> Change {
    Change::Requeue { pair: pair(id, attempt), failure: Some(failure(attempt)) }
}

/// A requeue of an attempt that was given back.
#[must_use]
pub fn give_back(id: &str, attempt: i64) -> Change {
    Change::Requeue { pair: pair(id, attempt), failure: None }
}

/// A client's wish to cancel.
#[must_use]
pub fn cancel(id: &str, attempt: i64) -> Change {
    Change::Cancel { pair: pair(id, attempt) }
}

/// A success with a small output.
#[must_use]
pub fn finish(id: &str, attempt: i64) -> Change {
    finish_with(id, attempt, succeeded(attempt))
}

/// An end of one's choice.
#[must_use]
pub fn finish_with(id: &str, attempt: i64, ending: Ending) -> Change {
    Change::Finish { pair: pair(id, attempt), ending: Box::new(ending) }
}

/// The record of a failed attempt.
#[must_use]
pub fn failure(attempt: i64) -> AttemptRecord {
    AttemptRecord {
        attempt,
        worker_id: format!("w{attempt}"),
        class: ErrorClass::Retryable,
        message: format!("attempt {attempt} failed"),
        at: UnixMs(attempt),
    }
}

/// A success with an inline output and everything measured.
#[must_use]
pub fn succeeded(attempt: i64) -> Ending {
    Ending {
        state: State::Succeeded,
        output: Some(Output::Inline(Bytes::copy_from_slice(&attempt.to_be_bytes()))),
        error: None,
        timings: Timings { queue_ms: 0.1, run_ms: 1.0 / 3.0, total_ms: 0.1 + 1.0 / 3.0, ..Timings::default() },
        metrics: Some(Metrics { runtime_ms: 3, output_media_duration_s: 1.5, ..Metrics::default() }),
        ended_at: UnixMs(i64::MAX),
        placement: None,
    }
}

/// A failure, or a cancel, without measurements.
#[must_use]
pub fn unsuccessful(state: State) -> Ending {
    Ending {
        state,
        output: None,
        error: Some(RequestError {
            code: "failed".to_owned(),
            class: ErrorClass::Fatal,
            message: "it did not work".to_owned(),
            attempts: vec![failure(1), failure(2)],
        }),
        timings: Timings::default(),
        metrics: None,
        ended_at: UnixMs(77),
        placement: None,
    }
}

/// Where an attempt ran.
#[must_use]
pub fn placement(worker_id: &str) -> Placement {
    Placement { worker_id: worker_id.to_owned(), assigned_at: UnixMs(101), started_at: Some(UnixMs(102)) }
}
