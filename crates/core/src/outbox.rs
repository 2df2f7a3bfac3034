//! The send queue as a pure policy: the wire contract, section 4.
//!
//! Owns what is queued, and every result that is not known to be written. Has no lock, no task and no clock;
//! [`SharedOutbox`] puts it behind a mutex and wakes the writer.
//!
//! ```text
//!   push ──> queue (bounded; results exempt) ──take──> stream ──flush──> written
//!                │                              │
//!                │                              └── results stay in `unwritten` until the flush
//!   disconnect:  results of `unwritten`, then results of `queue`, are queued again; the rest is dropped
//! ```
//!
//! A full queue loses the oldest [`Outgoing::Progress`], then an incoming one. Other messages are never refused:
//! the receive loop makes them and must not wait for the writer. There are few: one acceptance per job held, one
//! state per change. Only a repeated acceptance is dropped when nothing fits, since the orchestrator asks again.

mod message;
mod shared;

use std::collections::VecDeque;

use gen_worker_proto::Pair;

pub use message::{EndOutput, JobEnd, Outgoing, Progress};
pub(crate) use shared::{Gate, SharedOutbox};

/// What became of a pushed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is queued.
    Queued,
    /// It is queued and the oldest progress message made room for it.
    Replaced,
    /// It is a progress message or a repeated acceptance, and nothing could make room.
    Dropped,
}

/// The queue and the results that are not written yet.
#[derive(Debug)]
pub struct Outbox {
    entries_max: usize,
    queue: VecDeque<Outgoing>,
    /// Queued entries that count towards the bound.
    bounded: usize,
    /// Queued progress entries.
    progress: usize,
    /// Messages handed to a stream so far.
    handed: u64,
    /// Results handed to the current stream, with their number, oldest first.
    unwritten: VecDeque<(u64, JobEnd)>,
    parked: Option<Parked>,
}

/// The writer took everything up to `handed` and waits.
#[derive(Clone, Copy, Debug)]
struct Parked {
    handed: u64,
    /// Flushes of the connection counted at that moment.
    flushes: u64,
    /// The transport asked for more since: what it took before is in its own queue.
    asked_again: bool,
}

impl Outbox {
    /// An empty queue that holds `entries_max` entries besides results, at least one.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self {
            entries_max: entries_max.max(1),
            queue: VecDeque::new(),
            bounded: 0,
            progress: 0,
            handed: 0,
            unwritten: VecDeque::new(),
            parked: None,
        }
    }

    /// Queues a message by the policy above.
    pub fn push(&mut self, message: Outgoing) -> Pushed {
        let mut pushed = Pushed::Queued;
        if message.is_bounded() && self.bounded >= self.entries_max {
            if self.progress > 0 {
                self.drop_oldest_progress();
                pushed = Pushed::Replaced;
            } else if matches!(message, Outgoing::Progress(_) | Outgoing::Accepted { repeated: true, .. }) {
                return Pushed::Dropped;
            }
        }
        self.count(&message, 1);
        self.queue.push_back(message);
        pushed
    }

    /// Whether a progress message would fit without costing another one its place.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bounded < self.entries_max
    }

    /// Whether at least half of the bound is free.
    #[must_use]
    pub fn is_relaxed(&self) -> bool {
        self.bounded <= self.entries_max / 2
    }

    /// Nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Hands over up to `entries` messages in order, remembering the results among them.
    pub fn take(&mut self, entries: usize, into: &mut VecDeque<Outgoing>) {
        for _ in 0..entries {
            let Some(message) = self.queue.pop_front() else { break };
            self.count(&message, -1);
            self.handed += 1;
            if let Outgoing::Result(end) = &message {
                self.unwritten.push_back((self.handed, end.clone()));
            }
            into.push_back(message);
        }
    }

    /// The transport asks for more; `flushes` counts how often it has written out everything it held.
    pub fn asked(&mut self, flushes: u64) {
        if let Some(parked) = &mut self.parked {
            parked.asked_again = true;
        }
        self.settle(flushes);
    }

    /// The transport was told that nothing more is ready, having taken everything handed so far.
    pub fn parked(&mut self, flushes: u64) {
        // An earlier mark for the same messages is the stronger one: a flush may already have followed it.
        if self.parked.is_none_or(|parked| parked.handed != self.handed) {
            self.parked = Some(Parked { handed: self.handed, flushes, asked_again: false });
        }
    }

    /// The connection is gone: results that were not written are queued again, first and in order; everything
    /// else that was queued is dropped. Returns how many messages were.
    pub fn disconnected(&mut self, flushes: u64) -> usize {
        self.settle(flushes);
        self.parked = None;
        let before = self.queue.len();
        let queued = std::mem::take(&mut self.queue);
        let results = queued.into_iter().filter(|message| matches!(message, Outgoing::Result(_)));
        let unwritten = self.unwritten.drain(..).map(|(_, end)| Outgoing::Result(end));
        let again = unwritten.len();
        self.queue = unwritten.chain(results).collect();
        (self.bounded, self.progress) = (0, 0);
        before + again - self.queue.len()
    }

    /// Drops everything queued for `gone`: the pair was superseded.
    pub fn withdraw(&mut self, gone: impl Fn(&Pair) -> bool) {
        self.unwritten.retain(|(_, end)| !gone(&end.pair));
        self.queue.retain(|message| !message.pair().is_some_and(&gone));
        self.bounded = self.queue.iter().filter(|message| message.is_bounded()).count();
        self.progress = self.queue.iter().filter(|message| matches!(message, Outgoing::Progress(_))).count();
    }

    /// Pairs whose result is not known to be written.
    pub fn pending(&self) -> impl Iterator<Item = &Pair> {
        let queued = self.queue.iter().filter_map(|message| match message {
            Outgoing::Result(end) => Some(&end.pair),
            _ => None,
        });
        self.unwritten.iter().map(|(_, end)| &end.pair).chain(queued)
    }

    /// Forgets results that are written: the transport took them, asked for more, and flushed since.
    fn settle(&mut self, flushes: u64) {
        let Some(parked) = self.parked else { return };
        if parked.asked_again && flushes > parked.flushes {
            while self.unwritten.front().is_some_and(|(number, _)| *number <= parked.handed) {
                self.unwritten.pop_front();
            }
            self.parked = None;
        }
    }

    fn drop_oldest_progress(&mut self) {
        let oldest = self.queue.iter().position(|message| matches!(message, Outgoing::Progress(_)));
        if let Some(message) = oldest.and_then(|at| self.queue.remove(at)) {
            self.count(&message, -1);
        }
    }

    fn count(&mut self, message: &Outgoing, by: isize) {
        if message.is_bounded() {
            self.bounded = self.bounded.saturating_add_signed(by);
        }
        if matches!(message, Outgoing::Progress(_)) {
            self.progress = self.progress.saturating_add_signed(by);
        }
    }
}

#[cfg(test)]
mod tests;
