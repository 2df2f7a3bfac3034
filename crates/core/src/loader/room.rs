//! The memory that instances take: what is free, who has to go. Decides by [`residency::plan`]; owns nothing.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use gen_worker_tasks::Scope;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Entry, Loader};
use crate::{
    Binding, InstanceCell,
    context::Device,
    instance::Models,
    residency::{self, Held, Memory, Needs, NoRoom, Room, Way},
};

/// How long an idle instance may take to make room. After that it goes on beside the load.
pub(super) const SHUTDOWN_MAX: Duration = Duration::from_secs(30);

/// Something that could go.
struct Candidate<'a> {
    entry: &'a Entry,
    /// One of several instances of the entry, where they live elsewhere.
    part: Option<u64>,
    /// What it was made from.
    models: Models,
}

impl Loader {
    /// What can be had now without taking it from anybody. An accelerator of which nobody can tell has what its
    /// instances leave of it; so have all while the machine cannot be asked, and where models may take only so much. Blocks no thread that drives others.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub(crate) async fn free(&self) -> Memory {
        let memory = self.memory.clone();
        let asked = Scope::new("memory").spawn_blocking(move || (memory.free_ram(), memory.free_vram()));
        let devices = self.total.vram_bytes.len();
        let (ram_bytes, free_vram) = asked.await.unwrap_or_else(|_| (self.total.ram_bytes, vec![None; devices]));
        let mut booked = Memory::default();
        for entry in self.entries.iter().filter(|entry| entry.cell.is_ready()) {
            booked.add(&entry.held());
        }
        let left = |device| {
            let all = booked.vram_on(device).saturating_add(self.components.held_bytes(cuda(device)));
            self.total.vram_on(device).saturating_sub(all)
        };
        let free = free_vram.into_iter().enumerate();
        let bounded = self.vram.models_bytes_max.is_some();
        let free = free.map(|(device, free)| match free {
            Some(free) if bounded => free.min(left(device)),
            Some(free) => free,
            None => left(device),
        });
        let vram_bytes = free.collect();
        Memory { ram_bytes, vram_bytes }
    }

    /// What there is of memory now.
    async fn room(&self) -> Room {
        Room { free: self.free().await, total: self.total.clone(), vram_reserve_bytes: self.vram.reserve_bytes }
    }

    /// Whether that would fit if the instances of `entry` went first, and then others that are idle.
    pub(super) async fn fits_without(&self, entry: &Entry, needs: Needs) -> Result<(), NoRoom> {
        let mut room = self.room_without_unused(needs).await;
        room.free.add(&entry.held());
        let others = self.entries.iter().filter(|other| !std::ptr::eq(*other, entry));
        let held: Vec<_> = others.flat_map(candidates).map(|(_, held)| held).collect();
        residency::plan(needs, &room, &held).map(drop)
    }

    /// Lets idle instances move or go until that fits. The one of `needing` that waits in host memory stays there.
    pub(super) async fn make_room(&self, needs: Needs, needing: &Entry) -> Result<(), NoRoom> {
        let mut staying: Vec<&Entry> = Vec::new();
        // Every round but the last finds one more that does not move.
        for _ in 0..=self.entries.len() {
            let room = self.room_without_unused(needs).await;
            let (candidates, mut held): (Vec<_>, Vec<_>) = self.entries.iter().flat_map(candidates).unzip();
            for (candidate, held) in candidates.iter().zip(&mut held) {
                let is = |entry: &&Entry| std::ptr::eq(*entry, candidate.entry);
                held.movable &= !staying.iter().any(is);
                held.pinned |= is(&needing) && candidate.part.is_none();
            }
            // What is shared goes after the last of those that use it.
            held.push(self.shared(needs));
            let steps =
                residency::plan(needs, &room, &held).inspect_err(|error| warn!(%error, "no room for a model"))?;
            let mut stayed = None;
            for step in steps {
                let Some(candidate) = candidates.get(step.index) else {
                    self.let_shared_go(needs, &candidates).await;
                    continue;
                };
                match step.way {
                    Way::TearDown => self.tear_down(candidate).await,
                    Way::Demote if self.demote_to_make_room(candidate.entry).await => {}
                    Way::Demote => {
                        stayed = Some(candidate.entry);
                        break;
                    }
                }
            }
            match stayed {
                Some(entry) => staying.push(entry),
                None => break,
            }
        }
        Ok(())
    }

    /// What there is of memory now, after what was shared and is not used any more made way, as far as needed.
    async fn room_without_unused(&self, needs: Needs) -> Room {
        let room = self.room().await;
        let missing = match place(needs) {
            Device::Cpu => needs.ram_to_be_free(room.total.ram_bytes).saturating_sub(room.free.ram_bytes),
            Device::Cuda(_) => {
                needs.vram_to_be_free(room.vram_reserve_bytes).saturating_sub(room.free.vram_on(needs.device))
            }
        };
        if self.components.release_idle(place(needs), missing) == 0 { room } else { self.room().await }
    }

    /// What is shared where that is needed, as one instance that goes last.
    fn shared(&self, needs: Needs) -> Held {
        let bytes = self.components.held_bytes(place(needs));
        let footprint = match place(needs) {
            Device::Cpu => Memory { ram_bytes: bytes, vram_bytes: Vec::new() },
            Device::Cuda(_) => Memory::of_device(needs.device, bytes),
        };
        let pinned = self.entries.iter().any(|entry| entry.cell.is_in_use() && entry.cell.uses_shared());
        Held { footprint, idle: Duration::ZERO, pinned, movable: false }
    }

    /// Tears down everybody idle who uses what is shared, and lets go of that.
    async fn let_shared_go(&self, needs: Needs, candidates: &[Candidate<'_>]) {
        for candidate in candidates.iter().filter(|candidate| candidate.entry.cell.uses_shared()) {
            self.tear_down(candidate).await;
        }
        self.room_without_unused(needs).await;
    }

    async fn tear_down(&self, candidate: &Candidate<'_>) {
        let Candidate { entry, part, models } = candidate;
        // One that a job took meanwhile stays; the load then meets what is there.
        if timeout(SHUTDOWN_MAX, let_go(&entry.cell, *part)).await == Ok(true) {
            let names: Vec<_> = models.values().map(Binding::wire_ref).collect();
            info!(models = ?names, "unloaded to make room");
            (self.left)(entry.cell.clone(), models.clone());
        }
    }
}

