//! Workers coming, talking and going: reconcile on Hello, supersede, the reconnect window, drain.

use std::{sync::Arc, time::Duration};

use gen_worker_proto::{Pair, pb, pb::scheduler_message::Msg};
use tonic::Status;
use tracing::{error, info, warn};

use super::{Owner, ending::Detail, models::not_in_the_hub};
use crate::{
    lifecycle::{Happened, Phase},
    pool::{
        clock::Tick,
        input::Arrival,
        lanes::LaneKey,
        live::Sequence,
        roster::{Counted, Link, Worker, WorkerKey},
        snapshots::{ModelKey, Said},
        timers::Timer,
        view::add,
    },
    reconcile::{Standing, reconcile},
    scheduler::Seat,
    session::{SessionId, report::Report},
};

/// Streams of one worker id that replace each other this often within [`SUPERSEDE_SPAN`] are two workers with one id.
const SUPERSEDES_LOUD: usize = 3;

/// See [`SUPERSEDES_LOUD`]. A worker that reconnects by itself backs off beyond this soon.
const SUPERSEDE_SPAN: Duration = Duration::from_secs(60);

/// Most functions that a worker may call unavailable, and as many degraded: far above any real endpoint. Each such
/// message costs time with their number.
const FUNCTIONS_TOLD_MAX: usize = 512;

impl Owner {
    /// A stream passed its gate: acknowledge, then settle what the worker holds (O3, O4, O5, O9).
    pub(super) fn arrived(&mut self, arrival: Arrival) {
        let Arrival { session, hello, mut outbound } = arrival;
        let listed = hello.in_flight.clone();
        let share = usize::try_from(self.options.jobs_per_worker_max).unwrap_or(usize::MAX);
        outbound.make_room(share.saturating_add(listed.len()));
        let key = self.roster.key(&hello.worker_id);
        let at = self.clock.unix(self.now);
        self.supersede(key);
        let Some(worker) = self.roster.get_mut(key) else { return };
        info!(worker = %worker.id, session = session.0, phase = hello.state.phase.name(), jobs = listed.len(), "worker connected");
        worker.hello(hello, at);
        worker.link = Some(Link { session, outbound });
        let (held, cell) = (worker.jobs.clone(), Arc::clone(&worker.cell));
        self.roster.bind(session, key);
        self.roster.turn(key);
        self.acknowledge(key);
        add(&self.view.totals.workers);
        self.refresh(key);
        self.view.put_worker(cell);
        let held: Vec<Pair> =
            held.iter().filter_map(|sequence| self.table.get(*sequence)).map(|live| live.pair()).collect();
        self.settle(key, &listed, &held);
    }

    /// Acts on the comparison of what a worker lists with what it held.
    fn settle(&mut self, key: WorkerKey, listed: &[Pair], held: &[Pair]) {
        let plan = reconcile(listed, held, |pair| self.standing(key, pair));
        for pair in plan.keep {
            self.on_pair(&pair, Happened::Accepted(pair.attempt), "");
            let sequence = self.table.sequence(pair.request_id.as_str());
            let live = sequence.and_then(|sequence| self.table.get(sequence));
            if let Some(live) = live.filter(|live| live.life.is_on_worker() && live.life.cancel_requested()) {
                // The wish may have been lost with the stream, or with the process before this one.
                self.ask_worker(live.request.sequence);
            }
        }
        for pair in plan.adopt {
            if let Some(sequence) = self.table.sequence(pair.request_id.as_str()) {
                self.adopt(sequence, pair.attempt, key);
            }
        }
        for pair in plan.cancel {
            self.send_cancel(key, pair.request_id.as_str(), pair.attempt.0);
        }
        for pair in plan.lost {
            self.on_pair(&pair, Happened::Lost(pair.attempt), "worker came back without it");
        }
    }

    fn standing(&self, key: WorkerKey, pair: &Pair) -> Standing {
        let Some(live) = self.table.find(pair.request_id.as_str()) else { return Standing::Stale };
        let same = live.life.attempt() == pair.attempt;
        match live.life.phase() {
            Phase::Assigned | Phase::Running if same && live.worker == Some(key) => Standing::Current,
            Phase::Finishing if same && live.avoid == Some(key) => Standing::Settling,
            Phase::Queued if live.life.is_adoptable(pair.attempt) => Standing::Adoptable,
            _ => Standing::Stale,
        }
    }

    fn on_pair(&mut self, pair: &Pair, happened: Happened, message: &str) {
        if let Some(sequence) = self.table.sequence(pair.request_id.as_str()) {
            self.happen(sequence, happened, Detail::text(message));
        }
    }

