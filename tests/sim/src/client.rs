//! One client: submits a request until it is accepted, then waits, watches, cancels and repeats itself as planned.

use std::{sync::Arc, time::Duration};

use futures::future::join4;
use gen_worker_orchestrator::{
    pool::{CancelOutcome, SubmitError},
    request::{NewRequest, State, UnixMs},
};

use crate::{clock::pass, reader, scenario::Plan, world::World};

/// How long a client waits before it tries again.
const AGAIN: Duration = Duration::from_millis(250);

/// How long one wait for an end lasts.
const WAIT: Duration = Duration::from_secs(7);

/// How long after the troubles every request has ended: far beyond every retry, window and grace together.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A client and what it shares.
pub(crate) struct Client {
    pub(crate) world: Arc<World>,
    pub(crate) plan: Plan,
}

impl Client {
    /// Does what is planned, to the end of the request.
    pub(crate) async fn run(&self) {
        pass(self.plan.at).await;
        let deadline = self.plan.deadline.map(|after| {
            UnixMs(self.world.wall().0.saturating_add(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)))
        });
        if let Some(patience) = self.plan.impatient {
            let _gone = tokio::time::timeout(patience, self.submit(deadline)).await;
        }
        self.submit(deadline).await;
        join4(self.ends(), self.repeats(deadline), self.cancels(), reader::watches(self)).await;
    }

    fn id(&self) -> &str {
        self.plan.id.as_str()
    }

    /// Whether something is still to be waited for.
    pub(crate) fn is_patient(&self) -> bool {
        let limit = self.world.scenario.trouble + PATIENCE;
        let patient = Duration::from_millis(self.world.trace.now_ms()) < limit;
        self.world.trace.check(patient, || format!("{} never ends", self.id()));
        patient
    }

    /// Submits until it is accepted.
    async fn submit(&self, deadline: Option<UnixMs>) {
        while self.is_patient() {
            let request = self.plan.request(self.world.wall(), deadline);
            match self.try_submit(request).await {
                Some(Ok(())) => return,
                Some(Err(SubmitError::Conflict)) => {
                    self.world.trace.violation(format_args!("{} is in conflict with itself", self.id()));
                    return;
                }
                Some(Err(_)) | None => pass(AGAIN).await,
            }
        }
    }

    /// Submits once; `None` when the orchestrator failed.
    async fn try_submit(&self, request: NewRequest) -> Option<Result<(), SubmitError>> {
        let leader = self.world.leader().await;
        let ended = self.world.outcomes.has_ended(self.id());
        let outcome = leader.handle.submit(vec![request], false).await;
        let trace = &self.world.trace;
        match outcome {
            Ok(mut results) => {
                let result = results.pop()?;
                trace.note(format_args!("{}: submit {:?}", self.id(), result.as_ref().map(|it| it.request().state)));
                Some(result.map(|submitted| {
                    self.world.outcomes.saw(&self.plan, submitted.request(), "submit", ended);
                }))
            }
            Err(error) => {
                trace.note(format_args!("{}: submit failed: {error}", self.id()));
                None
            }
        }
    }

    /// Waits for the end.
    async fn ends(&self) {
        while self.is_patient() {
            let leader = self.world.leader().await;
            let ended = self.world.outcomes.has_ended(self.id());
            match leader.handle.wait(&self.plan.id, WAIT).await {
                Ok(Some(request)) => {
                    if self.world.outcomes.saw(&self.plan, &request, "wait", ended) {
                        return;
                    }
                }
                Ok(None) => {
                    self.world.trace.violation(format_args!("{} was accepted and is unknown", self.id()));
                    return;
                }
                Err(_) => pass(AGAIN).await,
            }
        }
    }

    /// Submits the same again, and somebody else with the same id.
    async fn repeats(&self, deadline: Option<UnixMs>) {
        if let Some(after) = self.plan.again {
            pass(after).await;
            self.submit(deadline).await;
        }
        if let Some(after) = self.plan.thief {
            pass(after).await;
            let mut request = self.plan.request(self.world.wall(), deadline);
            request.body_digest = [7; 32];
            let outcome = self.try_submit(request).await;
            let refused = outcome.as_ref().is_none_or(Result::is_err);
            self.world.trace.check(refused, || format!("{} was taken over", self.id()));
        }
    }

    /// Cancels until somebody answers.
    async fn cancels(&self) {
        let Some(after) = self.plan.cancel else { return };
        pass(after).await;
        let trace = &self.world.trace;
        while self.is_patient() {
            let leader = self.world.leader().await;
            let ended = self.world.outcomes.has_ended(self.id());
            let outcome = leader.handle.cancel(&self.plan.id).await;
            match outcome {
                Ok(CancelOutcome::Canceled(request)) => {
                    trace.note(format_args!("{}: cancelled", self.id()));
                    let over = self.world.outcomes.saw(&self.plan, &request, "cancel", ended);
                    trace.check(over, || format!("{} was cancelled and is {:?}", self.id(), request.state));
                    return;
                }
                Ok(CancelOutcome::Requested(request)) => return self.requested(request.attempt.0, request.state).await,
                Ok(CancelOutcome::AlreadyFinished(request)) => {
                    self.world.outcomes.saw(&self.plan, &request, "cancel", ended);
                    return;
                }
                Ok(CancelOutcome::Unknown) => {
                    trace.violation(format_args!("{} was accepted and cannot be cancelled", self.id()));
                    return;
                }
                Err(_) => pass(AGAIN).await,
            }
        }
    }

    /// An accepted cancel: no further attempt begins, whatever becomes of those that have begun.
    async fn requested(&self, attempt: i64, state: State) {
        let trace = &self.world.trace;
        trace.note(format_args!("{}: cancel requested in attempt {attempt}, {state:?}", self.id()));
        let allowed = self.world.ledger.last_attempt(self.id()).max(attempt);
        self.ends().await;
        let begun = self.world.ledger.last_attempt(self.id());
        trace.check(begun <= allowed, || format!("{}/{begun} began after a cancel in attempt {attempt}", self.id()));
    }
}
