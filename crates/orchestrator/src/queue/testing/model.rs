//! Random sequences of operations against a model: a plain list of records and the rules, written a second time and
//! as simply as possible. An implementation must answer every operation as the model does.

use std::collections::BTreeSet;

use gen_worker_proto::FunctionName;

use super::{Draft, assign, finish_with, function, request_id, requeue, start, succeeded, unsuccessful};
use crate::{
    queue::{Applied, Change, Enqueued, Filter, Queue},
    request::{Ending, Request, State, UnixMs},
};

/// One step. Small numbers on purpose: sequences must hit the same request again and again.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Takes in requests, given as number of the id, variant of the body (tenant and digest) and time.
    Enqueue(Vec<(u8, u8, u8)>),
    /// Changes requests, given as number of the id, kind of change and attempt.
    Apply(Vec<(u8, u8, i64)>),
    /// The same lazily.
    ApplyLazily(Vec<(u8, u8, i64)>),
    /// Reads one.
    Get(u8),
    /// Lists, by state, function, tenant, time and cursor; numbers out of range leave that part of the filter out.
    List(u8, u8, u8, u8, u8),
    /// Reads the unfinished above a sequence.
    Unfinished(u8, u8),
    /// Remembers a function.
    Remember(u8),
}

/// What a queue must hold.
#[derive(Debug, Default)]
pub struct Model {
    rows: Vec<Request>,
    functions: BTreeSet<FunctionName>,
}

/// Runs `operations` on a fresh queue and on a model; the first difference is the error.
///
/// # Errors
/// The operation and the two answers.
///
/// # Panics
/// When the queue fails.
pub async fn check_operations(queue: &dyn Queue, operations: &[Operation]) -> Result<(), String> {
    let mut model = Model::default();
    for (step, operation) in operations.iter().enumerate() {
        let expected = model.run(operation);
        let answer = run(queue, operation).await;
        if answer != expected {
            return Err(format!("step {step}, {operation:?}:\n queue: {answer}\n model: {expected}"));
        }
    }
    Ok(())
}

/// Runs one operation on the queue; the answer as text, so that all kinds compare alike.
async fn run(queue: &dyn Queue, operation: &Operation) -> String {
    let failed = "the queue works";
    match operation {
        Operation::Enqueue(entries) => {
            let batch = entries.iter().map(|entry| draft(*entry).build()).collect();
            let outcomes = queue.enqueue(batch).await.expect(failed);
            format!("{:?}", outcomes.iter().map(outcome).collect::<Vec<_>>())
        }
        Operation::Apply(entries) => {
            let changes = entries.iter().map(|entry| change(*entry)).collect();
            format!("{:?}", queue.apply(changes).await.expect(failed))
        }
        Operation::ApplyLazily(entries) => {
            queue.apply_lazily(entries.iter().map(|entry| change(*entry)).collect());
            // Whatever batch comes next is behind them, and its answer too.
            queue.ready().await.expect(failed);
            String::new()
        }
        Operation::Get(number) => format!("{:?}", queue.get(request_id(&id(*number))).await.expect(failed)),
        Operation::List(..) => format!("{:?}", queue.list(filter(operation)).await.expect(failed)),
        Operation::Unfinished(after, limit) => {
            format!("{:?}", queue.unfinished((*after).into(), (*limit).into()).await.expect(failed))
        }
        Operation::Remember(number) => {
            queue.remember_functions(vec![function(&format!("f{number}"))]).await.expect(failed);
            let mut known = queue.known_functions().await.expect(failed);
            known.sort();
            format!("{known:?}")
        }
    }
}

impl Model {
    fn run(&mut self, operation: &Operation) -> String {
        match operation {
            Operation::Enqueue(entries) => {
                let outcomes: Vec<_> = entries.iter().map(|entry| self.enqueue(*entry)).collect();
                format!("{:?}", outcomes.iter().map(outcome).collect::<Vec<_>>())
            }
            Operation::Apply(entries) => {
                format!("{:?}", entries.iter().map(|entry| self.apply(change(*entry))).collect::<Vec<_>>())
            }
            Operation::ApplyLazily(entries) => {
                for entry in entries {
                    self.apply(change(*entry));
                }
                String::new()
            }
            Operation::Get(number) => {
                let id = request_id(&id(*number));
                format!("{:?}", self.rows.iter().find(|row| row.submitted.id == id))
            }
            Operation::List(..) => format!("{:?}", self.list(&filter(operation))),
            Operation::Unfinished(after, limit) => {
                let live = self.rows.iter().filter(|row| !row.state.is_terminal());
                let above = live.filter(|row| row.sequence > i64::from(*after));
                format!("{:?}", above.take((*limit).into()).collect::<Vec<_>>())
            }
            Operation::Remember(number) => {
                self.functions.insert(function(&format!("f{number}")));
                format!("{:?}", self.functions.iter().collect::<Vec<_>>())
            }
        }
    }

