//! Moving one instance from device to device, so that it is whole on one of them afterwards or not there at all. Knows
//! nothing of the cell's state.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    context::Device,
    endpoint::{InstanceValue, Movable, MovableFn},
    worker_error::{Result, WorkerError},
};

/// How often a move is made before what stayed behind counts: once more may bring stragglers.
const MOVES_MAX: usize = 2;

/// What became of an instance that was to move.
#[derive(Clone, Debug)]
pub(crate) enum Relocation {
    /// All of it is there: so many bytes.
    Moved(u64),
    /// It cannot move, or not now. Nothing happened.
    Refused,
    /// It is all where it was.
    Stayed(WorkerError),
    /// Parts of it are here and there. It is of no use any more.
    Lost(WorkerError),
}

/// Moves an instance that is on `from` to `to`. Blocks.
pub(super) fn relocate(value: &mut InstanceValue, as_movable: MovableFn, from: Device, to: Device) -> Relocation {
    // Somebody who kept it could see it move.
    let Some(instance) = Arc::get_mut(value).and_then(as_movable) else { return Relocation::Refused };
    // What comes back has left in a form that can move.
    if !caught(|| Ok(instance.is_movable())).unwrap_or(false) {
        return Relocation::Refused;
    }
    match bring(instance, to) {
        Ok(bytes) => Relocation::Moved(bytes),
        Err(error) => match bring(instance, from) {
            Ok(_) => Relocation::Stayed(error),
            Err(_) => Relocation::Lost(error),
        },
    }
}

/// Moves until every tensor is there. Gives their size.
fn bring(instance: &mut dyn Movable, device: Device) -> Result<u64> {
    for _ in 0..MOVES_MAX {
        caught(|| instance.move_to(device))?;
        let held = caught(|| Ok(instance.bytes_by_device()))?;
        if held.iter().all(|(at, _)| *at == device) {
            return Ok(held.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes)));
        }
    }
    Err(WorkerError::retryable("parts of a model did not move"))
}

/// What the author's code does, panics included.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // An instance that panicked is moved back or dropped.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(WorkerError::from_panic(&*panic)))
}

#[cfg(test)]
mod tests;
