//! What this worker holds of models and memory, as the orchestrator hears it. Owns no state: it asks the source, the
//! loader and the machine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gen_worker_proto::pb::{self, worker_message::Msg};
use tokio::time::timeout;

use super::{serving::Serving, setup::SetupEvent};
use crate::{
    Binding, Function, InstanceCell, ModelResidency, Tier, WorkerError, availability::Unavailable, gpu,
    instance::Models, loader::Loader,
};

/// What a function is said to run with when a cast was dropped: what weights are published in (12.4).
const PLAIN_PRECISION: &str = "bf16";

/// How much slower a model runs that is brought in parts, by a guess that the contract gives.
const OFFLOAD_SLOWDOWN: f64 = 2.5;

/// How long the first connection waits for a look at free memory, which takes milliseconds.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(2);

/// Looks at free accelerator memory.
#[derive(Default)]
pub(super) struct Sampling {
    /// One is under way.
    running: bool,
    /// Something has changed since it began.
    again: bool,
}

impl Serving {
    /// An instance of these models was let go. Of the model `operation` names, the end of that operation will tell.
    pub(super) fn gone(&mut self, cell: &Arc<InstanceCell>, models: &Models, operation: Option<&str>) {
        // A job may have brought it back since.
        if !cell.is_ready() {
            let names: Vec<_> = self.roster.sharing(cell).map(|function| function.name().clone()).collect();
            names.iter().for_each(|name| self.availability.unloaded(name));
        }
        for reference in models.values().map(Binding::wire_ref) {
            if operation != Some(reference.as_str()) {
                self.tell_model(self.position(reference));
            }
        }
    }