    fn enqueue(&mut self, entry: (u8, u8, u8)) -> Enqueued {
        let new = draft(entry).build();
        if let Some(row) = self.rows.iter().find(|row| row.submitted.id == new.id) {
            let equal = (row.submitted.body_digest, &row.submitted.tenant) == (new.body_digest, &new.tenant);
            return if equal { Enqueued::Existing(Box::new(row.clone())) } else { Enqueued::Conflict };
        }
        let row = Request::arrived(new, i64::try_from(self.rows.len()).expect("few rows") + 1);
        self.rows.push(row.clone());
        Enqueued::Created(Box::new(row))
    }

    fn apply(&mut self, change: Change) -> Applied {
        let pair = change.pair().clone();
        let row = self.rows.iter_mut().find(|row| row.submitted.id == pair.request_id);
        if let Change::Cancel { .. } = change {
            let Some(row) = row.filter(|row| !row.state.is_terminal()) else { return Applied::Stale };
            row.cancel_requested = true;
            return Applied::Done;
        }
        let Some(row) = row.filter(|row| !row.state.is_terminal() && pair.attempt >= row.attempt) else {
            return Applied::Stale;
        };
        let above = pair.attempt > row.attempt;
        let forget = |row: &mut Request| {
            if above {
                (row.worker_id, row.assigned_at, row.started_at) = (None, None, None);
            }
        };
        match change {
            Change::Assign { worker_id, at, .. } if above => {
                row.state = State::Assigned;
                (row.worker_id, row.assigned_at, row.started_at) = (Some(worker_id), Some(at), None);
            }
            Change::Start { at, .. } if !above && row.state == State::Assigned => {
                row.state = State::Running;
                row.started_at = Some(at);
            }
            Change::Start { .. } if !above && row.state == State::Running => {}
            Change::Requeue { failure, .. } if above || row.state != State::Queued => {
                forget(row);
                row.state = State::Queued;
                row.attempts.extend(failure);
            }
            Change::Finish { ending, .. } => {
                forget(row);
                row.state = ending.state;
                row.cancel_requested = false;
                row.ending = Some(*ending);
            }
            _ => return Applied::Stale,
        }
        row.attempt = pair.attempt;
        Applied::Done
    }

    fn list(&self, filter: &Filter) -> Vec<Request> {
        let mut page = Vec::new();
        for row in self.rows.iter().rev() {
            let wanted = filter.tenant.as_deref().is_none_or(|tenant| tenant == row.submitted.tenant)
                && filter.function.as_ref().is_none_or(|function| *function == row.submitted.function)
                && filter.state.is_none_or(|state| state == row.state)
                && filter.since.is_none_or(|since| row.submitted.created_at >= since)
                && filter.before_sequence.is_none_or(|before| row.sequence < before);
            if wanted && page.len() < filter.limit {
                let mut row = row.clone();
                row.submitted.payload.clear();
                page.push(row);
            }
        }
        page
    }
}

fn id(number: u8) -> String {
    format!("r{number}")
}

fn draft((number, variant, time): (u8, u8, u8)) -> Draft {
    let draft = Draft::new(&id(number)).created_at(time.into()).function(&format!("f{}", number % 3));
    match variant % 4 {
        0 | 1 => draft,
        2 => draft.digest(1),
        _ => draft.tenant("t1"),
    }
}

fn change((number, kind, attempt): (u8, u8, i64)) -> Change {
    let id = id(number);
    match kind % 7 {
        0 => assign(&id, attempt),
        1 => start(&id, attempt),
        2 => requeue(&id, attempt),
        3 => super::give_back(&id, attempt),
        6 => super::cancel(&id, attempt),
        4 => finish_with(&id, attempt, unsuccessful(State::Failed)),
        _ => finish_with(&id, attempt, Ending { ended_at: UnixMs(attempt), ..succeeded(attempt) }),
    }
}

fn filter(operation: &Operation) -> Filter {
    let Operation::List(state, function_number, tenant, since, before) = *operation else { return Filter::default() };
    const STATES: [State; 6] =
        [State::Queued, State::Assigned, State::Running, State::Succeeded, State::Failed, State::Canceled];
    Filter {
        state: STATES.get(usize::from(state)).copied(),
        function: (function_number < 3).then(|| function(&format!("f{function_number}"))),
        tenant: match tenant {
            0 => Some("dev".to_owned()),
            1 => Some("t1".to_owned()),
            _ => None,
        },
        since: (since < 32).then(|| UnixMs(since.into())),
        before_sequence: (before < 16).then(|| before.into()),
        limit: 1 + usize::from(state),
    }
}

fn outcome(outcome: &Enqueued) -> String {
    format!("{outcome:?}")
}
