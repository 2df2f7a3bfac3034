//! The queue in memory: the twin of the durable one in tests, and the store of requests that asked for
//! `durability = "memory"`. Owns every record; nothing survives the process.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use futures::future::{BoxFuture, ready};
use gen_worker_proto::{FunctionName, RequestId};
use parking_lot::Mutex;

use super::{
    Applied, Change, Enqueued, Filter, LIST_ROWS_MAX, Queue, QueueError,
    fence::{Standing, Verdict, judge},
};
use crate::request::{Ending, NewRequest, Output, Request, State};

/// What a [`MemoryQueue`] may keep.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Ended requests kept; beyond it the ones that ended first are forgotten.
    pub ended_rows_max: usize,
    /// Bytes of payloads and outputs of ended requests kept, likewise.
    pub ended_bytes_max: usize,
}

impl Default for Options {
    /// Enough to look up what happened in the last minutes of a busy pool, and well below what a small machine has.
    fn default() -> Self {
        Self { ended_rows_max: 10_000, ended_bytes_max: 256 * 1024 * 1024 }
    }
}

/// A [`Queue`] that lives in this process only. Every future is ready at once.
#[derive(Debug)]
pub struct MemoryQueue {
    options: Options,
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    closed: bool,
    last_sequence: i64,
    by_id: HashMap<RequestId, i64>,
    rows: BTreeMap<i64, Request>,
    live: BTreeSet<i64>,
    /// Ended rows in the order of their end, with their cost in bytes.
    ended: VecDeque<(i64, usize)>,
    ended_bytes: usize,
    functions: BTreeSet<FunctionName>,
}

impl MemoryQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, records: Mutex::default() }
    }

    /// Runs `work` on the open records; every call of the seam is one such step.
    fn with<T>(&self, work: impl FnOnce(&mut Records) -> T + Send) -> BoxFuture<'_, Result<T, QueueError>>
    where
        T: Send + 'static,
    {
        let mut records = self.records.lock();
        let outcome = if records.closed { Err(QueueError::Closed) } else { Ok(work(&mut records)) };
        Box::pin(ready(outcome))
    }
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Queue for MemoryQueue {
    fn enqueue(&self, requests: Vec<NewRequest>) -> BoxFuture<'_, Result<Vec<Enqueued>, QueueError>> {
        self.with(|records| requests.into_iter().map(|request| records.enqueue(request)).collect())
    }

    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Applied>, QueueError>> {
        self.with(|records| changes.into_iter().map(|change| records.apply(change, &self.options)).collect())
    }

    fn apply_lazily(&self, changes: Vec<Change>) {
        // A closed queue may lose them, so there is nobody to tell.
        drop(self.apply(changes));
    }

    fn get(&self, id: RequestId) -> BoxFuture<'_, Result<Option<Request>, QueueError>> {
        self.with(|records| records.find(&id).cloned())
    }

    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Request>, QueueError>> {
        self.with(|records| records.list(&filter))
    }

    fn unfinished(&self, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Request>, QueueError>> {
        self.with(|records| {
            let above = records.live.range(after.saturating_add(1)..);
            above.take(limit).filter_map(|sequence| records.rows.get(sequence).cloned()).collect()
        })
    }

    fn known_functions(&self) -> BoxFuture<'_, Result<Vec<FunctionName>, QueueError>> {
        self.with(|records| records.functions.iter().cloned().collect())
    }

    fn remember_functions(&self, functions: Vec<FunctionName>) -> BoxFuture<'_, Result<(), QueueError>> {
        self.with(|records| records.functions.extend(functions))
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        self.with(|_| ())
    }

    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        *self.records.lock() = Records { closed: true, ..Records::default() };
        Box::pin(ready(Ok(())))
    }
}

impl Records {
    fn find(&self, id: &RequestId) -> Option<&Request> {
        self.by_id.get(id).and_then(|sequence| self.rows.get(sequence))
    }