    /// Ends the older stream of a worker. Its end changes nothing any more: it is no longer the worker's stream.
    fn supersede(&mut self, key: WorkerKey) {
        let Some(worker) = self.roster.get_mut(key) else { return };
        let Some(old) = worker.link.take() else { return };
        self.view.totals.workers.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        add(&self.view.totals.superseded);
        old.outbound.cut(Status::aborted("worker_stream_superseded"));
        worker.superseded.push_back(self.now);
        let span = i64::try_from(SUPERSEDE_SPAN.as_micros()).unwrap_or(i64::MAX);
        while worker.superseded.front().is_some_and(|at| *at < Tick(self.now.0 - span)) {
            worker.superseded.pop_front();
        }
        if worker.superseded.len() >= SUPERSEDES_LOUD {
            error!(
                worker = %worker.id,
                times = worker.superseded.len(),
                "streams of one worker id replace each other again and again: two workers share this id"
            );
            worker.superseded.truncate(SUPERSEDES_LOUD);
        } else {
            warn!(worker = %worker.id, "worker stream replaced by a newer one");
        }
    }

    /// What a worker said. Job messages count from any stream of the worker that holds the pair: one that was
    /// replaced may still deliver results that the worker believes written. State counts from the newest only.
    pub(super) fn reports(&mut self, session: SessionId, reports: Vec<Report>) {
        let Some(key) = self.roster.of_session(session) else { return };
        for report in reports {
            let is_newest = self
                .roster
                .get(key)
                .and_then(|worker| worker.link.as_ref())
                .is_some_and(|link| link.session == session);
            match report {
                Report::Accepted(pair) => self.accepted(key, &pair),
                Report::Result(result) => self.result(key, *result),
                Report::Frame(pair, frame) => self.frame(key, &pair, frame),
                other if is_newest => self.news(key, other),
                _ => add(&self.view.totals.stale),
            }
        }
    }

