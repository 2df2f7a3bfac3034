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
//! A queue that is full, by entries or by bytes of progress, loses the oldest [`Outgoing::Progress`], then an incoming one. Other messages are never refused:
//! the receive loop makes them and must not wait for the writer. There are few: one acceptance per job held, one
//! state per change. Only a repeated acceptance is dropped when nothing fits, since the orchestrator asks again.

mod flushes;
mod message;
mod shared;

use std::collections::VecDeque;

use gen_worker_proto::Pair;

pub(crate) use flushes::Flushes;
pub use message::{EndOutput, JobEnd, Outgoing, Progress};
pub(crate) use shared::{Gate, SharedOutbox};

/// Bodies of queued progress messages, in bytes: one of the largest that the wire takes always fits, and what a worker
/// holds for a slow or absent reader stays far below the memory of a machine.
const PROGRESS_BYTES_MAX: usize = 64 * 1024 * 1024;

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
    /// Queued progress entries, and the bytes of their bodies.
    progress: usize,
    progress_bytes: usize,
    /// Messages handed to a stream so far.
    handed: u64,
    /// Results handed to the current stream, with their number, oldest first.
    unwritten: VecDeque<(u64, JobEnd)>,
    /// Those of them that the spool keeps.
    kept: usize,
    parked: Option<Parked>,
    /// Spool records of results that are written or withdrawn.
    done: Vec<u64>,
}

