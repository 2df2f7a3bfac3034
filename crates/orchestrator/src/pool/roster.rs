//! Workers as the pool knows them: what their Hellos and reports said, which requests they hold, whether their
//! stream is up. Owned by the owner loop; mirrored into the view.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use gen_worker_proto::{FunctionName, pb};
use parking_lot::Mutex;

use super::{
    clock::Tick,
    held::Held,
    lanes::LaneKey,
    live::{Sequence, SequenceHash},
    operations::Operations,
    view::WorkerCell,
    views::{DegradedView, DisabledView, ResourcesView, WorkerView},
};
use crate::{
    request::UnixMs,
    session::{
        SessionId,
        outbound::Outbound,
        report::{DegradedReport, HelloReport, Phase, StateReport, UnavailableReport},
    },
};

/// Index of a worker; used again after the worker was forgotten.
pub(crate) type WorkerKey = usize;

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) id: Arc<str>,
    pub(crate) release_id: String,
    /// The stream, while it is up.
    pub(crate) link: Option<Link>,
    /// Number of its last arrival or departure, never given twice: tells a timer set for one absence from the next.
    pub(crate) epoch: u64,
    pub(crate) draining: bool,
    pub(crate) phase: Phase,
    pub(crate) available: BTreeSet<FunctionName>,
    pub(crate) loading: BTreeSet<FunctionName>,
    pub(crate) disabled: BTreeMap<FunctionName, UnavailableReport>,
    pub(crate) degraded: BTreeMap<FunctionName, DegradedReport>,
    pub(crate) jobs: HashSet<Sequence, SequenceHash>,
    /// Learned from "worker busy": how many of a function it takes at once.
    pub(crate) limits: HashMap<FunctionName, Limit>,
    /// What it adds to the numbers of functions, to be taken off when it changes.
    pub(crate) counted: Vec<(LaneKey, Counted)>,
    /// When its streams were replaced lately.
    pub(crate) superseded: VecDeque<Tick>,
    /// The models it holds.
    pub(crate) held: Held,
    /// What it was told to do with models.
    pub(crate) operations: Operations,
    /// Refs that it was told to keep on its disk.
    pub(crate) keep: BTreeSet<String>,
    /// When its models are looked at again.
    pub(crate) tended_at: Option<Tick>,
    resources: pb::WorkerResources,
    free_vram_bytes: i64,
    connected_at: UnixMs,
    pub(crate) cell: Arc<WorkerCell>,
}

/// A number of a function that a worker adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Available,
    Loading,
    Degraded,
    Disabled,
}

/// The stream of a worker.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) session: SessionId,
    pub(crate) outbound: Outbound,
}

/// A learned limit, raised slowly while it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) at_once: u32,
    pub(crate) running: u32,
    finished: u32,
}

/// Everything known of workers.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    workers: Vec<Option<Worker>>,
    by_id: HashMap<Arc<str>, WorkerKey>,
    by_session: HashMap<SessionId, WorkerKey>,
    /// Epochs given out. One count for all: an index that is used again must not bring an old epoch back.
    epochs: u64,
}

impl Limit {
    /// A limit at what ran beside the refused one.
    pub(crate) fn learned(running: u32) -> Self {
        Self { at_once: running.max(1), running, finished: 0 }
    }

    /// Counts a finished request; after eight rounds without a refusal one more is tried.
    pub(crate) fn finished(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.finished += 1;
        if self.finished >= self.at_once.saturating_mul(8) {
            self.finished = 0;
            self.at_once = self.at_once.saturating_add(1);
        }
    }

    pub(crate) fn free(&self) -> u32 {
        self.at_once.saturating_sub(self.running)
    }
}

