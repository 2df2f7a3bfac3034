//! What was sent to the worker, what came back, and which rule that breaks.
//!
//! It is told everything in the order in which it happened on the stream. The worker has one send queue, so what it
//! answered to a later message proves that it has handled the earlier ones: that is what [`Ledger::answered`] judges.

mod job;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use gen_worker_proto::pb::{self, worker_message::Msg};

pub(super) use self::job::{Expect, Key};
use self::{
    job::{Job, Now},
    state::States,
};
use super::findings::{Findings, Place};

/// Jobs that are remembered: ten times what a worker remembers of ended ones. What it says of older ones counts as never
/// sent.
const JOBS_MAX: usize = 10_240;

/// Everything known about the worker.
pub(super) struct Ledger {
    jobs: BTreeMap<Key, Job>,
    /// Pairs whose result is waited for.
    open: BTreeSet<Key>,
    /// The newest attempt of each request.
    newest: HashMap<String, i64>,
    /// Counts connections; each has its own order of messages.
    connection: u64,
    /// Frames that came on this connection.
    frames: u64,
    states: States,
    /// First OK output of each call.
    outputs: HashMap<usize, u64>,
    /// Ends of jobs by status.
    pub(super) ends: BTreeMap<&'static str, u64>,
    /// From each cancel that took effect to its result.
    pub(super) cancels: Vec<Duration>,
    pub(super) findings: Findings,
}

impl Ledger {
    pub(super) fn new(place: Place) -> Self {
        Self {
            jobs: BTreeMap::new(),
            open: BTreeSet::new(),
            newest: HashMap::new(),
            connection: 0,
            frames: 0,
            states: States::default(),
            outputs: HashMap::new(),
            ends: BTreeMap::new(),
            cancels: Vec::new(),
            findings: Findings::new(place),
        }
    }

    /// A RunJob goes out. A newer attempt supersedes the older ones.
    pub(super) fn sent(&mut self, key: &Key, expect: Expect) {
        let is_new = !self.jobs.contains_key(key);
        self.jobs.entry(key.clone()).or_insert_with(|| Job::new(expect)).sent();
        if is_new {
            self.open.insert(key.clone());
            self.forget_oldest();
        }
        let newest = self.newest.entry(key.request_id.clone()).or_insert(key.attempt);
        let older = std::mem::replace(newest, key.attempt);
        if older != key.attempt {
            self.open.remove(&Key { attempt: older, ..key.clone() });
        }
    }

    /// A CancelJob for exactly this pair goes out.
    pub(super) fn canceled(&mut self, key: &Key, now: Instant) {
        self.change(key, |job| job.canceled = job.canceled.or(Some(now)));
    }

    /// A CancelJob for another attempt of this pair's request goes out.
    pub(super) fn canceled_beside(&mut self, key: &Key) {
        self.change(key, |job| job.canceled_beside = true);
    }

    /// A Drain goes out.
    pub(super) fn draining(&mut self) {
        self.states.draining = true;
    }

    /// The pair is missing from the Hello and is sent again, to learn whether it was held.
    pub(super) fn probed(&mut self, key: &Key) {
        self.change(key, |job| job.probed = true);
    }

    /// Nothing more is waited for.
    pub(super) fn abandon(&mut self, key: &Key) {
        self.open.remove(key);
    }

    /// A Hello came, and the ack goes out.
    pub(super) fn connected(&mut self, hello: &pb::Hello, worker_id: &str) {
        self.connection += 1;
        self.frames = 0;
        self.states = States::default();
        self.jobs.values_mut().for_each(Job::connected);
        state::check_hello(hello, worker_id, &mut self.findings);
        for listed in &hello.in_flight {
            let key = Key { request_id: listed.request_id.clone(), attempt: listed.attempt };
            match self.jobs.get_mut(&key) {
                Some(job) => job.listed(&key, self.connection, &mut self.findings),
                None => self.findings.violation("W5", format!("Hello.in_flight has {key}, which was never sent")),
            }
        }
    }

