//! Models on workers before anybody asks (O22): what workers offer and hold, what waits and what the hub has goes into a plan, and the
//! plan out as model operations. A worker is looked at when something of that has changed, and when an answer of the hub grows old.

use gen_worker_proto::{
    FunctionName,
    pb::{self, ModelOpKind, scheduler_message::Msg},
};
use tracing::{debug, info, warn};

use super::Owner;
use crate::{
    hub::{HubUnavailable, Lookup},
    pool::{
        declared::Needs,
        lanes::LaneKey,
        operations::Ended,
        roster::{Worker, WorkerKey},
        snapshots::{ModelKey, Snapshots},
        timers::Timer,
        views::FunctionManifest,
    },
    prefetch::{self, Function, Model, Standing, Step},
    session::report::ModelReport,
};

/// Why a function that may work with other files is disabled (12.3).
const SETUP_FAILED: &str = "setup_failed";

impl Owner {
    /// Endpoints said what their functions need: workers that offer those hear what to keep, and get it.
    pub(super) fn describe(&mut self, manifests: Vec<FunctionManifest>) {
        self.declared.put(&manifests);
        self.view.put_manifests(manifests);
        let connected: Vec<WorkerKey> =
            self.roster.iter().filter(|(_, w)| w.link.is_some()).map(|(key, _)| key).collect();
        for key in connected {
            let Some(worker) = self.roster.get(key) else { continue };
            if self.declared.refs(worker.offers()) != worker.keep {
                self.acknowledge(key);
            }
            self.refresh(key);
        }
    }

    /// Sends an acknowledgement: the first, or one with other refs to keep (C31).
    pub(super) fn acknowledge(&mut self, key: WorkerKey) {
        let Some(worker) = self.roster.get_mut(key) else { return };
        worker.keep = self.declared.refs(worker.offers());
        let keep = worker.keep.iter().cloned().collect();
        let ack = pb::HelloAck {
            protocol_version: pb::ProtocolVersion::Current.into(),
            file_base_url: self.options.file_base_url.clone(),
            keep,
            resolutions: Vec::new(),
        };
        self.send(key, Msg::HelloAck(ack));
    }

    /// The models of a worker are looked at at the end of this turn.
    pub(super) fn mark(&mut self, key: WorkerKey) {
        if self.options.hub.is_present() {
            self.marked.insert(key);
        }
    }

    /// A request waits in a lane: whoever loads its function should hurry.
    pub(super) fn awaits_load(&mut self, lane: LaneKey) {
        let loading = self.lanes.get(lane).filter(|lane| lane.is_loading());
        if self.options.hub.is_present() && loading.is_some_and(|lane| self.declared.get(&lane.function).is_some()) {
            self.awaited.insert(lane);
        }
    }

    /// Looks at every worker that was marked.
    pub(super) fn tend_marked(&mut self) {
        let awaited = std::mem::take(&mut self.awaited);
        for lane in &awaited {
            let Some(lane) = self.lanes.get(*lane) else { continue };
            let loads = |(_, worker): &(WorkerKey, &Worker)| worker.loading.contains(&lane.function);
            self.marked.extend(self.roster.iter().filter(loads).map(|(key, _)| key));
        }
        for key in std::mem::take(&mut self.marked) {
            self.tend(key);
        }
        if !awaited.is_empty() {
            self.fail_unplaceable();
        }
    }

    /// The time has come to look at a worker again.
    pub(super) fn tend_due(&mut self, key: WorkerKey) {
        if let Some(worker) = self.roster.get_mut(key)
            && worker.tended_at.is_some_and(|due| due <= self.now)
        {
            worker.tended_at = None;
            self.mark(key);
        }
    }

