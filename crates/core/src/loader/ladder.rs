//! Loads that do not fit as a whole: with which parts on the accelerator they are tried, and what each model is booked with
//! afterwards (model contract, 9.12 and section 10). Owns nothing.

use std::{collections::HashMap, sync::Arc};

use gen_worker_proto::pb;
use tracing::warn;

use super::{Entry, Loader};
use crate::{
    Binding, Instance, InstanceCell, WorkerError,
    instance::Models,
    load_plan::LoadTerms,
    memory_ladder::{OffloadMode, OffloadSupport, after_out_of_memory},
    residency::{Memory, Needs, NoRoom, load_size, shares},
};

/// An endpoint that declares `offload` takes every mode.
const SUPPORT: OffloadSupport = OffloadSupport { accelerator: true, groups: true };

impl Loader {
    /// What an instance of these models needs, which take `bytes` on disk.
    pub(super) fn needs(&self, entry: &Entry, models: &Models, bytes: u64, device: usize) -> Needs {
        if !entry.on_gpu {
            // A function that only takes directories reads of them what it wants, when it wants.
            let ram_bytes = if entry.cell.sets_up() { bytes } else { 0 };
            return Needs { ram_bytes, ..Needs::default() };
        }
        let hints = self.hints.lock();
        let hints = models.values().map(|binding| hints.get(&binding.wire_ref()).copied());
        // What needs nothing on disk needs no room for it, whatever is declared for its calls.
        let declared = entry.declared_bytes.filter(|_| bytes > 0);
        Needs { ram_bytes: 0, vram_bytes: load_size(hints, declared, bytes), device }
    }

    /// Makes room for a load whose models take `bytes` on disk. Where that is not to be had, and the endpoint takes its models
    /// in parts, room for as many as there can be.
    pub(super) async fn make_room_or_spread(
        &self,
        needs: Needs,
        entry: &Entry,
        bytes: u64,
    ) -> Result<OffloadMode, NoRoom> {
        let room = self.make_room(needs, entry).await;
        if !(entry.offloads && entry.on_gpu) {
            return room.map(|()| OffloadMode::Off);
        }
        if let Err(error) = room {
            let most = error.free_bytes.saturating_sub(self.vram.reserve_bytes).min(needs.vram_bytes);
            if most == 0 || !error.is_of_accelerator() {
                return Err(error);
            }
            self.make_room(Needs { vram_bytes: most, ..needs }, entry).await?;
        }
        let free = self.free().await.vram_on(needs.device);
        let mode = OffloadMode::choose(free, bytes, entry.declared_bytes.unwrap_or(0)).supported(SUPPORT);
        match room {
            Err(error) if mode.is_movable() => Err(error),
            _ => Ok(mode),
        }
    }

    /// Sets up on `device` of which so much is free; when memory runs out, again with less of the model there (10.3).
    pub(super) async fn set_up(
        &self,
        entry: &Entry,
        models: &Models,
        snapshots: &HashMap<String, pb::Snapshot>,
        (device, mut offload, free_bytes): (usize, OffloadMode, u64),
    ) -> Result<Instance, WorkerError> {
        let mut retries = 0;
        loop {
            *entry.offload.lock() = offload;
            let memory = entry.on_gpu.then(|| self.memory.clone());
            entry.cell.load_on(LoadTerms { policy: self.policy, offload, free_bytes, memory });
            let made = entry.cell.make(models, entry.device(device), &self.models, snapshots).await;
            let Err(error) = made else { return made };
            let next = after_out_of_memory(offload, retries, SUPPORT);
            let Some(next) = next.filter(|_| entry.offloads && error.is_out_of_memory()) else { return Err(error) };
            warn!(from = %offload, to = %next, "a load ran out of memory: once more with less of it at once");
            (offload, retries) = (next, retries + 1);
        }
    }

    /// Notes what each model of a new instance takes.
    pub(super) fn book(&self, entry: &Entry, models: &Models, instance: &Instance, taken: &Memory) {
        let slots = models.iter();
        let booked: Vec<_> = slots.map(|(slot, binding)| (binding.wire_ref(), instance.slots().booked(slot))).collect();
        if !entry.is_spread() {
            let mut hints = self.hints.lock();
            for (reference, bytes) in shares(&booked, taken.vram_sum()) {
                let hint = hints.entry(reference).or_default();
                *hint = (*hint).max(bytes);
            }
        }
        *entry.booked.lock() = booked;
    }

    /// What a model takes of accelerators, in all instances that have it.
    pub(crate) fn vram_of(&self, reference: &str) -> u64 {
        let loaded = self.entries.iter().filter(|entry| entry.cell.is_ready());
        loaded.fold(0, |sum, entry| sum.saturating_add(entry.vram_of(reference)))
    }

    /// Which parts of the instance of `cell` stay on its accelerator.
    pub(crate) fn offload(&self, cell: &Arc<InstanceCell>) -> OffloadMode {
        let loaded = self.entries.iter().find(|entry| Arc::ptr_eq(&entry.cell, cell) && cell.is_ready());
        loaded.map_or(OffloadMode::Off, |entry| *entry.offload.lock())
    }
}

impl Entry {
    /// Whether parts of its instance are elsewhere.
    pub(super) fn is_spread(&self) -> bool {
        !self.offload.lock().is_movable()
    }

    fn vram_of(&self, reference: &str) -> u64 {
        let total = self.held().vram_sum();
        let mut booked = self.booked.lock().clone();
        if booked.is_empty() {
            // Nobody measures what others load.
            let models = self.cell.all_models();
            let names = models.iter().flat_map(|models| models.values().map(Binding::wire_ref));
            booked = names.map(|reference| (reference, None)).collect();
            booked.sort();
            booked.dedup();
        }
        shares(&booked, total).get(reference).copied().unwrap_or(0)
    }
}