impl Worker {
    /// A worker that is not connected (yet).
    pub(crate) fn away(id: Arc<str>) -> Self {
        let info = WorkerView {
            worker_id: id.to_string(),
            release_id: String::new(),
            connected: false,
            draining: false,
            phase: Phase::default().name(),
            available_functions: Vec::new(),
            loading_functions: Vec::new(),
            disabled_functions: Vec::new(),
            degraded_functions: Vec::new(),
            resources: ResourcesView::default(),
            free_vram_bytes: 0,
            models: Vec::new(),
            jobs: 0,
            connected_at: UnixMs(0),
        };
        Self {
            id,
            release_id: String::new(),
            link: None,
            epoch: 0,
            draining: false,
            phase: Phase::default(),
            available: BTreeSet::new(),
            loading: BTreeSet::new(),
            disabled: BTreeMap::new(),
            degraded: BTreeMap::new(),
            jobs: HashSet::default(),
            limits: HashMap::new(),
            counted: Vec::new(),
            superseded: VecDeque::new(),
            held: Held::default(),
            operations: Operations::default(),
            keep: BTreeSet::new(),
            tended_at: None,
            resources: pb::WorkerResources::default(),
            free_vram_bytes: 0,
            connected_at: UnixMs(0),
            cell: Arc::new(WorkerCell { info: Mutex::new(info), jobs: 0.into() }),
        }
    }

    /// Replaces everything by a Hello (O5).
    pub(crate) fn hello(&mut self, hello: HelloReport, at: UnixMs) {
        self.release_id = hello.release_id;
        self.resources = hello.resources;
        self.held.replace(hello.models);
        self.operations.clear();
        self.disabled.clear();
        self.degraded.clear();
        self.limits.clear();
        self.draining = false;
        self.connected_at = at;
        self.state(hello.state);
    }

    /// Takes a state over wholesale; a function that is available again is no longer disabled (O19).
    pub(crate) fn state(&mut self, state: StateReport) {
        self.phase = state.phase;
        self.available = state.available.into_iter().collect();
        self.loading = state.loading.into_iter().filter(|name| !self.available.contains(name)).collect();
        self.free_vram_bytes = state.free_vram_bytes;
        let available = &self.available;
        self.disabled.retain(|name, _| !available.contains(name));
    }

    /// Whether models are used on accelerators here.
    pub(crate) fn has_vram(&self) -> bool {
        self.resources.vram_total_bytes > 0
    }

    /// Free accelerator memory; none without accelerators.
    pub(crate) fn free_vram(&self) -> Option<u64> {
        self.has_vram().then(|| u64::try_from(self.free_vram_bytes).unwrap_or(0))
    }

    /// Functions that it offers, whatever their state.
    pub(crate) fn offers(&self) -> impl Iterator<Item = &FunctionName> {
        self.available.iter().chain(&self.loading).chain(self.disabled.keys())
    }

    /// Whether it may be sent anything new.
    pub(crate) fn takes_work(&self) -> bool {
        self.link.is_some() && !self.draining && !self.phase.is_error()
    }

    /// Requests of `function` it takes beside those it has.
    pub(crate) fn free_for(&self, function: &FunctionName) -> u32 {
        self.limits.get(function).map_or(u32::MAX, Limit::free)
    }

    /// Writes everything but the job count into the view.
    pub(crate) fn publish(&self) {
        let names = |names: &BTreeSet<FunctionName>| names.iter().map(ToString::to_string).collect();
        let resources = &self.resources;
        *self.cell.info.lock() = WorkerView {
            worker_id: self.id.to_string(),
            release_id: self.release_id.clone(),
            connected: self.link.is_some(),
            draining: self.draining,
            phase: self.phase.name(),
            available_functions: names(&self.available),
            loading_functions: names(&self.loading),
            disabled_functions: self.disabled.values().map(disabled_view).collect(),
            degraded_functions: self.degraded.values().map(degraded_view).collect(),
            resources: ResourcesView {
                gpu_count: resources.gpu_count,
                vram_total_bytes: resources.vram_total_bytes,
                gpu_name: resources.gpu_name.clone(),
                gpu_sm: resources.gpu_sm.clone(),
                installed_libs: resources.installed_libs.clone(),
                image_digest: resources.image_digest.clone(),
                git_commit: resources.git_commit.clone(),
                instance_id: resources.instance_id.clone(),
            },
            free_vram_bytes: self.free_vram_bytes,
            models: self.held.views(),
            jobs: 0,
            connected_at: self.connected_at,
        };
    }

