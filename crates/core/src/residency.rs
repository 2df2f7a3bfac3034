//! Which instances have to make room before another one is loaded: the wire contract, 11.8, as a pure plan.
//!
//! Memory is what was measured: how much the machine has free now, and how much less it had after each instance was
//! loaded. Every accelerator counts by itself. Idle instances go, the one used longest ago first; one that is in use never
//! goes. Those that can move go to host memory, which costs less to undo; others go altogether.

mod shares;

use std::time::Duration;

pub(crate) use shares::{load_size, shares};

/// A gibibyte.
const GIB: u64 = 1 << 30;

/// What stays free on an accelerator besides what a model needs, unless told otherwise: activations and the
/// allocator's slack.
const VRAM_RESERVE_BYTES: u64 = 2 * GIB;

/// Bounds on what models take of each accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VramLimits {
    /// Most that all models on it take together; none = whatever it has.
    pub models_bytes_max: Option<u64>,
    /// What stays free besides what a model needs when it is loaded.
    pub reserve_bytes: u64,
}

/// Bytes by kind of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Of the host.
    pub ram_bytes: u64,
    /// Of each accelerator, by ordinal; those that are not listed have none of it.
    pub vram_bytes: Vec<u64>,
}

/// What a load needs. A model is placed on one accelerator: what others have free is of no use to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Of the host.
    pub ram_bytes: u64,
    /// Of the accelerator [`Self::device`].
    pub vram_bytes: u64,
    /// Ordinal of that accelerator.
    pub device: usize,
}

/// A loaded instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What is free once it is gone.
    pub footprint: Memory,
    /// Time since a job used it.
    pub idle: Duration,
    /// A job uses it, or it is being loaded.
    pub pinned: bool,
    /// It can move from its accelerator to host memory and back.
    pub movable: bool,
}

/// One of the instances that make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which one, among those that are held.
    pub index: usize,
    /// How it goes.
    pub way: Way,
}

/// How an instance makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// From its accelerator to host memory.
    Demote,
    /// Back to what is on disk.
    TearDown,
}

/// The machine before a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free now.
    pub free: Memory,
    /// All there is.
    pub total: Memory,
    /// What has to stay free on the accelerator of the load.
    pub vram_reserve_bytes: u64,
}

/// There is no room, whoever goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} memory does not suffice: {needed_bytes} bytes are needed besides what is in use, {free_bytes} are free"
)]
pub struct NoRoom {
    /// Kind of memory.
    pub what: &'static str,
    /// What the load needs, reserve included.
    pub needed_bytes: u64,
    /// What would be free without every idle instance.
    pub free_bytes: u64,
}

/// How memory of accelerators is called.
const ACCELERATOR: &str = "accelerator";

impl NoRoom {
    /// Whether it is an accelerator that is full.
    pub(crate) fn is_of_accelerator(&self) -> bool {
        self.what == ACCELERATOR
    }
}

impl Default for VramLimits {
    fn default() -> Self {
        Self { models_bytes_max: None, reserve_bytes: VRAM_RESERVE_BYTES }
    }
}

impl Memory {
    /// What there is of one accelerator.
    #[must_use]
    pub fn vram_on(&self, device: usize) -> u64 {
        self.vram_bytes.get(device).copied().unwrap_or(0)
    }

    /// Only memory of one accelerator.
    #[must_use]
    pub fn of_device(device: usize, bytes: u64) -> Self {
        let mut vram_bytes = vec![0; device];
        vram_bytes.push(bytes);
        Self { ram_bytes: 0, vram_bytes }
    }

    /// Of all accelerators together.
    #[must_use]
    pub fn vram_sum(&self) -> u64 {
        self.vram_bytes.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// With `other` besides.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, u64::saturating_add);
    }

    /// Without `other`; never less than nothing.
    pub fn sub(&mut self, other: &Self) {
        self.combine(other, u64::saturating_sub);
    }

