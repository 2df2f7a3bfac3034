//! Slots that are tasks of this process: for tests on a paused clock. They isolate nothing.

use std::{io, sync::Arc};

use futures::future::{BoxFuture, ready};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tokio::{
    io::duplex,
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinHandle},
};

use super::{
    child::serve_slot,
    launcher::{LaunchedSlot, SlotChild, SlotExit, SlotLauncher},
};
use crate::{
    Registry,
    gpu::NoGpus,
    memory::{MemoryProbe, SystemMemory},
};

/// Bytes a pipe holds; small enough that a reader who stops is felt.
const PIPE_BYTES: usize = 64 * 1024;

/// Starts children as tasks. Each has a registry of its own, as a process has.
pub struct InMemorySlots {
    registry: Box<dyn Fn() -> Registry + Send + Sync>,
    memory: Arc<dyn MemoryProbe>,
    live: Mutex<Vec<Crashable>>,
}

/// What a crash needs of a child.
struct Crashable {
    task: AbortHandle,
    exit: Arc<Mutex<SlotExit>>,
}

struct Child {
    task: JoinHandle<()>,
    exit: Arc<Mutex<SlotExit>>,
    ended: watch::Receiver<bool>,
    _scope: Scope,
}

impl InMemorySlots {
    /// Children whose registries `registry` makes.
    #[must_use]
    pub fn new(registry: impl Fn() -> Registry + Send + Sync + 'static) -> Self {
        let memory = Arc::new(SystemMemory::new(Arc::new(NoGpus)));
        Self { registry: Box::new(registry), memory, live: Mutex::default() }
    }

    /// Has children ask `memory` what they use of accelerators; without it they have none.
    #[must_use]
    pub fn with_memory(self, memory: Arc<dyn MemoryProbe>) -> Self {
        Self { memory, ..self }
    }

    /// Ends every child that runs, as if it had ended like this by itself.
    pub fn crash(&self, exit: SlotExit) {
        for child in self.live.lock().drain(..) {
            *child.exit.lock() = exit;
            child.task.abort();
        }
    }

    /// Children that run.
    #[must_use]
    pub fn running(&self) -> usize {
        let mut live = self.live.lock();
        live.retain(|child| !child.task.is_finished());
        live.len()
    }
}

impl SlotLauncher for InMemorySlots {
    fn launch(&self) -> BoxFuture<'static, io::Result<LaunchedSlot>> {
        let (ours, theirs) = duplex(PIPE_BYTES);
        let (scope, registry, memory) = (Scope::new("in-memory-slot"), (self.registry)(), self.memory.clone());
        let exit = Arc::new(Mutex::new(SlotExit::Signal(9)));
        // The sender drops with the task, however it ends.
        let (sender, ended) = watch::channel(false);
        let task = scope.spawn_bare({
            let exit = exit.clone();
            async move {
                let _ended = sender;
                let served = serve_slot(&registry, Box::new(theirs), &Handle::current(), memory).await;
                *exit.lock() = SlotExit::Code(i32::from(served.is_err()));
            }
        });
        self.live.lock().push(Crashable { task: task.abort_handle(), exit: exit.clone() });
        let child = Child { task, exit, ended, _scope: scope };
        Box::pin(ready(Ok(LaunchedSlot { stream: Box::new(ours), child: Box::new(child) })))
    }
}

impl SlotChild for Child {
    fn has_ended(&mut self) -> bool {
        self.task.is_finished()
    }

    fn kill(&mut self) {
        if !self.task.is_finished() {
            *self.exit.lock() = SlotExit::Signal(9);
            self.task.abort();
        }
    }

    fn wait(&mut self) -> BoxFuture<'_, SlotExit> {
        Box::pin(async {
            // An error is the end of the sender.
            while self.ended.changed().await.is_ok() {}
            *self.exit.lock()
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.task.abort();
    }
}