/// The writer took everything up to `handed` and waits.
#[derive(Clone, Copy, Debug)]
struct Parked {
    handed: u64,
    /// Flushes of the connection counted when the transport asked again; before that, at the mark.
    flushes: u64,
    /// The transport asked for more since: what it took before is in its own queue, and has room on the wire.
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
            progress_bytes: 0,
            handed: 0,
            unwritten: VecDeque::new(),
            kept: 0,
            parked: None,
            done: Vec::new(),
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
        if let Outgoing::Progress(progress) = &message {
            while self.progress > 0 && self.progress_bytes + progress.data.len() > PROGRESS_BYTES_MAX {
                self.drop_oldest_progress();
                pushed = Pushed::Replaced;
            }
        }
        self.count(&message, true);
        self.queue.push_back(message);
        pushed
    }

    /// Whether a progress message would fit without costing another one its place.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bounded < self.entries_max && self.progress_bytes < PROGRESS_BYTES_MAX
    }

    /// Whether at least half of the bound is free.
    #[must_use]
    pub fn is_relaxed(&self) -> bool {
        self.bounded <= self.entries_max / 2 && self.progress_bytes <= PROGRESS_BYTES_MAX / 2
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
            self.count(&message, false);
            self.handed += 1;
            if let Outgoing::Result(end) = &message {
                self.unwritten.push_back((self.handed, end.clone()));
                self.kept += usize::from(end.record.is_some());
            }
            into.push_back(message);
        }
    }

    /// The transport asks for more; `flushes` counts how often it has written out everything it held, and `answered`
    /// after how many of these something came back.
    pub fn asked(&mut self, flushes: u64, answered: u64) {
        if let Some(parked) = self.parked.as_mut().filter(|parked| !parked.asked_again) {
            (parked.asked_again, parked.flushes) = (true, flushes);
        }
        self.settle(answered);
    }

    /// The transport was told that nothing more is ready, having taken everything handed so far.
    pub fn parked(&mut self, flushes: u64) {
        // A mark that covers results stays until it is settled: one that is always replaced would never be.
        let first = self.unwritten.front().map(|(number, _)| *number);
        if self.parked.is_none_or(|parked| first.is_none_or(|first| first > parked.handed)) {
            self.parked = Some(Parked { handed: self.handed, flushes, asked_again: false });
        }
    }

    /// The connection is gone: results that were not written are queued again, first and in order; everything
    /// else that was queued is dropped. Returns how many messages were.
    pub fn disconnected(&mut self, answered: u64) -> usize {
        self.settle(answered);
        self.parked = None;
        let before = self.queue.len();
        let queued = std::mem::take(&mut self.queue);
        let results = queued.into_iter().filter(|message| matches!(message, Outgoing::Result(_)));
        let unwritten = self.unwritten.drain(..).map(|(_, end)| Outgoing::Result(end));
        let again = unwritten.len();
        self.kept = 0;
        self.queue = unwritten.chain(results).collect();
        (self.bounded, self.progress, self.progress_bytes) = (0, 0, 0);
        before + again - self.queue.len()
    }

    /// The other side read the stream to its end, which came after all that was queued: nothing is left to send.
    pub fn all_read(&mut self) {
        self.withdraw(|_| true);
        self.parked = None;
    }

    /// Drops everything queued for `gone`: the pair was superseded.
    pub fn withdraw(&mut self, gone: impl Fn(&Pair) -> bool) {
        let done = &mut self.done;
        let kept = &mut self.kept;
        self.unwritten.retain(|(_, end)| {
            let stays = !gone(&end.pair);
            *kept -= usize::from(!stays && end.record.is_some());
            done.extend(end.record.filter(|_| !stays));
            stays
        });
        self.queue.retain(|message| {
            let stays = !message.pair().is_some_and(&gone);
            if let Outgoing::Result(end) = message {
                done.extend(end.record.filter(|_| !stays));
            }
            stays
        });
        (self.bounded, self.progress, self.progress_bytes) = (0, 0, 0);
        let queue = std::mem::take(&mut self.queue);
        queue.iter().for_each(|message| self.count(message, true));
        self.queue = queue;
    }

    /// Pairs whose result is not known to be written.
    pub fn pending(&self) -> impl Iterator<Item = &Pair> {
        let queued = self.queue.iter().filter_map(|message| match message {
            Outgoing::Result(end) => Some(&end.pair),
            _ => None,
        });
        self.unwritten.iter().map(|(_, end)| &end.pair).chain(queued)
    }

    /// Whether the spool keeps results that were handed over and are not known to be written.
    #[must_use]
    pub fn has_kept(&self) -> bool {
        self.kept > 0
    }

    /// Spool records of the results that were written or withdrawn since the last call.
    pub fn done(&mut self) -> std::vec::Drain<'_, u64> {
        self.done.drain(..)
    }

    /// Forgets results that are written: the transport took them, asked for more, flushed twice since, and something
    /// came back after that. The first of these flushes may have begun before the transport had them to write; the
    /// second cannot. And a connection whose other end is gone takes for minutes what nobody will read.
    fn settle(&mut self, answered: u64) {
        let Some(parked) = self.parked else { return };
        if parked.asked_again && answered >= parked.flushes.saturating_add(2) {
            while self.unwritten.front().is_some_and(|(number, _)| *number <= parked.handed) {
                let record = self.unwritten.pop_front().and_then(|(_, end)| end.record);
                self.kept -= usize::from(record.is_some());
                self.done.extend(record);
            }
            self.parked = None;
        }
    }

    fn drop_oldest_progress(&mut self) {
        let oldest = self.queue.iter().position(|message| matches!(message, Outgoing::Progress(_)));
        if let Some(message) = oldest.and_then(|at| self.queue.remove(at)) {
            self.count(&message, false);
        }
    }

    /// Counts a message in or out.
    fn count(&mut self, message: &Outgoing, up: bool) {
        let add = |count: &mut usize, by: usize| {
            *count = if up { count.saturating_add(by) } else { count.saturating_sub(by) };
        };
        if message.is_bounded() {
            add(&mut self.bounded, 1);
        }
        if let Outgoing::Progress(progress) = message {
            add(&mut self.progress, 1);
            add(&mut self.progress_bytes, progress.data.len());
        }
    }
}

#[cfg(test)]
mod tests;
