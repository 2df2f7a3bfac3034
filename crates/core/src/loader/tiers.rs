//! Between accelerator and host memory: an instance that can move waits there instead of being torn down, and comes
//! back without another setup. Owns nothing.

use std::sync::{Arc, atomic::Ordering};

use tracing::{info, warn};

use super::{Entry, Loader, no_room};
use crate::{
    Binding, FailureClass, Instance, InstanceCell, WorkerError,
    context::Device,
    instance::Relocation,
    residency::{self, Memory, Needs},
    sanitize::sanitize,
};

impl Loader {
    /// Moves the idle instance of `cell` from its accelerator to host memory. `false` when it stays or is gone: it is
    /// not on one, in use, cannot move, or host memory does not take it.
    ///
    /// # Cancel safety
    /// May be dropped; a move under way goes on.
    pub(crate) async fn demote(&self, cell: &Arc<InstanceCell>) -> bool {
        let Some(entry) = self.entry(cell) else { return false };
        let _turn = self.turn.lock().await;
        matches!(self.demote_entry(entry).await, Relocation::Moved(_))
    }

    /// Whether the instance of `cell` came back to its accelerator since this was last asked.
    pub(crate) fn take_promoted(&self, cell: &Arc<InstanceCell>) -> bool {
        self.entry(cell).is_some_and(|entry| entry.promoted.swap(false, Ordering::AcqRel))
    }

    /// As [`Loader::demote`], in turn; tells of it. `false` when it is still where it was.
    pub(super) async fn demote_to_make_room(&self, entry: &Entry) -> bool {
        let models = entry.cell.models();
        let outcome = self.demote_entry(entry).await;
        let left = matches!(outcome, Relocation::Moved(_) | Relocation::Lost(_));
        if left {
            let names: Vec<_> = models.values().map(Binding::wire_ref).collect();
            info!(models = ?names, "moved to host memory to make room");
            (self.left)(entry.cell.clone(), models);
        }
        left
    }

    async fn demote_entry(&self, entry: &Entry) -> Relocation {
        let bytes = entry.footprint.lock().vram_sum();
        if !entry.can_move() || !residency::ram_admits(bytes, self.free().await.ram_bytes, self.total.ram_bytes) {
            return Relocation::Refused;
        }
        let outcome = entry.cell.relocate(Device::Cpu).await;
        if let Relocation::Stayed(error) | Relocation::Lost(error) = &outcome {
            warn!(cause = %sanitize(&error.to_string()), "an instance could not be moved to host memory");
        }
        outcome
    }

    /// The instance of `entry` that waits in host memory, back on the accelerator `device` after room was made for the
    /// most it ever took; without `lend` it is at nobody's disposal. None when none waits.
    ///
    /// # Errors
    /// Retryable: when there is no room for it, or it could not be moved. It waits on, or is gone.
    pub(super) async fn promote(
        &self,
        entry: &Entry,
        device: usize,
        lend: bool,
    ) -> Result<Option<Option<Instance>>, WorkerError> {
        let Ok(ordinal) = u32::try_from(device) else { return Ok(None) };
        if entry.cell.parked_bytes().is_none() {
            return Ok(None);
        }
        let _turn = self.turn.lock().await;
        let hint = entry.footprint.lock().vram_sum();
        let needs = Needs { ram_bytes: 0, vram_bytes: hint, device };
        self.make_room(needs, entry).await.map_err(no_room)?;
        let models = entry.cell.models();
        match entry.cell.relocate(Device::Cuda(ordinal)).await {
            Relocation::Moved(bytes) => {
                *entry.footprint.lock() = Memory::of_device(device, hint.max(bytes));
                entry.promoted.store(true, Ordering::Release);
                Ok(Some(if lend { Some(entry.cell.ready().ok_or_else(gone)?) } else { None }))
            }
            // Somebody let it go meanwhile.
            Relocation::Refused => Ok(None),
            Relocation::Stayed(error) => Err(passing(error)),
            Relocation::Lost(error) => {
                (self.left)(entry.cell.clone(), models);
                Err(passing(error))
            }
        }
    }
}

impl Entry {
    /// Whether its instance is on an accelerator and may leave it.
    pub(super) fn can_move(&self) -> bool {
        let waits = self.cell.parked_bytes().is_some();
        // What others use, too, would have to stay.
        self.on_gpu && self.cell.is_movable() && self.cell.is_ready() && !waits && !self.cell.uses_shared()
    }
}

fn gone() -> WorkerError {
    WorkerError::retryable("the instance went away again")
}

/// A move that failed says nothing of the function: the next try may succeed, or begins with a new instance.
fn passing(error: WorkerError) -> WorkerError {
    if error.class() == FailureClass::Retryable { error } else { WorkerError::retryable(error.client_message()) }
}