    /// A message came after the ack.
    pub(super) fn message(&mut self, message: Msg, at: Instant) {
        let now = Now { connection: self.connection, frames: self.frames, at };
        match message {
            Msg::Hello(_) => self.findings.violation("W1", "a second Hello on one stream"),
            Msg::JobAccepted(accepted) => {
                let key = Key { request_id: accepted.request_id, attempt: accepted.attempt };
                self.with("JobAccepted", &key, |job, findings| job.accepted(&key, now, findings));
                self.silence_older(&key);
            }
            Msg::JobProgress(frame) => {
                self.frames += 1;
                let key = Key { request_id: frame.request_id, attempt: frame.attempt };
                self.with("JobProgress", &key, |job, findings| job.progressed(&key, frame.seq, now, findings));
            }
            Msg::JobResult(result) => self.result(result, now),
            Msg::StateDelta(state) => self.states.state(state, &mut self.findings),
            Msg::FnUnavailable(down) => self.states.unavailable(down),
            Msg::ModelEvent(_) | Msg::FnDegraded(_) => {}
        }
    }

    fn result(&mut self, result: pb::JobResult, now: Now) {
        let key = Key { request_id: result.request_id.clone(), attempt: result.attempt };
        let Some(job) = self.jobs.get_mut(&key) else {
            return self.findings.violation("W5", format!("JobResult of {key}, which was never sent"));
        };
        let Some(ending) = job.ended(&key, &result, now, &mut self.findings) else { return };
        self.open.remove(&key);
        *self.ends.entry(ending.status).or_default() += 1;
        self.cancels.extend(ending.canceled_after);
        if let Some((call, output)) = ending.output
            && *self.outputs.entry(call).or_insert(output) != output
        {
            self.findings.note(format!("call {call}: the same payload gave different outputs"));
        }
        if ending.is_drain_refusal {
            self.states.refused = true;
        }
    }

    /// Since the worker took the newer attempt, nothing of the older ones may come.
    fn silence_older(&mut self, key: &Key) {
        let first = Key { attempt: i64::MIN, ..key.clone() };
        self.jobs.range_mut(first..key.clone()).for_each(|(_, job)| job.silenced = true);
    }

    /// The worker has answered a message that was sent after all others: each RunJob of this connection was handled.
    pub(super) fn answered(&mut self) {
        for (key, job) in self.open.iter().filter_map(|key| self.jobs.get_key_value(key)) {
            job.answered(key, &mut self.findings);
        }
    }

    /// The worker was waited for long enough: what has no result has lost it.
    pub(super) fn lost(&mut self, after: Duration) {
        for key in std::mem::take(&mut self.open) {
            self.findings.violation("W14", format!("{key}: no result within {} s", after.as_secs_f64()));
        }
    }

    /// Pairs whose result is waited for.
    pub(super) fn unsettled(&self) -> Vec<Key> {
        self.open.iter().cloned().collect()
    }

    /// Whether no result is waited for.
    pub(super) fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether this pair has its result.
    pub(super) fn has_result(&self, key: &Key) -> bool {
        self.jobs.get(key).is_some_and(Job::has_result)
    }

    /// Pairs that are waited for and that the Hello of this connection does not have; with whether the worker had
    /// accepted them.
    pub(super) fn unlisted(&self) -> Vec<(Key, bool)> {
        let open = self.open.iter().filter_map(|key| self.jobs.get_key_value(key));
        let missing = open.filter(|(_, job)| !job.is_listed(self.connection));
        missing.map(|(key, job)| (key.clone(), job.is_owned())).collect()
    }

    /// Whether the worker answered a probe of this pair.
    pub(super) fn answered_probe(&self, key: &Key) -> bool {
        self.jobs.get(key).is_some_and(|job| job.accepts_here > 0 || job.has_result())
    }

    /// Whether the worker offers this function now.
    pub(super) fn is_available(&self, function: &str) -> bool {
        self.states.is_available(function)
    }

    /// Why the worker does not offer it, as far as it said.
    pub(super) fn why_unavailable(&self, function: &str) -> Option<&str> {
        self.states.why_unavailable(function)
    }

    fn forget_oldest(&mut self) {
        while self.jobs.len() > JOBS_MAX
            && let Some((key, _)) = self.jobs.pop_first()
        {
            self.open.remove(&key);
            self.newest.remove(&key.request_id);
        }
    }

    fn change(&mut self, key: &Key, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.jobs.get_mut(key) {
            change(job);
        }
    }

    fn with(&mut self, what: &str, key: &Key, act: impl FnOnce(&mut Job, &mut Findings)) {
        match self.jobs.get_mut(key) {
            Some(job) => act(job, &mut self.findings),
            None => self.findings.violation("W5", format!("{what} of {key}, which was never sent")),
        }
    }
}
