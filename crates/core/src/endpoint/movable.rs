//! Instances that can leave an accelerator and come back.

use std::any::Any;

use crate::{context::Device, worker_error::Result};

/// An instance whose tensors can move: instead of being torn down to make room, it waits in host memory and is moved
/// back, without another setup, when a job needs it. Nobody else uses the instance meanwhile.
pub trait Movable: Send + Sync + 'static {
    /// Moves every tensor to `device`; those that are there stay. May block for long. Adapters that were attached are
    /// better dropped than moved.
    ///
    /// # Errors
    /// When it did not succeed; some tensors may have moved. They are then moved back.
    fn move_to(&mut self, device: Device) -> Result<()>;

    /// Where its tensors are now, and how large they are there; storage that tensors share counts once.
    fn bytes_by_device(&self) -> Vec<(Device, u64)>;

    /// Whether it can move in its present form: one whose parts are offloaded cannot (see
    /// [`OffloadMode::is_movable`](crate::memory_ladder::OffloadMode::is_movable)).
    fn is_movable(&self) -> bool {
        true
    }
}

/// An instance as something that moves; none when it is of another type.
pub type MovableFn = fn(&mut (dyn Any + Send + Sync)) -> Option<&mut dyn Movable>;
