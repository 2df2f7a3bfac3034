//! The event loop: drain what is ready, decide, act. Owns every decision of the worker.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use gen_worker_proto::pb::{self, scheduler_message::Msg as Inbound, worker_message::Msg};
use gen_worker_tasks::{Cancel, Scope};
use tokio::{
    sync::{futures::OwnedNotified, mpsc},
    time::{Instant, Sleep, sleep},
};
use tracing::{error, info, warn};

use super::{
    Ended, WorkerExit,
    cache_feed::CacheFeed,
    connection::{Connection, ConnectionEvent},
    held::Sampling,
    kept::Kept,
    model_ops::ModelOps,
    model_reports::{LateReports, ReportingModels},
    roster::Roster,
    setup::{self, SetupEvent},
    timers::{STUCK_AFTER, Timers},
    token::{Checked, PushedToken},
    wakes::{Source, Wakes},
};
use crate::{
    Inputs, ModelSource, Registry,
    availability::{Availability, Readiness},
    backoff::random_unit,
    drain::{Drain, DrainStep, DrainView},
    executor::{Executor, FileServices, JobCell, JobEvent, Renewals, Reporting, Uploads},
    gate, gpu,
    job::{Action, GpuSpan, JobTable},
    link::{DialOptions, LinkFailure, RedialPolicy, Verdict},
    loader::{Loader, Wanted},
    model_cache::ModelCache,
    outbox::{Outgoing, SharedOutbox},
    peaks::LAST_LOOK_MAX,
    scratch::ScratchRoot,
    stats::WorkerStats,
    worker_options::WorkerOptions,
};

/// A gibibyte.
const GIB: f64 = (1_u64 << 30) as f64;

/// Events of jobs that wait for the loop. A task that finds it full waits; the loop takes all of it in one turn.
const EVENTS_MAX: usize = 1024;

/// Longest wait between dials while draining: what is finished has to leave within seconds, and a backoff that has
/// grown would take all of them.
const DRAIN_REDIAL: Duration = Duration::from_secs(1);

/// A sleep that nobody waits for: about a year, far below what a clock can represent.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) struct Serving {
    pub(super) options: WorkerOptions,
    pub(super) roster: Roster,
    pub(super) table: JobTable<Arc<JobCell>>,
    pub(super) actions: Vec<Action<Arc<JobCell>>>,
    pub(super) executor: Executor,
    pub(super) outbox: SharedOutbox,
    pub(super) availability: Availability,
    pub(super) timers: Timers,
    pub(super) policy: RedialPolicy,
    pub(super) drain: Option<Drain>,
    pub(super) models: Arc<dyn ModelSource>,
    pub(super) loader: Arc<Loader>,
    pub(super) model_ops: ModelOps,
    pub(super) setups: mpsc::Sender<SetupEvent>,
    pub(super) scope: Arc<Scope>,
    pub(super) pushed: PushedToken,
    /// The latest HelloAck.
    pub(super) acknowledged: pb::HelloAck,
    pub(super) exit: Option<WorkerExit>,
    pub(super) stats: Arc<WorkerStats>,
    pub(super) wakes: Wakes,
    pub(super) sampling: Sampling,
    pub(super) cache: CacheFeed,
    /// Where jobs have their directories, if there is a place.
    pub(super) scratch: Option<ScratchRoot>,
    pub(super) late_reports: LateReports,
    connection: Connection,
    ready: Ready,
    sources: Sources,
}

/// What the loop polls besides the connection.
struct Sources {
    events: mpsc::Receiver<JobEvent>,
    setups: mpsc::Receiver<SetupEvent>,
    gpus: mpsc::UnboundedReceiver<GpuSpan>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    /// While draining: the writer took all there was.
    drained: Option<Pin<Box<OwnedNotified>>>,
}

/// What one turn found ready; kept to reuse its memory.
#[derive(Default)]
struct Ready {
    connection: Option<ConnectionEvent>,
    messages: Vec<Inbound>,
    events: Vec<JobEvent>,
    setups: Vec<SetupEvent>,
    gpus: Vec<GpuSpan>,
    token: Option<Checked>,
    timer: bool,
}

