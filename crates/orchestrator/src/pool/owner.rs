//! The owner loop: the only place that changes requests, lanes and workers. It takes what has happened in batches,
//! decides with the pure machines, and acts: messages into bounded channels, changes into the store.
//!
//! ```text
//! inputs (bounded) --recv_many--> [handle each] -> fire timers -> plan -> flush store batches -> sleep
//! store futures ----------------^
//! ```
//! Children add steps to [`Owner`]; each owns one part of the vocabulary.

mod admit;
mod dispatch;
mod ending;
mod fire;
mod jobs;
mod models;
mod phases;
mod queries;
mod recover;
mod store;
mod tend;
mod wants;
mod workers;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use gen_worker_tasks::Cancel;
use tokio::{sync::mpsc, time::Sleep};
use tonic::Status;
use tracing::info;

use super::{
    clock::{Clock, Tick},
    declared::Declared,
    input::Input,
    lanes::{LaneKey, Lanes},
    live::Table,
    options::Options,
    roster::{Roster, WorkerKey},
    sequence::Numbers,
    snapshots::Snapshots,
    timers::Timers,
    view::View,
};
use crate::queue::{Queue, QueueError};

pub use recover::RecoverError;

/// Most inputs handled between two plans: large enough to share the cost of a wake-up, small enough that a
/// dispatch never waits long behind a burst.
const INPUTS_PER_TURN_MAX: usize = 512;

/// How long the loop sleeps when no timer is set.
const IDLE: Duration = Duration::from_secs(60);

/// The state of the pool and the loop over it.
pub(crate) struct Owner {
    options: Options,
    clock: Clock,
    /// Time of this turn.
    now: Tick,
    store: Arc<dyn Queue>,
    view: Arc<View>,
    table: Table,
    lanes: Lanes,
    roster: Roster,
    timers: Timers,
    numbers: Numbers,
    declared: Declared,
    snapshots: Snapshots,
    /// Workers whose models are to be looked at in this turn.
    marked: BTreeSet<WorkerKey>,
    /// Lanes in which requests wait for a load.
    awaited: BTreeSet<LaneKey>,
    ring_bytes: usize,
    /// When what an earlier process left was read back.
    recovered: Tick,
    /// Whether anything happened that may let a waiting request be placed.
    plan_needed: bool,
    tickets: HashMap<u64, admit::Ticket>,
    last_ticket: u64,
    work: store::Work,
    ops: FuturesUnordered<BoxFuture<'static, store::Done>>,
}

impl Owner {
    /// A pool without requests or workers.
    pub(crate) fn new(options: Options, clock: Clock, store: Arc<dyn Queue>, view: Arc<View>) -> Self {
        Self {
            options,
            clock,
            now: clock.now(),
            store,
            lanes: Lanes::new(Arc::clone(&view)),
            view,
            table: Table::default(),
            roster: Roster::default(),
            timers: Timers::default(),
            numbers: Numbers::default(),
            declared: Declared::default(),
            snapshots: Snapshots::default(),
            marked: BTreeSet::new(),
            awaited: BTreeSet::new(),
            ring_bytes: 0,
            recovered: clock.now(),
            plan_needed: false,
            tickets: HashMap::new(),
            last_ticket: 0,
            work: store::Work::default(),
            ops: FuturesUnordered::new(),
        }
    }

    /// Runs until stopped or until every sender is gone. Then streams are ended so that workers look for another
    /// orchestrator, and what was decided is written.
    pub(crate) async fn run(mut self, mut inputs: mpsc::Receiver<Input>, cancel: Cancel) {
        let mut batch = Vec::with_capacity(INPUTS_PER_TURN_MAX);
        let mut sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
        loop {
            self.set_alarm(&mut sleep);
            tokio::select! {
                received = inputs.recv_many(&mut batch, INPUTS_PER_TURN_MAX) => {
                    if received == 0 {
                        break;
                    }
                }
                Some(done) = self.ops.next(), if !self.ops.is_empty() => {
                    self.now = self.clock.now();
                    self.done(done);
                }
                () = &mut sleep => {}
                () = cancel.stopped() => break,
            }
            self.turn(&mut batch);
            // Whoever was answered runs first and often has the next input ready: larger batches, fewer wake-ups.
            tokio::task::yield_now().await;
        }
        inputs.close();
        // What was read before the stop has happened: a worker counts a result that it wrote as delivered.
        self.now = self.clock.now();
        while let Ok(input) = inputs.try_recv() {
            self.input(input);
        }
        self.shut_down().await;
    }

