//! What the owner loop does later. Timers are never taken back one by one: whoever fires one checks that it still
//! applies, and those that do not are swept out when there are many.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use gen_worker_proto::{Attempt, limits};

use super::{clock::Tick, live::Sequence, roster::WorkerKey};

/// How long assignments and starts are held before they go to the store: requests that end sooner never write them.
const RECORD_DELAY: Duration = Duration::from_millis(10);

/// Timers held before those that nobody wants are looked for: few enough to keep for ever.
const PRUNE_MIN: usize = 4_096;

/// Something to do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The deadline of a request.
    Deadline(Sequence),
    /// A failed request may be tried again.
    Retry(Sequence),
    /// A worker had its time to end an attempt by itself.
    Overtime(Sequence, Attempt),
    /// A worker had its time to answer a cancel.
    CancelGrace(Sequence, Attempt),
    /// A worker had its time to come back; with the epoch of its absence.
    Away(WorkerKey, u64),
    /// Nobody answered a RunJob.
    Unanswered(Sequence, Attempt),
    /// An assignment or start is old enough to be written.
    Record(Sequence, Attempt),
    /// An answer about a model of this worker has grown old, or an operation is overdue.
    Models(WorkerKey),
}

/// All of them. The two that every request sets have one delay each, so a queue keeps them in order for less than a
/// heap would.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Tick, Timer)>>,
    /// Length of the heap at which it is searched for timers that nobody wants.
    prune_at: usize,
    unanswered: VecDeque<(Tick, Sequence, Attempt)>,
    records: VecDeque<(Tick, Sequence, Attempt)>,
}

impl Timers {
    pub(crate) fn at(&mut self, due: Tick, timer: Timer) {
        self.heap.push(Reverse((due, timer)));
    }

    /// Starts the wait for an answer to a RunJob sent now.
    pub(crate) fn sent(&mut self, now: Tick, sequence: Sequence, attempt: Attempt) {
        self.unanswered.push_back((now.after(limits::DISPATCH_RESEND_INTERVAL), sequence, attempt));
    }

    /// Starts the wait after which something is recorded.
    pub(crate) fn record(&mut self, now: Tick, sequence: Sequence, attempt: Attempt) {
        self.records.push_back((now.after(RECORD_DELAY), sequence, attempt));
    }

    /// Drops timers that nobody wants any more once they may be half of all: deadlines are far off, most requests end
    /// long before, and the heap must follow what is open, not what has been. Costs a constant per timer set.
    pub(crate) fn prune(&mut self, wanted: impl Fn(&Timer) -> bool) {
        if self.heap.len() >= self.prune_at.max(PRUNE_MIN) {
            self.heap.retain(|Reverse((_, timer))| wanted(timer));
            self.prune_at = 2 * self.heap.len();
        }
    }

    /// Drops waits at the front that nobody needs any more, so that the queues hold what is open and little else.
    pub(crate) fn trim(
        &mut self,
        unanswered: impl Fn(Sequence, Attempt) -> bool,
        unrecorded: impl Fn(Sequence, Attempt) -> bool,
    ) {
        trim(&mut self.unanswered, unanswered);
        trim(&mut self.records, unrecorded);
    }

    /// The next one that is due.
    pub(crate) fn pop(&mut self, now: Tick) -> Option<Timer> {
        if let Some((_, sequence, attempt)) = self.unanswered.pop_front_if(|(due, ..)| *due <= now) {
            return Some(Timer::Unanswered(sequence, attempt));
        }
        if let Some((_, sequence, attempt)) = self.records.pop_front_if(|(due, ..)| *due <= now) {
            return Some(Timer::Record(sequence, attempt));
        }
        let Reverse((due, _)) = self.heap.peek()?;
        if *due > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Tick> {
        let front = |queue: &VecDeque<(Tick, Sequence, Attempt)>| queue.front().map(|(due, _, _)| *due);
        let heap = self.heap.peek().map(|Reverse((due, _))| *due);
        [front(&self.unanswered), front(&self.records), heap].into_iter().flatten().min()
    }
}

fn trim(queue: &mut VecDeque<(Tick, Sequence, Attempt)>, open: impl Fn(Sequence, Attempt) -> bool) {
    while queue.front().is_some_and(|(_, sequence, attempt)| !open(*sequence, *attempt)) {
        queue.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::{PRUNE_MIN, Tick, Timer, Timers};

    #[test]
    fn timers_that_nobody_wants_do_not_pile_up() {
        let mut timers = Timers::default();
        let (mut most, wanted) = (0, |timer: &Timer| matches!(timer, Timer::Deadline(n) if n % 1_000 == 0));
        for n in 0..1_000_000 {
            timers.at(Tick(n), Timer::Deadline(n));
            timers.prune(wanted);
            most = most.max(timers.heap.len());
        }
        // The thousand that are wanted, and as many again or a fixed few.
        assert!(most <= PRUNE_MIN + 1_000, "{most}");
        timers.heap.retain(|std::cmp::Reverse((_, timer))| wanted(timer));
        assert_eq!(timers.heap.len(), 1_000, "none that is wanted was lost");
    }
}