impl Serving {
    pub(super) fn new(
        mut options: WorkerOptions,
        registry: &Registry,
        models: Arc<dyn ModelSource>,
        scope: Arc<Scope>,
        kept: Kept,
        (stats, cache): (Arc<WorkerStats>, Arc<ModelCache>),
    ) -> Self {
        let cache = CacheFeed::new(cache);
        models.residency().iter().for_each(|held| cache.known(&held.reference));
        let roster = Roster::new(registry);
        gpu::describe(&options.gpus, &mut options.resources);
        let Kept { spool, ends, scratch } = kept;
        let mut table = JobTable::new(roster.len(), options.limits);
        let outbox = SharedOutbox::new(options.send_queue_entries, spool.clone());
        for end in ends {
            table.remember_finished(end.pair.clone());
            outbox.push(Outgoing::Result(end));
        }
        let (events, events_received) = mpsc::channel(EVENTS_MAX);
        let (setups, setups_received) = mpsc::channel(EVENTS_MAX);
        let (gpus_freed, gpus_received) = mpsc::unbounded_channel();
        let models = ReportingModels::new(models, setups.clone(), cache.clone());
        let late_reports = models.late();
        let models: Arc<dyn ModelSource> = Arc::new(models);
        let loader = loader(&roster, &models, &options, setups.clone());
        let policy =
            RedialPolicy::new(options.address.clone(), options.seeds.clone(), options.redial.clone(), Instant::now());
        let jobs = Scope::under("jobs", scope.cancel());
        let dial =
            DialOptions { dial: options.dial.clone(), ca_bundle: options.ca_bundle.clone(), scope: scope.clone() };
        let readiness = |cell: Option<_>| if cell.is_some() { Readiness::Loading } else { Readiness::Ready };
        let functions = roster.iter().map(|function| (function.name().clone(), readiness(function.instance())));
        let mut availability = Availability::new(functions);
        // What is really free is looked at before the first connection.
        let vram_bytes = options.resources.vram_total_bytes;
        availability.free_vram(gpu::told_free_bytes(u64::try_from(vram_bytes).unwrap_or(0), vram_bytes));
        let first_vram_bytes = options.gpus.first().map_or(0, |gpu| gpu.total_bytes);
        for function in roster.iter() {
            if let Some(why) = gate::gate(function.resources(), &options.resources, first_vram_bytes) {
                warn!(function = %function.name(), reason = why.reason, detail = why.detail, "not offered on this machine");
                drop(availability.disable(function.name(), why));
            }
        }
        Self {
            availability,
            table,
            actions: Vec::new(),
            executor: Executor::new(
                jobs,
                events,
                outbox.clone(),
                loader.clone(),
                FileServices {
                    uploads: Uploads::new(options.uploader.clone(), options.upload_bytes_max),
                    renewals: Renewals::new(options.renewer.clone(), options.token.clone()),
                    inputs: Inputs::new(options.inputs.clone(), scope.clone()),
                },
                Reporting { spool, stats: stats.clone(), observer: options.observer.clone() },
                gpus_freed,
            ),
            timers: Timers::default(),
            drain: None,
            models,
            loader,
            model_ops: ModelOps::default(),
            setups,
            pushed: PushedToken::default(),
            acknowledged: pb::HelloAck::default(),
            exit: None,
            stats,
            sampling: Sampling::default(),
            cache,
            late_reports,
            scratch,
            connection: Connection::new(policy.primary(), dial, options.handshake_timeout, outbox.clone()),
            wakes: Wakes::new(),
            ready: Ready::default(),
            sources: Sources {
                events: events_received,
                setups: setups_received,
                gpus: gpus_received,
                timer: Box::pin(sleep(NEVER)),
                armed: None,
                drained: None,
            },
            policy,
            outbox,
            roster,
            options,
            scope,
        }
    }