    fn enqueue(&mut self, submitted: NewRequest) -> Enqueued {
        if let Some(known) = self.find(&submitted.id) {
            let equal =
                known.submitted.body_digest == submitted.body_digest && known.submitted.tenant == submitted.tenant;
            return if equal { Enqueued::Existing(Box::new(known.clone())) } else { Enqueued::Conflict };
        }
        self.last_sequence += 1;
        let request = Request::arrived(submitted, self.last_sequence);
        self.by_id.insert(request.submitted.id.clone(), request.sequence);
        self.live.insert(request.sequence);
        self.rows.insert(request.sequence, request.clone());
        Enqueued::Created(Box::new(request))
    }

    fn apply(&mut self, change: Change, options: &Options) -> Applied {
        let Some(sequence) = self.by_id.get(&change.pair().request_id) else { return Applied::Stale };
        let Some(request) = self.rows.get_mut(sequence) else { return Applied::Stale };
        if request.state.is_terminal() {
            return Applied::Stale;
        }
        match judge(Standing { state: request.state, attempt: request.attempt }, &change) {
            Verdict::Stale => return Applied::Stale,
            Verdict::Holds => return Applied::Done,
            Verdict::Write => {}
            Verdict::Raise => {
                request.worker_id = None;
                request.assigned_at = None;
                request.started_at = None;
            }
        }
        let ended = write(request, change);
        if ended {
            let cost = cost(request);
            let sequence = request.sequence;
            self.live.remove(&sequence);
            self.ended.push_back((sequence, cost));
            self.ended_bytes += cost;
            self.forget(options);
        }
        Applied::Done
    }

    /// Drops what ended first until the rest is within bounds.
    fn forget(&mut self, options: &Options) {
        while self.ended.len() > options.ended_rows_max || self.ended_bytes > options.ended_bytes_max {
            let Some((sequence, cost)) = self.ended.pop_front() else { return };
            self.ended_bytes -= cost;
            if let Some(request) = self.rows.remove(&sequence) {
                self.by_id.remove(&request.submitted.id);
            }
        }
    }

    fn list(&self, filter: &Filter) -> Vec<Request> {
        let below = filter.before_sequence.unwrap_or(i64::MAX);
        let matching = self.rows.range(..below).rev().map(|(_, request)| request).filter(|request| {
            filter.tenant.as_ref().is_none_or(|tenant| *tenant == request.submitted.tenant)
                && filter.state.is_none_or(|state| state == request.state)
                && filter.function.as_ref().is_none_or(|function| *function == request.submitted.function)
                && filter.since.is_none_or(|since| request.submitted.created_at >= since)
        });
        let page = matching.take(filter.limit.clamp(1, LIST_ROWS_MAX));
        page.map(|request| {
            let mut request = request.clone();
            request.submitted.payload.clear();
            request
        })
        .collect()
    }
}

/// Writes an admitted change; whether it ended the request.
fn write(request: &mut Request, change: Change) -> bool {
    match change {
        Change::Assign { pair, worker_id, at } => {
            request.state = State::Assigned;
            request.attempt = pair.attempt;
            request.worker_id = Some(worker_id);
            request.assigned_at = Some(at);
        }
        Change::Start { at, .. } => {
            request.state = State::Running;
            request.started_at = Some(at);
        }
        Change::Requeue { pair, failure } => {
            request.state = State::Queued;
            request.attempt = pair.attempt;
            request.attempts.extend(failure);
        }
        Change::Cancel { .. } => request.cancel_requested = true,
        Change::Finish { pair, mut ending } => {
            request.cancel_requested = false;
            request.state = ending.state;
            request.attempt = pair.attempt;
            if let Some(placement) = ending.placement.take() {
                request.worker_id = Some(placement.worker_id);
                request.assigned_at = Some(placement.assigned_at);
                request.started_at = placement.started_at;
            }
            request.ending = Some(*ending);
            return true;
        }
    }
    false
}

/// What an ended request costs, in bytes: its two large parts, and a flat part for the rest.
fn cost(request: &Request) -> usize {
    const FLAT: usize = 1_024;
    let output = match &request.ending {
        Some(Ending { output: Some(Output::Inline(bytes)), .. }) => bytes.len(),
        _ => 0,
    };
    FLAT + request.submitted.payload.len() + output
}

#[cfg(test)]
mod tests;
