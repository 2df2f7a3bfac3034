//! How requests ended, as everybody saw it. Owns the first sight of every end; every later one has to be the same.

use std::collections::BTreeMap;

use gen_worker_orchestrator::request::{Output, Request, State};
use parking_lot::Mutex;

use crate::{
    handlers::Proof,
    ledger::{Fate, Ledger},
    scenario::Plan,
    trace::Trace,
};

/// An end, in the parts that never change.
#[derive(Clone, Debug, PartialEq)]
struct End {
    state: State,
    attempt: i64,
    output: Option<Output>,
    code: Option<String>,
    ended_at: i64,
}

/// Ends by request.
pub(crate) struct Outcomes {
    ends: Mutex<BTreeMap<String, End>>,
    trace: Trace,
    ledger: Ledger,
}

impl Outcomes {
    pub(crate) fn new(trace: Trace, ledger: Ledger) -> Self {
        Self { ends: Mutex::default(), trace, ledger }
    }

    /// Whether an end of this request was seen.
    pub(crate) fn has_ended(&self, id: &str) -> bool {
        self.ends.lock().contains_key(id)
    }

    /// Looks at a request as `source` shows it; true once it has ended. `ended` says whether an end had been seen
    /// when the call began: an answer may be as old as that.
    pub(crate) fn saw(&self, plan: &Plan, request: &Request, source: &str, ended: bool) -> bool {
        let id = request.submitted.id.as_str();
        let known = self.ends.lock().get(id).cloned();
        let Some(ending) = request.ending.as_ref().filter(|_| request.state.is_terminal()) else {
            let holds = !ended && request.ending.is_none() && !request.state.is_terminal();
            self.trace.check(holds, || format!("{source}: {id} is {:?} after {known:?}", request.state));
            return false;
        };
        let end = End {
            state: request.state,
            attempt: request.attempt.0,
            output: ending.output.clone(),
            code: ending.error.as_ref().map(|error| error.code.clone()),
            ended_at: ending.ended_at.0,
        };
        match known {
            Some(known) => self.trace.check(known == end, || format!("{source}: {id} is {end:?} after {known:?}")),
            None => {
                self.trace.note(format_args!("{source}: {id}/{} is {:?} {:?}", end.attempt, end.state, end.code));
                self.judge(plan, request, &end);
                self.ends.lock().insert(id.to_owned(), end);
            }
        }
        true
    }

    /// Whether a request succeeded.
    pub(crate) fn succeeded(&self, id: &str) -> bool {
        self.ends.lock().get(id).is_some_and(|end| end.state == State::Succeeded)
    }

    /// Ends by state.
    pub(crate) fn count(&self, state: State) -> usize {
        self.ends.lock().values().filter(|end| end.state == state).count()
    }

    /// Looks for attempts that began after the one that succeeded. An attempt whose dispatch a crash forgot may be
    /// above the one in which a request was cancelled or ran out of time, but never above a success.
    pub(crate) fn check_attempts(&self) {
        for (id, end) in self.ends.lock().iter().filter(|(_, end)| end.state == State::Succeeded) {
            let begun = self.ledger.last_attempt(id);
            self.trace.check(begun <= end.attempt, || format!("{id} succeeded at {} and ran {begun}", end.attempt));
        }
    }

    /// Whether a request may have ended like this at all.
    fn judge(&self, plan: &Plan, request: &Request, end: &End) {
        let id = plan.id.as_str();
        // The record of the last failure is part of the ending; the store keeps it there alone.
        let error = request.ending.as_ref().and_then(|ending| ending.error.as_ref());
        let records = error.map_or(&request.attempts, |error| &error.attempts);
        let attempts: Vec<i64> = records.iter().map(|record| record.attempt).collect();
        let most = usize::from(plan.options.max_attempts);
        let in_order = attempts.is_sorted_by(|a, b| a < b) && attempts.last().is_none_or(|last| *last <= end.attempt);
        self.trace.check(in_order && attempts.len() <= most, || format!("{id} failed {attempts:?} of {most} times"));
        let possible = match (end.state, end.code.as_deref()) {
            (State::Succeeded, None) => !matches!(plan.function, "wrong" | "broken" | "panicking"),
            (State::Canceled, Some("canceled")) => plan.cancel.is_some(),
            (State::Failed, Some("invalid")) => plan.function == "wrong",
            (State::Failed, Some("failed")) => plan.function == "panicking",
            (State::Failed, Some("retries_exhausted")) => attempts.len() == most,
            (State::Failed, Some("deadline_exceeded")) => plan.is_timed(),
            _ => false,
        };
        self.trace.check(possible, || format!("{id} ({}) ended as {end:?} of {most}: {error:?}", plan.function));
        if end.state == State::Succeeded && plan.function != "stream" {
            self.prove(plan, request, end);
        }
    }

    /// A result is that of the one execution that the current attempt had.
    fn prove(&self, plan: &Plan, request: &Request, end: &End) {
        let id = plan.id.as_str();
        let proof = match &end.output {
            Some(Output::Inline(bytes)) => rmp_serde::from_slice::<Proof>(bytes).ok(),
            _ => None,
        };
        let Some(proof) = proof else {
            self.trace.violation(format_args!("{id} succeeded with {:?}", end.output));
            return;
        };
        let execution = self.ledger.execution(proof.execution);
        let holds = execution.as_ref().is_some_and(|execution| {
            (proof.request.as_str(), proof.attempt) == (id, end.attempt)
                && (execution.request.as_str(), execution.attempt) == (id, end.attempt)
                && execution.fate == Fate::Returned
                && request.worker_id.as_deref() == Some(&*execution.worker_id)
        });
        self.trace.check(holds, || {
            format!("{id}/{} on {:?} ended with {proof:?} of {execution:?}", end.attempt, request.worker_id)
        });
    }
}
