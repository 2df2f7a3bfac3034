//! What happens to requests: one door, [`Owner::happen`], through which everything goes into the machine, and what
//! its steps mean here.

use std::{sync::Arc, time::Duration};

use gen_worker_proto::Attempt;
use tracing::{debug, warn};

use super::{Owner, ending::Detail};
use crate::{
    lifecycle::{End, Happened, Phase, Step},
    pool::{
        event::Event,
        live::{Decided, Live, Sequence, Spot},
        options::RETRY_PAUSE_MAX,
        roster::WorkerKey,
        subscription::subscription,
        timers::Timer,
        view::add,
        views::CancelOutcome,
    },
    queue::Change,
    request::{Ending, ErrorClass, State},
    session::report::{Frame, RawPair, ResultReport, Verdict},
};

/// Pause before a request that a busy worker gave back is placed again.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

impl Owner {
    /// Feeds one happening to a request and does what follows.
    pub(super) fn happen(&mut self, sequence: Sequence, happened: Happened, detail: Detail) -> Step {
        let Some(live) = self.table.get_mut(sequence) else { return Step::Stale };
        let before = live.life.phase();
        let step = live.life.step(happened);
        match step {
            Step::Nothing => {}
            Step::Stale => add(&self.view.totals.stale),
            Step::Started => self.started(sequence),
            Step::AskWorker => self.ask_worker(sequence),
            Step::Requeue { failure, abort } => self.requeue(sequence, failure, abort, detail),
            Step::Finish { end, failure, abort } => self.finish(sequence, before, end, failure, abort, detail),
            Step::Queue => self.requeued(sequence),
            Step::Announce => self.announce(sequence),
        }
        step
    }

    /// A worker accepted an attempt.
    pub(super) fn accepted(&mut self, worker: WorkerKey, pair: &RawPair) {
        if let Some(sequence) = self.held(worker, pair) {
            self.happen(sequence, Happened::Accepted(pair.attempt), Detail::default());
        }
    }

    /// A worker finished an attempt.
    pub(super) fn result(&mut self, worker: WorkerKey, report: ResultReport) {
        let Some(sequence) = self.held(worker, &report.pair) else { return };
        let attempt = report.pair.attempt;
        let verdict = match report.verdict {
            Verdict::Status(status) => Verdict::Status(self.models_after(sequence, status, &report.message)),
            verdict => verdict,
        };
        let mut detail =
            Detail { message: report.message, output: report.output, metrics: report.metrics, pause: Duration::ZERO };
        let happened = match verdict {
            Verdict::Status(status) => Happened::Result(attempt, status),
            Verdict::Draining => {
                self.leaves(worker);
                Happened::Returned(attempt)
            }
            Verdict::Busy => {
                detail.pause = BUSY_PAUSE;
                Happened::Returned(attempt)
            }
        };
        self.happen(sequence, happened, detail);
        if report.verdict == Verdict::Busy {
            self.learn_limit(sequence, worker);
        }
    }

    /// A worker sent a frame of an output stream (O14).
    pub(super) fn frame(&mut self, worker: WorkerKey, pair: &RawPair, frame: Frame) {
        let Some(sequence) = self.held(worker, pair) else { return };
        if self.table.get(sequence).is_some_and(|live| live.life.phase() == Phase::Assigned) {
            // A frame says as much as an acceptance that got lost with an old stream.
            self.happen(sequence, Happened::Accepted(pair.attempt), Detail::default());
        }
        let Some(live) = self.table.get_mut(sequence) else { return };
        let id = live.ring.next_id(pair.attempt.0);
        let grown = live.publish(match frame {
            Frame::Chunk { content_type, data } => Event::Chunk { id, content_type, data },
            Frame::Progress(value) => Event::Progress { id, value },
            Frame::Log(value) => Event::Log { id, value },
        });
        self.account(sequence, grown);
        add(&self.view.totals.frames);
    }

