//! The cell of an instance that moves between devices, and waits in host memory.

use futures::{
    FutureExt,
    channel::oneshot,
    future::{BoxFuture, Shared},
};
use gen_worker_tasks::Scope;

use super::{InstanceCell, Ready, Relocation, State, relocation, setup};
use crate::{context::Device, endpoint::MovableFn, worker_error::WorkerError};

impl InstanceCell {
    /// Whether instances can move between devices.
    pub(crate) fn is_movable(&self) -> bool {
        self.movable.is_some() && self.host.get().is_none()
    }

    /// What an instance that waits in host memory takes there; none where there is no such one.
    pub(crate) fn parked_bytes(&self) -> Option<u64> {
        match &*self.state.lock() {
            State::Ready(ready) => ready.parked_bytes,
            _ => None,
        }
    }

    /// Moves the instance to `device` unless it is in use: to host memory to wait there, to an accelerator to be used.
    ///
    /// # Cancel safety
    /// May be dropped; a move under way goes on.
    pub(crate) async fn relocate(&self, device: Device) -> Relocation {
        let Some(movable) = self.movable.filter(|_| self.is_movable()) else { return Relocation::Refused };
        let outcome = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut *state, State::Empty) {
                State::Ready(ready) if !ready.leases.is_held() && ready.slots.device() != device => {
                    let (moving, outcome) = self.start_move(ready, movable, device);
                    *state = State::Moving(moving);
                    outcome
                }
                other => {
                    *state = other;
                    return Relocation::Refused;
                }
            }
        };
        outcome.await.unwrap_or_else(|_| Relocation::Lost(WorkerError::retryable("the runtime is shutting down")))
    }

    fn start_move(
        &self,
        mut ready: Ready,
        movable: MovableFn,
        device: Device,
    ) -> (Shared<BoxFuture<'static, ()>>, oneshot::Receiver<Relocation>) {
        let (sender, outcome) = oneshot::channel();
        let (ended, ending) = oneshot::channel::<()>();
        let (plan, state) = (self.plan.clone(), self.state.clone());
        let cancel = self.scope.cancel().clone();
        self.scope.spawn("move", async move {
            let from = ready.slots.device();
            let moving = Scope::under("move", &cancel).spawn_blocking(move || {
                let moved = relocation::relocate(&mut ready.value, movable, from, device);
                (ready, moved)
            });
            let (next, moved) = match moving.await {
                Ok((ready, moved)) => setup::settle(&plan, ready, moved, device, &cancel).await,
                Err(_) => (State::Empty, Relocation::Lost(WorkerError::retryable("the runtime is shutting down"))),
            };
            *state.lock() = next;
            drop(ended);
            // Nobody may be waiting any more.
            drop(sender.send(moved));
        });
        (ending.map(drop).boxed().shared(), outcome)
    }
}