impl Entry {
    /// Memory that its instances take.
    pub(super) fn held(&self) -> Memory {
        if let Some(host) = self.cell.host() {
            return host.held();
        }
        match self.cell.parked_bytes() {
            Some(ram_bytes) => Memory { ram_bytes, vram_bytes: Vec::new() },
            None => self.footprint.lock().clone(),
        }
    }

    /// The device its models are loaded to, when a job on this accelerator asks.
    pub(super) fn device(&self, ordinal: usize) -> Device {
        match u32::try_from(ordinal) {
            Ok(ordinal) if self.on_gpu => Device::Cuda(ordinal),
            _ => Device::Cpu,
        }
    }
}

/// Where that is needed.
fn place(needs: Needs) -> Device {
    if needs.vram_bytes == 0 { Device::Cpu } else { cuda(needs.device) }
}

/// An accelerator by its ordinal.
fn cuda(device: usize) -> Device {
    Device::Cuda(u32::try_from(device).unwrap_or(u32::MAX))
}

/// What of an entry could go, each with what that would free.
fn candidates(entry: &Entry) -> Vec<(Candidate<'_>, Held)> {
    if let Some(host) = entry.cell.host() {
        let idle = host.idle().into_iter().map(|idle| {
            let held = Held { footprint: idle.footprint, idle: idle.idle, pinned: false, movable: false };
            (Candidate { entry, part: Some(idle.id), models: idle.models }, held)
        });
        return idle.collect();
    }
    if !entry.cell.is_ready() {
        return Vec::new();
    }
    let held = Held {
        footprint: entry.held(),
        idle: entry.cell.idle(),
        pinned: entry.cell.is_in_use(),
        movable: entry.can_move(),
    };
    vec![(Candidate { entry, part: None, models: entry.cell.models() }, held)]
}

/// Lets an instance go unless somebody uses it.
fn let_go(cell: &Arc<InstanceCell>, part: Option<u64>) -> BoxFuture<'_, bool> {
    match (cell.host(), part) {
        (Some(host), Some(part)) => host.release(part),
        _ => cell.shutdown_if_idle().boxed(),
    }
}
