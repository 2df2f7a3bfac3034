//! The table of requests in memory: everything unfinished, and what ended a short while ago. Owned by the owner loop.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use gen_worker_proto::{Attempt, Pair, RequestId};
use tokio::sync::oneshot;

use super::{
    clock::Tick, event::Event, lanes::LaneKey, ring::Ring, roster::WorkerKey, subscription::Publisher,
    views::CancelOutcome,
};
use crate::{
    lifecycle::Life,
    request::{AttemptRecord, Durability, Ending, Request, State, UnixMs},
    scheduler::{Place, Waiting},
};

/// Key of a request within the process: its pool sequence, never used twice.
pub(crate) type Sequence = i64;

/// Hash of our own sequences. They are dense numbers that no client chooses, so spreading the low bits is enough.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SequenceHasher(u64);

impl Hasher for SequenceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i64(i64::from(*byte));
        }
    }

    fn write_i64(&mut self, number: i64) {
        // Odd and close to 2^64 divided by the golden ratio: neighbours land far apart, in the high bits too.
        self.0 = (self.0 ^ number.cast_unsigned()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 ^= self.0 >> 32;
    }
}

/// Hashes sequences.
pub(crate) type SequenceHash = BuildHasherDefault<SequenceHasher>;

/// Answers one wait.
pub(crate) type Waiter = oneshot::Sender<Option<Arc<Request>>>;

/// Answers one cancel.
pub(crate) type Canceler = oneshot::Sender<Option<CancelOutcome>>;

/// One request in memory.
#[derive(Debug)]
pub(crate) struct Live {
    /// As the API shows it, except that `state`, `spot` and the attempt are written into it only when somebody
    /// looks ([`Live::shown`]): most requests change three times before anybody does, and a reader that still holds
    /// the record would make each change a copy.
    pub(crate) request: Arc<Request>,
    /// State as clients see it: a decision that is not on disk yet has not changed it.
    pub(crate) state: State,
    /// Where the current or last attempt is.
    pub(crate) spot: Option<Spot>,
    /// Whether `request` is behind.
    pub(crate) behind: bool,
    pub(crate) life: Life,
    pub(crate) lane: LaneKey,
    /// When the submit came in.
    pub(crate) submitted: Tick,
    /// Times of the current attempt.
    pub(crate) dispatched: Tick,
    pub(crate) accepted: Option<Tick>,
    /// Holds the current attempt.
    pub(crate) worker: Option<WorkerKey>,
    /// Failed the attempt before.
    pub(crate) avoid: Option<WorkerKey>,
    /// How often the current attempt was sent on the current stream.
    pub(crate) sends: u32,
    /// Whether the files of a model did not go with it, because the worker is known to have them.
    pub(crate) is_light: bool,
    /// Models whose files went with it, and their digests.
    pub(crate) carried: Vec<(String, String)>,
    /// What the store knows of the current attempt.
    pub(crate) recorded: Recorded,
    /// Decided, and on its way to the disk.
    pub(crate) decided: Option<Decided>,
    pub(crate) waiters: Vec<Waiter>,
    /// Cancels that wait for the end to be on disk.
    pub(crate) cancelers: Vec<Canceler>,
    /// Cancels that wait for their mark to be on disk.
    pub(crate) asked: Vec<Canceler>,
    pub(crate) ring: Ring,
    pub(crate) subscribers: Vec<Publisher>,
}

/// Where and since when an attempt is on a worker.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) worker_id: Arc<str>,
    pub(crate) assigned_at: UnixMs,
    pub(crate) started_at: Option<UnixMs>,
}

/// What the store was told of the current attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) assigned: bool,
    pub(crate) started: bool,
}

/// A decision that becomes visible once it is on disk.
#[derive(Debug)]
pub(crate) enum Decided {
    Requeue { failure: Option<AttemptRecord>, delay: std::time::Duration },
    Finish(Box<Ending>),
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    by_id: HashMap<RequestId, Sequence>,
    /// Boxed: a table that grows moves pointers.
    entries: HashMap<Sequence, Box<Live>, SequenceHash>,
    /// Ended entries in the order of their end, with what they weigh.
    ended: VecDeque<(Tick, Sequence, usize)>,
    ended_bytes: usize,
}

impl Live {
    pub(crate) fn id(&self) -> &RequestId {
        &self.request.submitted.id
    }

    /// The record, up to date.
    pub(crate) fn shown(&mut self) -> Arc<Request> {
        if std::mem::take(&mut self.behind) {
            let (state, attempt) = (self.state, self.life.attempt());
            bring_up(Arc::make_mut(&mut self.request), state, attempt, self.spot.as_ref());
        }
        Arc::clone(&self.request)
    }