    pub(super) async fn run(&mut self, cancel: &Cancel) -> Result<Ended, WorkerExit> {
        setup::start(self);
        let (mut stopped, mut killed) = (Box::pin(cancel.stopped()), Box::pin(cancel.killed()));
        let mut stopping = false;
        loop {
            self.arm_timer();
            let turn = poll_fn(|cx| {
                self.wakes.collect(cx);
                if self.wakes.ask(Source::Kill, |cx| killed.as_mut().poll(cx)).is_ready() {
                    return Poll::Ready(Turn::Kill);
                }
                if !stopping && self.wakes.ask(Source::Stop, |cx| stopped.as_mut().poll(cx)).is_ready() {
                    return Poll::Ready(Turn::Stop);
                }
                self.poll_ready(cx).map(|()| Turn::Work)
            })
            .await;
            match turn {
                Turn::Kill => {
                    self.drop_jobs();
                    return Ok(Ended::Killed);
                }
                Turn::Stop => {
                    stopping = true;
                    self.begin_drain(Some(self.options.drain_budget), true);
                }
                Turn::Work => self.work(),
            }
            self.tell_availability();
            self.stats.jobs.store(u64::try_from(self.table.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
            let done = self.advance_drain();
            self.outbox.wake();
            if let Some(exit) = self.exit.take() {
                self.drop_jobs();
                return Err(exit);
            }
            if done {
                return Ok(Ended::Drained);
            }
            // A connection that never runs dry must not keep this thread from the writer.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Interrupts every job; nobody will hear of their ends.
    fn drop_jobs(&mut self) {
        self.table.drain_deadline(&mut self.actions);
        self.perform();
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connection.is_live()
    }

    /// Collects everything that is ready.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { connection, ready, sources, pushed, wakes, .. } = self;
        if ready.connection.is_none()
            && let Poll::Ready(event) = connection.poll(cx, &mut ready.messages)
        {
            ready.connection = Some(event);
        }
        let Sources { events, setups, gpus, timer, drained, .. } = sources;
        let events =
            wakes.ask(Source::Events, |cx| events.poll_recv_many(cx, &mut ready.events, EVENTS_MAX)).is_ready();
        let setups =
            wakes.ask(Source::Setups, |cx| setups.poll_recv_many(cx, &mut ready.setups, EVENTS_MAX)).is_ready();
        let gpus = wakes.ask(Source::Gpus, |cx| gpus.poll_recv_many(cx, &mut ready.gpus, EVENTS_MAX)).is_ready();
        ready.timer = wakes.ask(Source::Timer, |cx| timer.as_mut().poll(cx)).is_ready();
        let is_drained = drained
            .as_mut()
            .is_some_and(|drained| wakes.ask(Source::Drained, |cx| drained.as_mut().poll(cx)).is_ready());
        if is_drained {
            *drained = None;
        }
        if let Poll::Ready(checked) = wakes.ask(Source::Token, |cx| pushed.poll(cx)) {
            ready.token = Some(checked);
        }
        let woken = events || setups || gpus || is_drained;
        let any = woken || ready.connection.is_some() || ready.token.is_some() || ready.timer;
        if any { Poll::Ready(()) } else { Poll::Pending }
    }

    fn work(&mut self) {
        let mut events = std::mem::take(&mut self.ready.events);
        for event in events.drain(..) {
            self.job_event(event);
        }
        self.ready.events = events;
        let mut gpus = std::mem::take(&mut self.ready.gpus);
        for span in gpus.drain(..) {
            self.table.gpu_ended(span, &mut self.actions);
            self.perform();
        }
        self.ready.gpus = gpus;
        for event in std::mem::take(&mut self.ready.setups) {
            self.setup_event(event);
        }
        let mut messages = std::mem::take(&mut self.ready.messages);
        for message in messages.drain(..) {
            self.message(message);
        }
        self.ready.messages = messages;
        if let Some(checked) = self.ready.token.take() {
            self.token_checked(checked);
        }
        match self.ready.connection.take() {
            Some(ConnectionEvent::Reached) => {
                let hello = self.hello();
                self.connection.greet(hello, self.options.token.clone());
            }
            Some(ConnectionEvent::Up(ack)) => {
                info!(address = %self.connection.address(), worker_id = %self.options.worker_id, "connected");
                self.policy.acknowledged();
                self.stats.connected.store(true, Ordering::Relaxed);
                self.stats.connections.fetch_add(1, Ordering::Relaxed);
                self.acknowledge(ack);
            }
            Some(ConnectionEvent::Failed { failure, lived }) => self.disconnected(&failure, lived),
            Some(ConnectionEvent::Messages) | None => {}
        }
        if std::mem::take(&mut self.ready.timer) {
            self.time_passed();
        }
    }

    /// Hello, rebuilt from live state (W2).
    fn hello(&mut self) -> pb::Hello {
        self.sample_memory();
        let pairs: BTreeSet<_> = self.table.held().chain(self.outbox.pending()).collect();
        pb::Hello {
            protocol_version: pb::ProtocolVersion::Current.into(),
            worker_id: self.options.worker_id.clone(),
            release_id: self.options.release_id.clone(),
            resources: Some(self.options.resources.clone()),
            state: Some(self.availability.connecting()),
            models: self.residency(),
            in_flight: pairs
                .into_iter()
                .map(|pair| pb::InFlightJob {
                    request_id: pair.request_id.as_str().to_owned(),
                    attempt: pair.attempt.0,
                })
                .collect(),
        }
    }

    /// A HelloAck, first or repeated: its content replaces what was there, and state follows (W6).
    pub(super) fn acknowledge(&mut self, ack: pb::HelloAck) {
        self.models.spare(&ack.keep);
        self.executor.store_files_at(&ack.file_base_url);
        self.acknowledged = ack;
        self.resolve_models();
        self.sample_memory();
        let (disabled, state) = self.availability.acknowledged();
        for message in disabled {
            self.outbox.push(Msg::FnUnavailable(message));
        }
        self.outbox.push(Msg::StateDelta(state));
        for degraded in self.degraded() {
            self.outbox.push(Msg::FnDegraded(degraded));
        }
    }

    /// A StateDelta if the content changed (W7). While there is no connection the next Hello tells.
    fn tell_availability(&mut self) {
        if self.connection.is_live()
            && let Some(state) = self.availability.changed()
        {
            self.outbox.push(Msg::StateDelta(state));
        }
    }

    fn disconnected(&mut self, failure: &LinkFailure, lived: Option<Duration>) {
        self.stats.connected.store(false, Ordering::Relaxed);
        if let Some(drain) = &mut self.drain
            && drain.is_closing()
        {
            if matches!(failure, LinkFailure::Ended) {
                self.outbox.all_read();
            }
            if !self.outbox.has_pending() {
                return;
            }
            drain.flush_again();
        }
        let address = self.connection.address().clone();
        let verdict = self.policy.failed(failure, &address, lived, Instant::now(), random_unit());
        match verdict {
            Verdict::Redial { address: next, wait } => {
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                warn!(%address, %next, wait_ms, error = %failure.chain(), "not connected");
                self.connection.redial(next, wait);
                if self.drain.is_some() {
                    self.connection.hurry(DRAIN_REDIAL);
                }
            }
            Verdict::GiveUp(refusal) => {
                error!(%address, error = %failure.chain(), "giving up");
                self.exit = Some(WorkerExit::Refused(refusal));
            }
        }
    }

    fn time_passed(&mut self) {
        let now = Instant::now();
        // An elapsed sleep stays elapsed: without a next moment it would wake the loop over and over.
        self.sources.armed = None;
        self.sources.timer.as_mut().reset(now + NEVER);
        self.wakes.renew(Source::Timer);
        while let Some(pair) = self.timers.expired(now) {
            if self.table.handle(&pair).is_some_and(|job| job.is_returning()) {
                // It ended in time. Should its result not come all the same, this does.
                self.timers.deadline(now + LAST_LOOK_MAX * 2, pair);
                continue;
            }
            self.table.deadline(&pair, &mut self.actions);
            self.perform();
        }
        if let Some(job) = self.timers.stuck(now) {
            let name = self.roster.get(job.function()).map(|entry| entry.function.name().as_str().to_owned());
            let function = name.unwrap_or_default();
            self.exit = Some(WorkerExit::HandlerStuck { function, grace_s: STUCK_AFTER.as_secs() });
        }
        if !self.connection.is_live() && self.policy.gives_up_at().is_some_and(|at| now >= at) {
            self.exit.get_or_insert(WorkerExit::Refused(self.policy.disconnected()));
        }
    }

    /// Begins a drain, or shortens one when a signal asks again.
    pub(super) fn begin_drain(&mut self, grace: Option<Duration>, signal: bool) {
        let now = Instant::now();
        match (&mut self.drain, grace) {
            (None, grace) => {
                info!(jobs = self.table.len(), ?grace, "draining");
                self.drain = Some(Drain::new(grace, now));
                self.availability.drain();
                self.connection.hurry(DRAIN_REDIAL);
            }
            (Some(drain), Some(grace)) if signal => drain.hurry(grace, now),
            // A second Drain changes nothing.
            (Some(_), _) => {}
        }
    }

    /// Takes the steps of a drain that are due. Returns whether it is over.
    fn advance_drain(&mut self) -> bool {
        loop {
            let Some(drain) = &mut self.drain else { return false };
            // Before the look at the queue, so that a writer that empties it meanwhile is noticed.
            if self.sources.drained.is_none() {
                self.sources.drained = Some(Box::pin(self.outbox.drained()));
                self.wakes.renew(Source::Drained);
            }
            let live = self.connection.is_live();
            // While there is no stream only results are worth a connection.
            let unsent = if live { !self.outbox.is_empty() } else { self.outbox.has_pending() };
            let step = drain.step(DrainView { jobs: self.table.len(), live, unsent }, Instant::now());
            match step {
                None => return false,
                Some(DrainStep::ExpireJobs) => {
                    self.table.drain_deadline(&mut self.actions);
                    self.perform();
                }
                Some(DrainStep::HalfClose) => self.outbox.half_close(),
                Some(DrainStep::Done { flushed }) => {
                    info!(flushed, "drained");
                    return true;
                }
            }
        }
    }

    fn arm_timer(&mut self) {
        let gives_up = if self.connection.is_live() { None } else { self.policy.gives_up_at() };
        let drain = self.drain.as_ref().and_then(Drain::wakes_at);
        let earliest = [self.timers.earliest(), gives_up, drain].into_iter().flatten().min();
        if earliest != self.sources.armed {
            self.sources.armed = earliest;
            let at = earliest.unwrap_or_else(|| Instant::now() + NEVER);
            self.sources.timer.as_mut().reset(at);
            self.wakes.renew(Source::Timer);
        }
    }
}

/// The loader of a roster's instances; what has to make room is told on the event loop.
fn loader(
    roster: &Roster,
    models: &Arc<dyn ModelSource>,
    options: &WorkerOptions,
    setups: mpsc::Sender<SetupEvent>,
) -> Arc<Loader> {
    let wanted = |cell| {
        let resources: Vec<_> = roster.sharing(&cell).map(|function| function.resources()).collect();
        let declared = resources.iter().filter_map(|resources| resources.vram_gb()).fold(0.0, f64::max);
        Wanted {
            on_gpu: resources.iter().any(|resources| resources.gpu()),
            offloads: resources.iter().any(|resources| resources.offload()),
            // In GiB, to the byte below.
            declared_bytes: Some((declared * GIB) as u64).filter(|bytes| *bytes > 0),
            cell,
        }
    };
    let cells: Vec<_> = roster.cells().into_iter().map(wanted).collect();
    let evicted = move |cell, models| {
        if setups.try_send(SetupEvent::Gone { cell, models, operation: None }).is_err() {
            warn!("the worker is too busy to tell that a model was unloaded");
        }
    };
    let loader = Loader::new(models.clone(), options.memory.clone(), options.vram, cells, evicted);
    Arc::new(loader.under(options.loading))
}

enum Turn {
    Kill,
    Stop,
    Work,
}