    /// The request of a pair that is current and held by this worker (O7).
    fn held(&mut self, worker: WorkerKey, pair: &RawPair) -> Option<Sequence> {
        let found = self.table.find(&pair.request_id).filter(|live| {
            live.worker == Some(worker) && live.life.is_on_worker() && live.life.attempt() == pair.attempt
        });
        if found.is_none() {
            add(&self.view.totals.stale);
            debug!(request = pair.request_id, attempt = pair.attempt.0, "message for a pair that is not current");
        }
        found.map(|live| live.request.sequence)
    }

    fn started(&mut self, sequence: Sequence) {
        let at = self.clock.unix(self.now);
        let Some(live) = self.table.get_mut(sequence) else { return };
        live.accepted = Some(self.now);
        let attempt = live.life.attempt();
        live.state = State::Running;
        live.behind = true;
        if let Some(spot) = &mut live.spot {
            spot.started_at = Some(at);
        }
        let worker_id = live.spot.as_ref().map(|spot| Arc::clone(&spot.worker_id));
        let id = live.ring.next_id(attempt.0);
        let grown = live.publish(Event::State { id, state: State::Running, worker_id, at });
        if live.is_durable() && live.recorded.assigned {
            self.timers.record(self.now, sequence, attempt);
        }
        self.account(sequence, grown);
        self.watch_overtime(sequence);
    }

    /// Tells the worker of a request to stop it, and waits for its answer no longer than the grace.
    pub(super) fn ask_worker(&mut self, sequence: Sequence) {
        let Some(live) = self.table.get(sequence) else { return };
        let attempt = live.life.attempt();
        let connected = live.worker.filter(|key| self.roster.get(*key).is_some_and(|worker| worker.link.is_some()));
        // What waits for its models or its record was not sent: its worker knows nothing of it.
        let is_unsent = live.life.phase() == Phase::Assigned && live.sends == 0;
        match connected.filter(|_| !is_unsent) {
            Some(worker) => {
                let id = live.id().clone();
                self.send_cancel(worker, id.as_str(), attempt.0);
                let due = self.now.after(self.options.cancel_grace);
                self.timers.at(due, Timer::CancelGrace(sequence, attempt));
            }
            // Nobody to ask: should a worker come back with it, the reconcile stops it there.
            None => drop(self.happen(sequence, Happened::CancelOverdue(attempt), Detail::default())),
        }
    }

    /// Takes the attempt off its worker; tells the worker when it may still hold it.
    fn release(&mut self, sequence: Sequence, abort: bool) {
        let Some(live) = self.table.get_mut(sequence) else { return };
        let Some(worker_key) = live.worker.take() else { return };
        live.avoid = Some(worker_key);
        let (lane, attempt, id) = (live.lane, live.life.attempt(), live.id().clone());
        if let Some(worker) = self.roster.get_mut(worker_key) {
            worker.remove_job(sequence, &live.request.submitted.function);
        }
        self.lanes.count_running(lane, false);
        self.plan_needed = true;
        if abort {
            self.send_cancel(worker_key, id.as_str(), attempt.0);
        }
    }

    fn requeue(&mut self, sequence: Sequence, failure: Option<ErrorClass>, abort: bool, detail: Detail) {
        self.release(sequence, abort);
        add(&self.view.totals.requeued);
        let Some(live) = self.table.get(sequence) else { return };
        let message = if detail.message.is_empty() { "worker was lost" } else { &detail.message };
        let record = failure.map(|class| self.attempt_record(live, class, message));
        if failure.is_some() {
            warn!(request = %live.id(), attempt = live.life.attempt().0, message, "attempt failed, trying again");
        }
        let delay = match failure {
            Some(ErrorClass::Retryable) => {
                let doubled = 1_u32 << live.life.failures().saturating_sub(1).min(16);
                self.options.retry_pause.saturating_mul(doubled).min(RETRY_PAUSE_MAX)
            }
            _ => detail.pause,
        };
        let pair = live.pair();
        let durable = live.is_durable();
        if let Some(live) = self.table.get_mut(sequence) {
            live.decided = Some(Decided::Requeue { failure: record.clone(), delay });
        }
        self.decide(sequence, durable, || Change::Requeue { pair, failure: record });
    }