    /// A copy of the record, up to date, without its payload: a row of a list.
    pub(crate) fn row(&self) -> Request {
        let mut row = Request::clone(&self.request);
        row.submitted.payload.clear();
        if self.behind {
            bring_up(&mut row, self.state, self.life.attempt(), self.spot.as_ref());
        }
        row
    }

    pub(crate) fn pair(&self) -> Pair {
        self.pair_of(self.life.attempt())
    }

    pub(crate) fn pair_of(&self, attempt: Attempt) -> Pair {
        Pair { request_id: self.id().clone(), attempt }
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.request.submitted.options.durability == Durability::Durable
    }

    pub(crate) fn place(&self) -> Place {
        Place { priority: std::cmp::Reverse(self.request.submitted.options.priority), sequence: self.request.sequence }
    }

    /// What it wants of the worker it gets.
    pub(crate) fn waiting(&self) -> Waiting {
        let models = &self.request.submitted.options.models;
        let named = || models.iter().map(|model| model.r#ref.clone()).collect();
        Waiting { avoid: self.avoid, models: (!models.is_empty()).then(named) }
    }

    /// Hands an event to the ring and to everyone who listens. Returns how the bytes held changed.
    pub(crate) fn publish(&mut self, event: Event) -> isize {
        self.subscribers.retain(|subscriber| subscriber.publish(event.clone()));
        self.ring.push(event)
    }

    /// Hands an event to everyone who listens now; it is not kept.
    pub(crate) fn publish_passing(&mut self, event: &Event) {
        self.subscribers.retain(|subscriber| subscriber.publish(event.clone()));
    }

    /// What the entry holds in memory once it has ended: its large parts, and a flat part for the rest.
    fn weight(&self) -> usize {
        const FLAT: usize = 1_024;
        let output = match self.request.ending.as_ref().and_then(|ending| ending.output.as_ref()) {
            Some(crate::request::Output::Inline(bytes)) => bytes.len(),
            _ => 0,
        };
        FLAT + self.request.submitted.payload.len() + output + self.ring.bytes()
    }
}

/// Writes what changes with every attempt into a record.
fn bring_up(request: &mut Request, state: State, attempt: Attempt, spot: Option<&Spot>) {
    request.state = state;
    request.attempt = attempt;
    if let Some(spot) = spot {
        request.worker_id = Some(spot.worker_id.to_string());
        request.assigned_at = Some(spot.assigned_at);
        request.started_at = spot.started_at;
    }
}

impl Table {
    pub(crate) fn insert(&mut self, live: Live) {
        let sequence = live.request.sequence;
        self.by_id.insert(live.id().clone(), sequence);
        self.entries.insert(sequence, Box::new(live));
    }

    pub(crate) fn sequence(&self, id: &str) -> Option<Sequence> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn get(&self, sequence: Sequence) -> Option<&Live> {
        self.entries.get(&sequence).map(AsRef::as_ref)
    }

    pub(crate) fn get_mut(&mut self, sequence: Sequence) -> Option<&mut Live> {
        self.entries.get_mut(&sequence).map(AsMut::as_mut)
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Live> {
        self.get(self.sequence(id)?)
    }

    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut Live> {
        self.get_mut(self.sequence(id)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Live> {
        self.entries.values().map(AsRef::as_ref)
    }

    /// Notes that an entry has ended, so that it is forgotten in its time.
    pub(crate) fn note_end(&mut self, sequence: Sequence, now: Tick) {
        if let Some(live) = self.entries.get(&sequence) {
            let weight = live.weight();
            self.ended_bytes += weight;
            self.ended.push_back((now, sequence, weight));
        }
    }

    /// Forgets what ended before `horizon`, and the oldest ends beyond the bounds.
    pub(crate) fn forget(&mut self, horizon: Tick, rows_max: usize, bytes_max: usize) {
        while let Some((at, sequence, weight)) = self.ended.front().copied() {
            if at > horizon && self.ended.len() <= rows_max && self.ended_bytes <= bytes_max {
                break;
            }
            self.ended.pop_front();
            self.ended_bytes -= weight;
            if let Some(live) = self.entries.remove(&sequence) {
                self.by_id.remove(live.id());
            }
        }
    }

    /// When the oldest end was.
    pub(crate) fn oldest_end(&self) -> Option<Tick> {
        self.ended.front().map(|(at, _, _)| *at)
    }
}