    /// A model moved: the orchestrator hears it, and the view of it follows.
    pub(super) fn tell_model(&self, event: pb::ModelEvent) {
        let cell = self.loader.loaded().find(|cell| uses(cell, &event.r#ref));
        self.cache.moved(&event, cell);
        self.outbox.push(Msg::ModelEvent(event));
    }

    /// Where a model is now: the highest place that any instance or the disk gives it.
    pub(super) fn position(&self, reference: String) -> pb::ModelEvent {
        if self.loader.loaded().any(|cell| uses(cell, &reference)) {
            return loaded_event(reference, &self.loader);
        }
        let on_disk = self.models.residency().iter().any(|held| held.reference == reference);
        let state = if on_disk { pb::ModelState::OnDisk } else { pb::ModelState::Evicted };
        pb::ModelEvent { r#ref: reference, state: state.into(), ..Default::default() }
    }

    /// Functions that run otherwise than planned, by name: no engine here casts weights while it loads them (11.9), so they
    /// run with what their models hold; and those whose models did not fit run with parts of them elsewhere (12.4).
    pub(super) fn degraded(&self) -> Vec<pb::FnDegraded> {
        let casts = |reference: &str| {
            let plans = self.acknowledged.resolutions.iter().filter(|plan| !plan.cast.is_empty());
            plans.filter(|plan| plan.r#ref == reference).map(|plan| plan.cast.clone()).next()
        };
        let spread = |function: &Arc<Function>| {
            let mode = function.instance().map(|cell| self.loader.offload(cell)).filter(|mode| !mode.is_movable())?;
            Some(pb::FnDegraded {
                function_name: function.name().as_str().to_owned(),
                wanted: PLAIN_PRECISION.to_owned(),
                ran: format!("offload:{mode}"),
                reason: "its models do not fit the accelerator as a whole".to_owned(),
                est_latency_multiplier: OFFLOAD_SLOWDOWN,
                recommended_vram_gb: function.resources().vram_gb().unwrap_or(0.0),
            })
        };
        let degraded = |function: &Arc<Function>| {
            if let Some(spread) = spread(function) {
                return self.availability.disabled(function.name()).is_none().then_some(spread);
            }
            let cast = function.slots().values().find_map(|binding| casts(&binding.wire_ref()))?;
            self.availability.disabled(function.name()).is_none().then(|| pb::FnDegraded {
                function_name: function.name().as_str().to_owned(),
                wanted: cast,
                ran: PLAIN_PRECISION.to_owned(),
                reason: "this worker does not cast weights".to_owned(),
                est_latency_multiplier: 1.0,
                recommended_vram_gb: function.resources().vram_gb().unwrap_or(0.0),
            })
        };
        let mut degraded: Vec<_> = self.roster.iter().filter_map(degraded).collect();
        degraded.sort_by(|a, b| a.function_name.cmp(&b.function_name));
        degraded
    }

    /// Whether this machine can run a function of `cell`.
    pub(super) fn can_run(&self, cell: &Arc<InstanceCell>) -> bool {
        let gated = |why: &Unavailable| why.permanent;
        self.roster.sharing(cell).any(|function| !self.availability.disabled(function.name()).is_some_and(gated))
    }

    /// Has free accelerator memory looked at, off the event loop: the driver may take its time. A look that is asked
    /// for during another one follows it.
    pub(super) fn sample_memory(&mut self) {
        if self.options.resources.vram_total_bytes <= 0 {
            return;
        }
        if std::mem::replace(&mut self.sampling.running, true) {
            self.sampling.again = true;
            return;
        }
        let (loader, events) = (self.loader.clone(), self.setups.clone());
        self.scope.spawn("free-vram", async move {
            let free = loader.free().await.vram_sum();
            // The receiver goes away only with the worker.
            drop(events.send(SetupEvent::FreeVram(free)).await);
        });
    }

    /// Looks once, before anybody is told: others may use the accelerators. A driver that does not answer in time is
    /// no reason not to serve.
    pub(super) async fn first_look(&mut self) {
        let total = self.options.resources.vram_total_bytes;
        if total > 0
            && let Ok(free) = timeout(FIRST_LOOK_MAX, self.loader.free()).await
        {
            self.availability.free_vram(gpu::told_free_bytes(free.vram_sum(), total));
        }
    }

    /// What the orchestrator hears of free accelerator memory.
    pub(super) fn sampled(&mut self, free: u64) {
        self.sampling.running = false;
        let total = self.options.resources.vram_total_bytes;
        self.availability.free_vram(gpu::told_free_bytes(free, total));
        if std::mem::take(&mut self.sampling.again) {
            self.sample_memory();
        }
    }

    /// Everything that is held: what the source has on disk, and above it what instances have loaded.
    pub(super) fn residency(&self) -> Vec<pb::ModelResidency> {
        let held = self.models.residency().into_iter().map(|held| (held.reference.clone(), held));
        let mut held: BTreeMap<_, _> = held.collect();
        for cell in self.loader.loaded() {
            let all = cell.all_models();
            for reference in all.iter().flat_map(|models| models.values()).map(Binding::wire_ref) {
                let (tier, vram_bytes) = tier(&reference, &self.loader);
                held.insert(reference.clone(), ModelResidency { reference, tier, vram_bytes });
            }
        }
        held.into_values().map(residency).collect()
    }

    /// A set-up failed. If that was because a model could not be had, whoever heard of its download hears how that ended; of a
    /// model that only lacks its snapshot nothing was heard. Of the model `operation` names, the end of that operation tells.
    pub(super) fn model_failed(&self, error: &WorkerError, operation: Option<&str>) {
        let (Some(reference), Some(reason)) = (error.unavailable_model(), error.unavailable_reason()) else { return };
        if operation != Some(reference) && reason != "missing_snapshot" {
            let state = pb::ModelState::Failed.into();
            let event =
                pb::ModelEvent { r#ref: reference.to_owned(), state, error: reason.to_owned(), ..Default::default() };
            self.outbox.push(Msg::ModelEvent(event));
        }
    }

    /// The models of an instance are loaded. Of the model `operation` names, somebody else tells.
    pub(super) fn loaded(&self, cell: &Arc<InstanceCell>, operation: Option<&str>) {
        for reference in cell.models().values().map(Binding::wire_ref) {
            if operation != Some(reference.as_str()) {
                self.tell_model(loaded_event(reference, &self.loader));
            }
        }
        if self.is_connected() && !self.loader.offload(cell).is_movable() {
            for degraded in self.degraded() {
                self.outbox.push(Msg::FnDegraded(degraded));
            }
        }
    }
}

/// Whether an instance of `cell` was made from this model.
pub(super) fn uses(cell: &InstanceCell, reference: &str) -> bool {
    cell.all_models().iter().flat_map(|models| models.values()).any(|binding| binding.wire_ref() == reference)
}

/// Where a model is that some instance has, and what it takes there: measured, each share of an instance by itself (model
/// contract, 9.12).
fn tier(reference: &str, loader: &Loader) -> (Tier, u64) {
    let vram_bytes = loader.vram_of(reference);
    if vram_bytes > 0 { (Tier::Vram, vram_bytes) } else { (Tier::Ram, 0) }
}

/// Says that a model is loaded.
pub(super) fn loaded_event(reference: String, loader: &Loader) -> pb::ModelEvent {
    let (tier, vram_bytes) = tier(&reference, loader);
    let state = if tier == Tier::Vram { pb::ModelState::InVram } else { pb::ModelState::InRam };
    let vram_bytes = i64::try_from(vram_bytes).unwrap_or(i64::MAX);
    pb::ModelEvent { r#ref: reference, state: state.into(), vram_bytes, ..Default::default() }
}

/// The wire form of a held model.
fn residency(held: ModelResidency) -> pb::ModelResidency {
    let tier = match held.tier {
        Tier::Disk => pb::ResidencyTier::Disk,
        Tier::Ram => pb::ResidencyTier::Ram,
        Tier::Vram => pb::ResidencyTier::Vram,
    };
    let vram_bytes = i64::try_from(held.vram_bytes).unwrap_or(i64::MAX);
    pb::ModelResidency { r#ref: held.reference, tier: tier.into(), vram_bytes }
}