    pub(crate) fn add_job(&mut self, sequence: Sequence, function: &FunctionName) {
        if self.jobs.insert(sequence) {
            self.cell.jobs.fetch_add(1, Relaxed);
            if let Some(limit) = self.limits.get_mut(function) {
                limit.running += 1;
            }
        }
    }

    pub(crate) fn remove_job(&mut self, sequence: Sequence, function: &FunctionName) {
        if self.jobs.remove(&sequence) {
            self.cell.jobs.fetch_sub(1, Relaxed);
            if let Some(limit) = self.limits.get_mut(function) {
                limit.finished();
            }
        }
    }
}

fn disabled_view(report: &UnavailableReport) -> DisabledView {
    DisabledView { function: report.function.to_string(), reason: report.reason.clone(), detail: report.detail.clone() }
}

fn degraded_view(report: &DegradedReport) -> DegradedView {
    DegradedView {
        function: report.function.to_string(),
        wanted: report.wanted.clone(),
        ran: report.ran.clone(),
        reason: report.reason.clone(),
        latency_multiplier: report.latency_multiplier,
    }
}

impl Roster {
    pub(crate) fn get(&self, key: WorkerKey) -> Option<&Worker> {
        self.workers.get(key)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: WorkerKey) -> Option<&mut Worker> {
        self.workers.get_mut(key)?.as_mut()
    }

    pub(crate) fn find(&self, worker_id: &str) -> Option<WorkerKey> {
        self.by_id.get(worker_id).copied()
    }

    /// The worker with this id, made when there is none.
    pub(crate) fn key(&mut self, worker_id: &Arc<str>) -> WorkerKey {
        if let Some(key) = self.by_id.get(worker_id) {
            return *key;
        }
        let mut worker = Worker::away(Arc::clone(worker_id));
        self.epochs += 1;
        worker.epoch = self.epochs;
        let key = match self.workers.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.workers.push(None);
                self.workers.len() - 1
            }
        };
        if let Some(slot) = self.workers.get_mut(key) {
            *slot = Some(worker);
        }
        self.by_id.insert(Arc::clone(worker_id), key);
        key
    }

    /// A worker came or went: a new epoch begins for it.
    pub(crate) fn turn(&mut self, key: WorkerKey) {
        self.epochs += 1;
        if let Some(worker) = self.workers.get_mut(key).and_then(Option::as_mut) {
            worker.epoch = self.epochs;
        }
    }

    /// The worker a stream belongs or belonged to.
    pub(crate) fn of_session(&self, session: SessionId) -> Option<WorkerKey> {
        self.by_session.get(&session).copied()
    }

    pub(crate) fn bind(&mut self, session: SessionId, key: WorkerKey) {
        self.by_session.insert(session, key);
    }

    pub(crate) fn unbind(&mut self, session: SessionId) -> Option<WorkerKey> {
        self.by_session.remove(&session)
    }

    /// Forgets a worker.
    pub(crate) fn remove(&mut self, key: WorkerKey) -> Option<Worker> {
        let worker = self.workers.get_mut(key)?.take()?;
        self.by_id.remove(&worker.id);
        self.by_session.retain(|_, bound| *bound != key);
        Some(worker)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WorkerKey, &Worker)> {
        self.workers.iter().enumerate().filter_map(|(key, worker)| Some((key, worker.as_ref()?)))
    }

    /// Indexes in use and free ones among them.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Option<&Worker>> {
        self.workers.iter().map(Option::as_ref)
    }

    /// Takes every stream off.
    pub(crate) fn take_links(&mut self) -> Vec<Link> {
        self.workers.iter_mut().flatten().filter_map(|worker| worker.link.take()).collect()
    }
}
