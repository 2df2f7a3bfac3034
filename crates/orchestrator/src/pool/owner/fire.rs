//! Timers: what is still true of them when they are due, and what follows.

use std::time::Duration;

use gen_worker_proto::{Attempt, limits};
use tracing::warn;

use super::{Owner, ending::Detail};
use crate::{
    lifecycle::{Happened, Phase},
    pool::{
        clock::Tick,
        lanes::Lane,
        live::{Sequence, Table},
        timers::Timer,
        view::add,
    },
    queue::Change,
};

/// Whether an attempt was sent and nobody has answered.
pub(super) fn is_unanswered(table: &Table, sequence: Sequence, attempt: Attempt) -> bool {
    table.get(sequence).is_some_and(|live| live.life.phase() == Phase::Assigned && live.life.attempt() == attempt)
}

/// Whether an attempt is on a worker and the store does not know all of it.
pub(super) fn is_unrecorded(table: &Table, sequence: Sequence, attempt: Attempt) -> bool {
    table.get(sequence).is_some_and(|live| live.life.is_on_worker() && live.life.attempt() == attempt)
}

impl Owner {
    pub(super) fn fire(&mut self) {
        let mut records = Vec::new();
        while let Some(timer) = self.timers.pop(self.now) {
            match timer {
                Timer::Deadline(sequence) => {
                    // Sequences of memory requests are used again: the deadline is looked up, not remembered.
                    let passed = self.table.get(sequence).is_some_and(|live| {
                        live.request.submitted.options.deadline.is_some_and(|at| self.clock.tick(at) <= self.now)
                    });
                    if passed {
                        self.happen(sequence, Happened::Deadline, Detail::default());
                    }
                }
                Timer::Retry(sequence) => self.enter(sequence),
                Timer::Overtime(sequence, attempt) => {
                    if self.overtime_of(sequence).is_some_and(|due| due <= self.now) {
                        warn!(attempt = attempt.0, "a worker did not end an attempt that is out of time");
                        self.happen(sequence, Happened::Overtime(attempt), Detail::default());
                    }
                }
                Timer::CancelGrace(sequence, attempt) => {
                    self.happen(sequence, Happened::CancelOverdue(attempt), Detail::default());
                }
                Timer::Away(worker, epoch) => self.stayed_away(worker, epoch),
                Timer::Models(worker) => self.tend_due(worker),
                Timer::Unanswered(sequence, attempt) => self.unanswered(sequence, attempt),
                Timer::Record(sequence, attempt) => self.record(sequence, attempt, &mut records),
            }
        }
        if !records.is_empty() {
            self.store.apply_lazily(records);
        }
    }

    /// Starts the wait for the end of an attempt that a worker accepted, when its handler has a time limit.
    pub(super) fn watch_overtime(&mut self, sequence: Sequence) {
        if let (Some(due), Some(live)) = (self.overtime_of(sequence), self.table.get(sequence)) {
            self.timers.at(due, Timer::Overtime(sequence, live.life.attempt()));
        }
    }

    /// When the current attempt has taken too long (O15); none without a limit, or before it was accepted.
    fn overtime_of(&self, sequence: Sequence) -> Option<Tick> {
        let live = self.table.get(sequence)?;
        let timeout = u64::try_from(live.request.submitted.options.timeout_ms).ok().filter(|timeout| *timeout > 0)?;
        let allowed = Duration::from_millis(timeout).saturating_add(self.options.overtime);
        // After a restart its worker has the time to come back and tell how it ended.
        let earliest = self.recovered.after(self.options.reconnect_window);
        (live.life.phase() == Phase::Running).then_some(live.accepted?.after(allowed).max(earliest))
    }