    /// One turn: everything that is ready, then one plan, then one batch for the store.
    fn turn(&mut self, batch: &mut Vec<Input>) {
        self.now = self.clock.now();
        for input in batch.drain(..) {
            self.input(input);
        }
        while let Some(Some(done)) = self.ops.next().now_or_never() {
            self.done(done);
        }
        self.fire();
        self.plan();
        self.tend_marked();
        self.flush();
        self.forget();
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Reports { session, reports } => self.reports(session, reports),
            Input::Submit { requests, at, reply } => self.submit(requests, at, reply),
            Input::Wait { id, reply } => self.wait(&id, reply),
            Input::Get { id, reply } => {
                let live = self.table.find_mut(id.as_str());
                drop(reply.send(live.map(super::live::Live::shown)));
            }
            Input::Cancel { id, reply } => self.cancel(&id, reply),
            Input::Subscribe { id, after, reply } => {
                let subscription = self.subscribe(&id, after);
                drop(reply.send(subscription));
            }
            Input::List { filter, rows, reply } => drop(reply.send(self.list(&filter, rows))),
            Input::Drain { worker_id, deadline, reply } => {
                let known = self.drain(&worker_id, deadline);
                // Who asked may be gone.
                let _ = reply.send(known);
            }
            Input::Describe { manifests, reply } => {
                self.describe(manifests);
                // Who told may be gone.
                let _ = reply.send(());
            }
            Input::Arrived(arrival) => self.arrived(*arrival),
            Input::Departed { session, clean } => self.departed(session, clean),
            Input::Refused => super::view::add(&self.view.totals.refused),
        }
    }

    /// Sets the alarm to the next timer. An alarm that rings too early is left alone: waking for nothing is cheaper
    /// than re-arming on every turn.
    fn set_alarm(&self, sleep: &mut std::pin::Pin<Box<Sleep>>) {
        let ended = self.table.oldest_end().map(|end| end.after(self.options.ended_kept));
        let next = [self.timers.next(), ended].into_iter().flatten().min();
        let idle = self.clock.instant(self.now) + IDLE;
        let due = next.map_or(idle, |tick| self.clock.instant(tick).min(idle));
        if sleep.is_elapsed() || due < sleep.deadline() {
            sleep.as_mut().reset(due);
        }
    }

    /// Forgets what ended long enough ago, and waits that nobody needs.
    fn forget(&mut self) {
        let kept = i64::try_from(self.options.ended_kept.as_micros()).unwrap_or(i64::MAX);
        let horizon = Tick(self.now.0.saturating_sub(kept));
        self.table.forget(horizon, self.options.ended_rows_max, self.options.ended_bytes_max);
        let mut timers = std::mem::take(&mut self.timers);
        timers.prune(|timer| self.is_wanted(timer));
        self.timers = timers;
        let table = &self.table;
        self.timers.trim(
            |sequence, attempt| fire::is_unanswered(table, sequence, attempt),
            |sequence, attempt| fire::is_unrecorded(table, sequence, attempt),
        );
    }

    async fn shut_down(mut self) {
        for link in self.roster.take_links() {
            link.outbound.cut(Status::unavailable("orchestrator is stopping"));
        }
        self.record_all();
        loop {
            self.flush();
            let Some(done) = self.ops.next().await else { break };
            self.done(done);
        }
        // Waiters, tickets and subscriptions are dropped with the table: their readers see a closed pool.
        info!("pool has stopped");
    }
}

/// A copy of an error for one more of the callers whose requests shared a batch.
fn copy_of(error: &QueueError) -> QueueError {
    match error {
        QueueError::Unavailable { operation, source } => {
            QueueError::Unavailable { operation, source: source.to_string().into() }
        }
        QueueError::Corrupt { detail } => QueueError::Corrupt { detail: detail.clone() },
        QueueError::Closed => QueueError::Closed,
    }
}
