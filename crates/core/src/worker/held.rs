//! What this worker holds of models and memory, as the orchestrator hears it. Owns no state: it asks the source, the
//! loader and the machine.

use std::{collections::BTreeMap, sync::Arc};

use gen_worker_proto::pb::{self, worker_message::Msg};

use super::serving::Serving;
use crate::{Binding, InstanceCell, ModelResidency, Tier, availability::Unavailable, gpu, residency::Memory};

impl Serving {
    /// An instance was unloaded to make room: its functions are loading again, its models are on disk.
    pub(super) fn evicted(&mut self, cell: &Arc<InstanceCell>) {
        self.unloaded(cell);
        for binding in cell.models().values() {
            let state = pb::ModelState::OnDisk.into();
            let event = pb::ModelEvent { r#ref: binding.wire_ref(), state, ..Default::default() };
            self.outbox.push(Msg::ModelEvent(event));
        }
    }

    /// Whether this machine can run a function of `cell`.
    pub(super) fn can_run(&self, cell: &Arc<InstanceCell>) -> bool {
        let gated = |why: &Unavailable| why.permanent;
        self.roster.sharing(cell).any(|function| !self.availability.disabled(function.name()).is_some_and(gated))
    }

    /// The functions of `cell` need it to be set up again.
    pub(super) fn unloaded(&mut self, cell: &Arc<InstanceCell>) {
        let names: Vec<_> = self.roster.sharing(cell).map(|function| function.name().clone()).collect();
        names.iter().for_each(|name| self.availability.unloaded(name));
    }

    /// What the orchestrator hears of free accelerator memory.
    pub(super) fn sample_memory(&mut self) {
        let total = self.options.resources.vram_total_bytes;
        if total > 0 {
            let free = self.options.memory.free().vram_bytes;
            self.availability.free_vram(gpu::told_free_bytes(free, total));
        }
    }

    /// Everything that is held: what the source has on disk, and above it what instances have loaded.
    pub(super) fn residency(&self) -> Vec<pb::ModelResidency> {
        let held = self.models.residency().into_iter().map(|held| (held.reference.clone(), held));
        let mut held: BTreeMap<_, _> = held.collect();
        for cell in self.loader.loaded() {
            let (tier, vram_bytes) = tier(self.loader.footprint(cell));
            for reference in cell.models().values().map(Binding::wire_ref) {
                held.insert(reference.clone(), ModelResidency { reference, tier, vram_bytes });
            }
        }
        held.into_values().map(residency).collect()
    }

    /// The models of an instance are loaded. Of the model `operation` names, somebody else tells.
    pub(super) fn loaded(&self, cell: &Arc<InstanceCell>, operation: Option<&str>) {
        let footprint = self.loader.footprint(cell);
        for reference in cell.models().values().map(Binding::wire_ref) {
            if operation != Some(reference.as_str()) {
                self.outbox.push(Msg::ModelEvent(loaded_event(reference, footprint)));
            }
        }
    }
}

/// Where the models of an instance of this measured size are.
fn tier(footprint: Memory) -> (Tier, u64) {
    if footprint.vram_bytes > 0 { (Tier::Vram, footprint.vram_bytes) } else { (Tier::Ram, 0) }
}

/// Says that a model is loaded.
pub(super) fn loaded_event(reference: String, footprint: Memory) -> pb::ModelEvent {
    let (tier, vram_bytes) = tier(footprint);
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