    fn finish(
        &mut self,
        sequence: Sequence,
        before: Phase,
        end: End,
        failure: Option<ErrorClass>,
        abort: bool,
        detail: Detail,
    ) {
        if before == Phase::Queued
            && let Some(live) = self.table.get(sequence)
        {
            self.lanes.leave(live.lane, live.place());
            self.lanes.count_queued(live.lane, false);
        }
        self.release(sequence, abort);
        if let Some(live) = self.table.get_mut(sequence)
            && let Some(Decided::Requeue { failure: Some(failure), .. }) = live.decided.take()
        {
            // It was to go back to the queue, and that is on disk: the attempt before the end has failed.
            Arc::make_mut(&mut live.request).attempts.push(failure);
        }
        let Some(live) = self.table.get(sequence) else { return };
        let ending = Box::new(self.ending(live, end, failure, detail));
        let pair = live.pair();
        let durable = live.is_durable();
        let copy = durable.then(|| ending.clone());
        if let Some(live) = self.table.get_mut(sequence) {
            live.decided = Some(Decided::Finish(ending));
        }
        if let Some(ending) = copy {
            self.decide(sequence, durable, || Change::Finish { pair, ending });
        } else {
            self.happen(sequence, Happened::Stored, Detail::default());
        }
    }

    /// Writes a decision; memory requests have none to write and go on at once.
    fn decide(&mut self, sequence: Sequence, durable: bool, change: impl FnOnce() -> Change) {
        if durable {
            self.work.changes.push(change());
        } else {
            self.happen(sequence, Happened::Stored, Detail::default());
        }
    }

    /// A requeue is on disk.
    fn requeued(&mut self, sequence: Sequence) {
        let at = self.clock.unix(self.now);
        let Some(live) = self.table.get_mut(sequence) else { return };
        let Some(Decided::Requeue { failure, delay }) = live.decided.take() else { return };
        let attempt = live.life.attempt();
        live.state = State::Queued;
        live.behind = true;
        if failure.is_some() {
            Arc::make_mut(&mut live.request).attempts.extend(failure);
        }
        let id = live.ring.next_id(attempt.0);
        let grown = live.publish(Event::State { id, state: State::Queued, worker_id: None, at });
        self.lanes.count_queued(live.lane, true);
        self.account(sequence, grown);
        if delay.is_zero() {
            self.enter(sequence);
        } else {
            self.timers.at(self.now.after(delay), Timer::Retry(sequence));
        }
    }

    /// An end is on disk: everyone may know.
    fn announce(&mut self, sequence: Sequence) {
        let Some(live) = self.table.get_mut(sequence) else { return };
        let Some(Decided::Finish(ending)) = live.decided.take() else { return };
        let totals = &self.view.totals;
        add(match ending.state {
            State::Succeeded => &totals.succeeded,
            State::Canceled => &totals.canceled,
            _ => &totals.failed,
        });
        end(live, *ending);
        let bytes = live.ring.bytes();
        self.ring_bytes = self.ring_bytes.saturating_sub(bytes);
        self.table.note_end(sequence, self.now);
    }

    /// Books how the bytes of rings changed; a pool that holds too many makes this request forget its oldest.
    pub(super) fn account(&mut self, sequence: Sequence, grown: isize) {
        self.ring_bytes = self.ring_bytes.saturating_add_signed(grown);
        if self.ring_bytes <= self.options.ring_bytes_max {
            return;
        }
        let Some(live) = self.table.get_mut(sequence) else { return };
        let before = live.ring.bytes();
        while self.ring_bytes + live.ring.bytes() > self.options.ring_bytes_max + before {
            if !live.ring.drop_oldest() {
                break;
            }
        }
        self.ring_bytes -= before - live.ring.bytes();
    }

