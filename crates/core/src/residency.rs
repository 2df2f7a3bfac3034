//! Which instances have to make room before another one is loaded: the wire contract, 11.8, as a pure plan.
//!
//! Memory is what was measured: how much the machine has free now, and how much less it had after each instance was
//! loaded. Idle instances go, the one used longest ago first; one that is in use never goes.

use std::time::Duration;

/// A gibibyte.
const GIB: u64 = 1 << 30;

/// What stays free on an accelerator besides what a model needs: activations and the allocator's slack.
const VRAM_RESERVE_BYTES: u64 = 2 * GIB;

/// Bytes by kind of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Of the host.
    pub ram_bytes: u64,
    /// Of accelerators, all together.
    pub vram_bytes: u64,
}

/// A loaded instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// What is free once it is gone.
    pub footprint: Memory,
    /// Time since a job used it.
    pub idle: Duration,
    /// A job uses it, or it is being loaded.
    pub pinned: bool,
}

/// The machine before a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free now.
    pub free: Memory,
    /// All there is.
    pub total: Memory,
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

/// Host memory that stays free: a fifth of it, at least 1 GiB, at most 8 GiB.
#[must_use]
pub fn ram_floor_bytes(total: u64) -> u64 {
    (total / 5).clamp(GIB, 8 * GIB)
}

/// The instances, by index into `held`, that have to go before one of size `needs` is loaded; none if there is room.
///
/// # Errors
/// When it does not fit even without all idle ones. Nothing should go then.
pub fn plan(needs: Memory, room: Room, held: &[Held]) -> Result<Vec<usize>, NoRoom> {
    let ram_needed = needs.ram_bytes.saturating_add(ram_floor_bytes(room.total.ram_bytes));
    // A load that uses no accelerator does not care how full it is.
    let vram_needed = if needs.vram_bytes == 0 { 0 } else { needs.vram_bytes.saturating_add(VRAM_RESERVE_BYTES) };
    let mut idle: Vec<_> = held.iter().enumerate().filter(|(_, held)| !held.pinned).collect();
    idle.sort_by_key(|(_, held)| std::cmp::Reverse(held.idle));
    let mut free = room.free;
    let mut going = Vec::new();
    for (index, instance) in idle {
        let (short_of_ram, short_of_vram) = (free.ram_bytes < ram_needed, free.vram_bytes < vram_needed);
        let helps =
            (short_of_ram && instance.footprint.ram_bytes > 0) || (short_of_vram && instance.footprint.vram_bytes > 0);
        if helps {
            free.ram_bytes = free.ram_bytes.saturating_add(instance.footprint.ram_bytes);
            free.vram_bytes = free.vram_bytes.saturating_add(instance.footprint.vram_bytes);
            going.push(index);
        }
    }
    if free.ram_bytes < ram_needed {
        return Err(NoRoom { what: "host", needed_bytes: ram_needed, free_bytes: free.ram_bytes });
    }
    if free.vram_bytes < vram_needed {
        return Err(NoRoom { what: "accelerator", needed_bytes: vram_needed, free_bytes: free.vram_bytes });
    }
    Ok(going)
}

#[cfg(test)]
mod tests;