    /// Plans for one worker and sends what comes out.
    fn tend(&mut self, key: WorkerKey) {
        let now = self.now;
        let Some(worker) = self.roster.get_mut(key).filter(|worker| worker.takes_work()) else { return };
        worker.operations.pass(now);
        let Some(worker) = self.roster.get(key) else { return };
        let offered: Vec<_> = offered(worker, |function| self.declared.get(function)).collect();
        if offered.is_empty() {
            return;
        }
        let (snapshots, lanes) = (&self.snapshots, &self.lanes);
        let functions = offered.iter().map(|(function, standing, needs)| Function {
            standing: *standing,
            is_awaited: lanes.is_awaited(function),
            models: needs.of_hub().map(|(need, key)| model(worker, snapshots, &need.r#ref, key, now)).collect(),
        });
        let functions: Vec<_> = functions.collect();
        let under_way = functions.iter().flat_map(|function| &function.models);
        let spoken_for =
            worker.operations.loading().filter_map(|loading| under_way.clone().find(|m| m.r#ref == loading));
        let spoken_for = spoken_for.fold(0_u64, |sum, model| sum.saturating_add(model.bytes));
        let free_bytes = worker.free_vram().map(|free| free.saturating_sub(spoken_for));
        let files = |reference: &str| {
            let mut hub = offered.iter().flat_map(|(_, _, needs)| needs.of_hub());
            let (_, key) = hub.find(|(need, _)| need.r#ref == reference)?;
            snapshots.files(key, now).cloned()
        };
        let steps = prefetch::plan(&prefetch::Snapshot { functions, free_bytes });
        let steps: Vec<_> = steps.into_iter().map(|step| (command(step), files(step.reference()))).collect();
        let keys: Vec<ModelKey> =
            offered.iter().flat_map(|(_, _, needs)| needs.of_hub().map(|(_, key)| key.clone())).collect();
        for ((kind, reference), snapshot) in steps {
            self.operate(key, kind, reference, snapshot);
        }
        keys.iter().for_each(|model| self.refresh_model(model));
        self.set_tending(key, &keys);
    }

    /// Wakes up when an answer about one of these models grows old, or an operation is overdue.
    fn set_tending(&mut self, key: WorkerKey, models: &[ModelKey]) {
        let fresh =
            models.iter().filter_map(|model| self.snapshots.fresh_until(model)).filter(|until| *until > self.now);
        let Some(worker) = self.roster.get_mut(key) else { return };
        let Some(due) = fresh.chain(worker.operations.due()).min() else { return };
        // One timer at a time, unless it would ring too late.
        if worker.tended_at.is_none_or(|at| due < at) {
            worker.tended_at = Some(due);
            self.timers.at(due, Timer::Models(key));
        }
    }

    fn operate(&mut self, key: WorkerKey, kind: ModelOpKind, reference: String, snapshot: Option<pb::Snapshot>) {
        let Some(worker) = self.roster.get_mut(key) else { return };
        debug!(worker = %worker.id, model = reference, operation = kind.as_str_name(), "model operation");
        let digest = snapshot.as_ref().map_or("", |snapshot| snapshot.digest.as_str());
        worker.operations.sent(&reference, kind, digest, self.now);
        self.send(key, Msg::ModelOp(pb::ModelOp { op: kind.into(), r#ref: reference, snapshot }));
    }

    /// A worker told of a model, and of how an operation ended.
    pub(super) fn operation_told(&mut self, key: WorkerKey, event: &ModelReport) {
        let Some(worker) = self.roster.get_mut(key) else { return };
        let ended = worker.operations.told(&event.r#ref, event.state, &event.error, self.now);
        match ended {
            Some(Ended::Done(digest)) if !digest.is_empty() => worker.held.learn(&event.r#ref, &digest),
            Some(Ended::NoMemory) => self.unload_for(key, &event.r#ref),
            Some(Ended::Unfetchable) => self.forget_addresses(key, &event.r#ref),
            _ if event.error == "url_expired" => self.forget_addresses(key, &event.r#ref),
            _ => {}
        }
        self.mark(key);
    }

    /// What the hub gave for a ref does not work any more.
    fn forget_addresses(&mut self, key: WorkerKey, reference: &str) {
        let Some(worker) = self.roster.get(key) else { return };
        let declared = offered(worker, |function| self.declared.get(function))
            .flat_map(|(_, _, needs)| needs.of_hub())
            .filter(|(need, _)| need.r#ref == reference)
            .map(|(_, key)| key.clone());
        let declared: Vec<_> = declared.collect();
        declared.iter().for_each(|key| self.snapshots.forget(key));
        self.snapshots.forget_ref(reference);
    }

    /// A model does not fit: one that nobody uses makes way for it (11.6).
    fn unload_for(&mut self, key: WorkerKey, reference: &str) {
        let Some(worker) = self.roster.get(key) else { return };
        let running = worker.jobs.iter().filter_map(|sequence| self.table.get(*sequence));
        let used: Vec<String> = running.flat_map(|live| self.wants(live)).map(|want| want.r#ref).collect();
        let awaited = |name: &str| {
            let mut functions = worker.offers().filter(|function| self.lanes.is_awaited(function));
            functions.any(|function| self.declared.refs(std::iter::once(function)).contains(name))
        };
        let may_go = |name: &str| name != reference && !used.iter().any(|used| used == name) && !awaited(name);
        let Some(victim) = worker.held.least_used(may_go) else { return };
        info!(worker = %worker.id, model = reference, unloads = victim, "a model makes way for another");
        self.operate(key, ModelOpKind::Unload, victim, None);
        if let Some(worker) = self.roster.get_mut(key) {
            worker.operations.hurry(reference, self.now.after(UNLOAD_TIME));
        }
    }

    /// What the hub says of a model: if it is a declared one, workers that need it are looked at, and requests that wait for it hear.
    /// Tells whether it is.
    pub(super) fn learned(&mut self, key: &ModelKey, answer: &Result<Lookup, HubUnavailable>) -> bool {
        let users: Vec<(FunctionName, String)> =
            self.declared.users(key).map(|(function, reference)| (function.clone(), reference.to_owned())).collect();
        if users.is_empty() {
            return false;
        }
        let offers =
            |worker: &Worker| users.iter().any(|(function, _)| worker.offers().any(|offered| offered == function));
        let workers: Vec<WorkerKey> =
            self.roster.iter().filter(|(_, worker)| offers(worker)).map(|(key, _)| key).collect();
        workers.into_iter().for_each(|key| self.mark(key));
        let state = match answer {
            Ok(Lookup::Found(_)) => "resolved",
            Ok(Lookup::Hidden | Lookup::Absent) => "not_in_hub",
            Err(HubUnavailable) => "hub_unavailable",
        };
        for (function, reference) in &users {
            if state == "not_in_hub" {
                warn!(%function, model = reference, owner = key.tenant, "the hub does not have a declared model");
            }
            self.tell_waiting(function, reference, state);
        }
        true
    }
}

/// How long an unload may take before the load that it makes room for is tried all the same.
const UNLOAD_TIME: std::time::Duration = std::time::Duration::from_secs(1);

/// The functions of a worker that need models of the hub, and how they stand.
fn offered<'a>(
    worker: &'a Worker,
    needs: impl Fn(&FunctionName) -> Option<&'a std::sync::Arc<Needs>>,
) -> impl Iterator<Item = (&'a FunctionName, Standing, &'a Needs)> {
    let of = |standing| move |function: &'a FunctionName| (function, standing);
    let broken = worker.disabled.iter().filter(|(_, report)| report.reason == SETUP_FAILED).map(|(name, _)| name);
    let available = worker.available.iter().map(of(Standing::Available));
    let all = available.chain(worker.loading.iter().map(of(Standing::Loading))).chain(broken.map(of(Standing::Broken)));
    all.filter_map(move |(function, standing)| {
        let needs = needs(function)?;
        needs.of_hub().next()?;
        Some((function, standing, &**needs))
    })
}

/// How a model stands on a worker.
fn model<'a>(
    worker: &'a Worker,
    snapshots: &'a Snapshots,
    reference: &'a str,
    key: &ModelKey,
    now: crate::pool::clock::Tick,
) -> Model<'a> {
    let files = snapshots.files(key, now);
    let wanted = files.map(|files| files.digest.as_str());
    let sizes =
        files.into_iter().flat_map(|files| &files.files).map(|file| u64::try_from(file.size_bytes).unwrap_or(0));
    Model {
        r#ref: reference,
        wanted,
        bytes: sizes.fold(0, u64::saturating_add),
        is_held: worker.held.has(reference),
        held: worker.held.digest(reference),
        is_busy: worker.operations.is_busy(reference, wanted.unwrap_or_default()),
        is_tried: worker.operations.has_tried(reference, wanted.unwrap_or_default()),
    }
}

fn command(step: Step<'_>) -> (ModelOpKind, String) {
    match step {
        Step::Download(reference) => (ModelOpKind::Download, reference.to_owned()),
        Step::Load(reference) => (ModelOpKind::Load, reference.to_owned()),
    }
}