    fn combine(&mut self, other: &Self, with: fn(u64, u64) -> u64) {
        self.ram_bytes = with(self.ram_bytes, other.ram_bytes);
        if self.vram_bytes.len() < other.vram_bytes.len() {
            self.vram_bytes.resize(other.vram_bytes.len(), 0);
        }
        for (bytes, other) in self.vram_bytes.iter_mut().zip(&other.vram_bytes) {
            *bytes = with(*bytes, *other);
        }
    }
}

/// Host memory that stays free: a fifth of it, at least 1 GiB, at most 8 GiB.
#[must_use]
pub fn ram_floor_bytes(total: u64) -> u64 {
    (total / 5).clamp(GIB, 8 * GIB)
}

/// Whether something of `bytes` may move to host memory of which that much is free: the floor stays.
#[must_use]
pub fn ram_admits(bytes: u64, free: u64, total: u64) -> bool {
    free >= bytes.saturating_add(ram_floor_bytes(total))
}

impl Needs {
    /// What has to be free of the host, the floor included. A load does not care how full what it does not use is.
    pub(crate) fn ram_to_be_free(&self, total: u64) -> u64 {
        besides(self.ram_bytes, ram_floor_bytes(total))
    }

    /// What has to be free of its accelerator, of which `reserve` stays free.
    pub(crate) fn vram_to_be_free(&self, reserve: u64) -> u64 {
        besides(self.vram_bytes, reserve)
    }
}

fn besides(bytes: u64, stays: u64) -> u64 {
    if bytes == 0 { 0 } else { bytes.saturating_add(stays) }
}

/// How instances have to go before one that needs `needs` is loaded, in this order; none if there is room. On the
/// accelerator those that can move go first, as far as host memory takes them, then others.
///
/// # Errors
/// When it does not fit even without all idle ones. Nothing should go then.
pub fn plan(needs: Needs, room: &Room, held: &[Held]) -> Result<Vec<Step>, NoRoom> {
    let ram_floor = ram_floor_bytes(room.total.ram_bytes);
    let ram_needed = needs.ram_to_be_free(room.total.ram_bytes);
    let vram_needed = needs.vram_to_be_free(room.vram_reserve_bytes);
    let mut idle: Vec<_> = held.iter().enumerate().filter(|(_, held)| !held.pinned).collect();
    idle.sort_by_key(|(_, held)| std::cmp::Reverse(held.idle));
    let (mut free_ram, mut free_vram) = (room.free.ram_bytes, room.free.vram_on(needs.device));
    let mut steps = Vec::new();
    idle.retain(|(index, instance)| {
        let (vram, all) = (instance.footprint.vram_on(needs.device), instance.footprint.vram_sum());
        let moves = instance.movable && vram > 0 && free_vram < vram_needed;
        let fits = free_ram >= needs.ram_bytes.saturating_add(ram_floor).saturating_add(all);
        if moves && fits {
            free_ram = free_ram.saturating_sub(all);
            free_vram = free_vram.saturating_add(vram);
            steps.push(Step { index: *index, way: Way::Demote });
        }
        !(moves && fits)
    });
    for (index, instance) in idle {
        let (ram, vram) = (instance.footprint.ram_bytes, instance.footprint.vram_on(needs.device));
        if (free_ram < ram_needed && ram > 0) || (free_vram < vram_needed && vram > 0) {
            free_ram = free_ram.saturating_add(ram);
            free_vram = free_vram.saturating_add(vram);
            steps.push(Step { index, way: Way::TearDown });
        }
    }
    if free_ram < ram_needed {
        return Err(NoRoom { what: "host", needed_bytes: ram_needed, free_bytes: free_ram });
    }
    if free_vram < vram_needed {
        return Err(NoRoom { what: ACCELERATOR, needed_bytes: vram_needed, free_bytes: free_vram });
    }
    Ok(steps)
}

#[cfg(test)]
mod tests;