    /// Whether a timer can still have something to do.
    pub(super) fn is_wanted(&self, timer: &Timer) -> bool {
        let on_worker = |sequence: Sequence, attempt: Attempt| {
            self.table.get(sequence).is_some_and(|live| live.life.is_on_worker() && live.life.attempt() == attempt)
        };
        match timer {
            Timer::Deadline(sequence) => self.table.get(*sequence).is_some_and(|live| !live.state.is_terminal()),
            Timer::Retry(sequence) => self.table.get(*sequence).is_some_and(|live| live.life.phase() == Phase::Queued),
            Timer::Overtime(sequence, attempt)
            | Timer::CancelGrace(sequence, attempt)
            | Timer::Unanswered(sequence, attempt)
            | Timer::Record(sequence, attempt) => on_worker(*sequence, *attempt),
            Timer::Models(worker) => self.roster.get(*worker).is_some_and(|worker| worker.tended_at.is_some()),
            Timer::Away(worker, epoch) => {
                self.roster.get(*worker).is_some_and(|worker| worker.link.is_none() && worker.epoch == *epoch)
            }
        }
    }

    /// Puts a queued request into its lane; ends it when its function was disabled everywhere meanwhile.
    pub(super) fn enter(&mut self, sequence: Sequence) {
        let Some(live) = self.table.get(sequence).filter(|live| live.life.phase() == Phase::Queued) else { return };
        let lane = live.lane;
        self.lanes.enter(lane, live.place(), live.waiting());
        self.plan_needed = true;
        self.awaits_load(lane);
        if self.lanes.get(lane).is_some_and(Lane::is_dead) && !self.somebody_may_come() {
            self.happen(sequence, Happened::NoWorker, Detail::default());
        }
    }

    /// Nobody answered a RunJob for five seconds (O10).
    fn unanswered(&mut self, sequence: Sequence, attempt: Attempt) {
        if !is_unanswered(&self.table, sequence, attempt) {
            return;
        }
        let Some(live) = self.table.get(sequence) else { return };
        let connected = live.worker.and_then(|key| self.roster.get(key)).is_some_and(|worker| worker.link.is_some());
        if !connected || live.life.cancel_requested() {
            // The next Hello, the reconnect window or the grace of the cancel decides.
            return;
        }
        if live.sends < limits::DISPATCH_SENDS_MAX {
            add(&self.view.totals.resent);
            self.send_run_job(sequence);
        } else {
            self.happen(sequence, Happened::Lost(attempt), Detail::text("worker did not answer"));
        }
    }

    /// Adds what the store does not know of an attempt.
    fn record(&mut self, sequence: Sequence, attempt: Attempt, records: &mut Vec<Change>) {
        if !is_unrecorded(&self.table, sequence, attempt) {
            return;
        }
        let Some(live) = self.table.get_mut(sequence) else { return };
        let pair = live.pair();
        let Some(spot) = &live.spot else { return };
        if !live.recorded.assigned {
            live.recorded.assigned = true;
            records.push(Change::Assign {
                pair: pair.clone(),
                worker_id: spot.worker_id.to_string(),
                at: spot.assigned_at,
            });
        }
        if let (Phase::Running, Some(at), false) = (live.life.phase(), spot.started_at, live.recorded.started) {
            live.recorded.started = true;
            records.push(Change::Start { pair, at });
        }
    }

    /// Writes the assignment of an attempt that is sent only then.
    pub(super) fn record_now(&mut self, sequence: Sequence, attempt: Attempt) {
        let mut records = Vec::new();
        self.record(sequence, attempt, &mut records);
        self.work.changes.extend(records);
    }

    /// Writes everything that is held back: the process is about to end.
    pub(super) fn record_all(&mut self) {
        let on_workers: Vec<_> = self
            .table
            .iter()
            .filter(|live| live.is_durable() && live.life.is_on_worker())
            .map(|live| (live.request.sequence, live.life.attempt()))
            .collect();
        let mut records = Vec::new();
        for (sequence, attempt) in on_workers {
            self.record(sequence, attempt, &mut records);
        }
        self.work.changes.extend(records);
    }
}