    /// News about the worker itself.
    fn news(&mut self, key: WorkerKey, report: Report) {
        let Some(worker) = self.roster.get_mut(key) else { return };
        match report {
            Report::State(state) => worker.state(state),
            Report::Unavailable(report) => {
                warn!(worker = %worker.id, function = %report.function, reason = report.reason, "function is unavailable on a worker");
                if worker.disabled.len() >= FUNCTIONS_TOLD_MAX && !worker.disabled.contains_key(&report.function) {
                    return add(&self.view.totals.stale);
                }
                worker.available.remove(&report.function);
                worker.loading.remove(&report.function);
                worker.disabled.insert(report.function.clone(), report);
            }
            Report::Degraded(report) => {
                if worker.degraded.len() >= FUNCTIONS_TOLD_MAX && !worker.degraded.contains_key(&report.function) {
                    return add(&self.view.totals.stale);
                }
                worker.degraded.insert(report.function.clone(), report);
            }
            Report::Model(event) => {
                if event.state == pb::ModelState::Failed {
                    warn!(worker = %worker.id, model = event.r#ref, error = event.error, "model operation failed");
                }
                let has_moved = worker.held.event(&event);
                worker.publish();
                self.operation_told(key, &event);
                self.tell_held(key, &event);
                if !has_moved {
                    return;
                }
            }
            Report::Accepted(_) | Report::Result(_) | Report::Frame(..) => return,
        }
        self.refresh(key);
    }

    /// Brings lanes and views up to what is known of a worker now.
    pub(super) fn refresh(&mut self, key: WorkerKey) {
        let Some(worker) = self.roster.get_mut(key) else { return };
        for (lane, kind) in worker.counted.drain(..) {
            self.lanes.uncount_worker(lane, kind, key);
        }
        let mut counted = Vec::new();
        if worker.link.is_some() {
            let takes_work = worker.takes_work();
            let usable = |name: &&_| takes_work && !worker.disabled.contains_key(*name);
            for name in worker.available.iter().filter(usable) {
                let Some(lane) = self.lanes.offered(name) else { continue };
                let degraded = worker.degraded.get(name);
                let slowdown = degraded.map_or(1.0, |report| report.latency_multiplier);
                let slowdown = if slowdown.is_finite() { slowdown } else { 1.0 };
                let models = self.declared.get(name).into_iter().flat_map(|needs| &needs.models);
                let tier = worker.held.farthest(models.map(|need| need.r#ref.as_str()), worker.has_vram());
                let seat = Seat { worker: key, free: 0, slowdown, tier };
                counted.push((lane, Counted::Available, Some(seat)));
                counted.extend(degraded.map(|_| (lane, Counted::Degraded, None)));
            }
            for name in worker.loading.iter().filter(usable) {
                counted.extend(self.lanes.offered(name).map(|lane| (lane, Counted::Loading, None)));
            }
            for name in worker.disabled.keys() {
                counted.extend(self.lanes.offered(name).map(|lane| (lane, Counted::Disabled, None)));
            }
        }
        for (lane, kind, seat) in &counted {
            self.lanes.count_worker(*lane, *kind, *seat);
        }
        worker.counted = counted.into_iter().map(|(lane, kind, _)| (lane, kind)).collect();
        worker.publish();
        self.plan_needed = true;
        self.mark(key);
        self.work.functions.extend(self.lanes.take_new());
        self.fail_unplaceable();
    }

    /// Ends requests whose function was disabled everywhere, or waits for a model that is nowhere, when nobody is left who
    /// could run them (O19).
    pub(super) fn fail_unplaceable(&mut self) {
        if self.lanes.waiting() == 0 || self.somebody_may_come() {
            return;
        }
        let busy: Vec<LaneKey> = self.lanes.busy().map(|(key, _)| key).collect();
        for key in busy {
            let Some(detail) = self.unplaceable(key) else { continue };
            let Some(lane) = self.lanes.get(key) else { continue };
            let waiting: Vec<Sequence> = lane.waiting.keys().map(|place| place.sequence).collect();
            for sequence in waiting {
                self.happen(sequence, Happened::NoWorker, Detail::text(&detail));
            }
        }
    }

    /// Why nobody who is here can run what waits in a lane; none while somebody can, or may yet.
    fn unplaceable(&self, key: LaneKey) -> Option<String> {
        let lane = self.lanes.get(key)?;
        if lane.is_dead() {
            return Some(String::new());
        }
        if !lane.is_loading() {
            return None;
        }
        let needs = self.declared.get(&lane.function)?;
        let is_nowhere = |reference: &str, key: &ModelKey| {
            let loads = |worker: &&Worker| worker.link.is_some() && worker.loading.contains(&lane.function);
            let holds = |worker: &Worker| worker.held.has(reference);
            self.snapshots.is_fresh(key, self.now)
                && matches!(self.snapshots.get(key, self.now), Said::Absent | Said::Hidden)
                && !self.roster.iter().map(|(_, worker)| worker).filter(loads).any(holds)
        };
        let (need, _) = needs.of_hub().find(|(need, key)| is_nowhere(&need.r#ref, key))?;
        Some(not_in_the_hub(&need.r#ref))
    }

    /// Whether a worker is away or still starting: it may bring functions that nobody has now.
    pub(super) fn somebody_may_come(&self) -> bool {
        self.roster.iter().any(|(_, worker)| worker.link.is_none() || (!worker.draining && worker.phase.is_starting()))
    }

    /// A stream was read to its end.
    pub(super) fn departed(&mut self, session: SessionId, clean: bool) {
        let Some(key) = self.roster.unbind(session) else { return };
        let Some(worker) = self.roster.get_mut(key) else { return };
        if worker.link.as_ref().is_none_or(|link| link.session != session) {
            return;
        }
        // Dropping the link finishes the call with OK after what is queued was written (O18).
        worker.link = None;
        self.detached(key, session, clean);
    }

    /// A worker has no stream any more.
    pub(super) fn detached(&mut self, key: WorkerKey, session: SessionId, clean: bool) {
        self.view.totals.workers.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        self.roster.turn(key);
        let Some(worker) = self.roster.get(key) else { return };
        let (epoch, gone) = (worker.epoch, clean || worker.draining);
        info!(worker = %worker.id, session = session.0, clean, jobs = worker.jobs.len(), "worker disconnected");
        self.refresh(key);
        if gone {
            self.forget_worker(key, clean);
        } else {
            self.timers.at(self.now.after(self.options.reconnect_window), Timer::Away(key, epoch));
        }
    }

    /// A worker had its time to come back.
    pub(super) fn stayed_away(&mut self, key: WorkerKey, epoch: u64) {
        if self.roster.get(key).is_some_and(|worker| worker.link.is_none() && worker.epoch == epoch) {
            self.forget_worker(key, false);
        }
    }

    /// Gives up on a worker: what it held goes elsewhere. What a draining one held does not count as failed, nor what
    /// crossed the goodbye of one that ended its stream in order (`clean`).
    fn forget_worker(&mut self, key: WorkerKey, clean: bool) {
        let Some(worker) = self.roster.get(key) else { return };
        let draining = worker.draining;
        let jobs: Vec<Sequence> = worker.jobs.iter().copied().collect();
        for sequence in jobs {
            let Some(live) = self.table.get(sequence) else { continue };
            let attempt = live.life.attempt();
            let crossed = clean && live.life.phase() == Phase::Assigned;
            let happened = if draining || crossed { Happened::Returned(attempt) } else { Happened::Lost(attempt) };
            self.happen(sequence, happened, Detail::text("worker was lost"));
        }
        if let Some(worker) = self.roster.remove(key) {
            self.view.remove_worker(&worker.id);
        }
        self.fail_unplaceable();
    }

    /// A worker that leaves gets nothing more (O17).
    pub(super) fn leaves(&mut self, key: WorkerKey) {
        if let Some(worker) = self.roster.get_mut(key).filter(|worker| !worker.draining) {
            worker.draining = true;
            self.refresh(key);
        }
    }

    /// Tells a worker to leave; false when it is not connected.
    pub(super) fn drain(&mut self, worker_id: &str, deadline: Duration) -> bool {
        let Some(key) = self.roster.find(worker_id) else { return false };
        if self.roster.get(key).is_none_or(|worker| worker.link.is_none()) {
            return false;
        }
        self.leaves(key);
        let deadline_ms = i64::try_from(deadline.as_millis()).unwrap_or(i64::MAX);
        self.send(key, Msg::Drain(pb::Drain { deadline_ms }));
        true
    }
}