    /// A busy worker: no more of this function at once than it had.
    fn learn_limit(&mut self, sequence: Sequence, worker_key: WorkerKey) {
        let Some(function) = self.table.get(sequence).map(|live| live.request.submitted.function.clone()) else {
            return;
        };
        let Some(worker) = self.roster.get(worker_key) else { return };
        let same = |sequence: &&Sequence| {
            self.table.get(**sequence).is_some_and(|live| live.request.submitted.function == function)
        };
        let running = u32::try_from(worker.jobs.iter().filter(same).count()).unwrap_or(u32::MAX);
        if let Some(worker) = self.roster.get_mut(worker_key) {
            worker.limits.insert(function, crate::pool::roster::Limit::learned(running));
        }
    }

    /// Takes an attempt over that an earlier process sent.
    pub(super) fn adopt(&mut self, sequence: Sequence, attempt: Attempt, worker_key: WorkerKey) {
        let at = self.clock.unix(self.now);
        let Some(live) = self.table.get_mut(sequence) else { return };
        let Some(worker) = self.roster.get_mut(worker_key) else { return };
        if !live.life.adopt(attempt) {
            return;
        }
        self.lanes.leave(live.lane, live.place());
        self.lanes.count_queued(live.lane, false);
        self.lanes.count_running(live.lane, true);
        worker.add_job(sequence, &live.request.submitted.function);
        live.worker = Some(worker_key);
        (live.dispatched, live.accepted) = (self.now, Some(self.now));
        live.recorded = crate::pool::live::Recorded::default();
        live.state = State::Running;
        live.spot = Some(Spot { worker_id: Arc::clone(&worker.id), assigned_at: at, started_at: Some(at) });
        live.behind = true;
        let worker_id = Some(Arc::clone(&worker.id));
        let id = live.ring.next_id(attempt.0);
        let grown = live.publish(Event::State { id, state: State::Running, worker_id, at });
        self.account(sequence, grown);
        self.timers.record(self.now, sequence, attempt);
        self.watch_overtime(sequence);
    }

    /// A reader of events.
    pub(super) fn subscribe(
        &mut self,
        id: &gen_worker_proto::RequestId,
        after: Option<crate::pool::event::EventId>,
    ) -> Option<crate::pool::subscription::Subscription> {
        let phases = self.phases_of(self.table.find(id.as_str())?);
        let live = self.table.find_mut(id.as_str())?;
        let (publisher, reader) = subscription();
        for event in live.ring.replay(after).chain(phases) {
            publisher.publish(event);
        }
        if live.state.is_terminal() {
            publisher.publish(Event::terminal(live.shown()));
        } else {
            live.subscribers.retain(|subscriber| !subscriber.is_unsubscribed());
            live.subscribers.push(publisher);
        }
        Some(reader)
    }
}

/// Makes an end visible: the record first, then everyone who waits.
fn end(live: &mut Live, ending: Ending) {
    live.state = ending.state;
    live.behind = true;
    drop(live.shown());
    let request = Arc::make_mut(&mut live.request);
    if let Some(error) = &ending.error {
        request.attempts.clone_from(&error.attempts);
    }
    request.ending = Some(ending);
    for waiter in live.waiters.drain(..) {
        drop(waiter.send(Some(Arc::clone(&live.request))));
    }
    for canceler in live.cancelers.drain(..).chain(live.asked.drain(..)) {
        let request = Arc::clone(&live.request);
        drop(canceler.send(Some(CancelOutcome::Canceled(request))));
    }
    let subscribers = std::mem::take(&mut live.subscribers);
    for subscriber in subscribers {
        subscriber.publish(Event::terminal(Arc::clone(&live.request)));
    }
}
