//! Looks at accelerators while a job runs on them. Drivers tell what is in use now and keep no marks, so the mark is
//! the highest of many looks; the last one is while the job still holds what it holds.

use std::{ops::Range, sync::Arc, time::Duration};

use gen_worker_tasks::Scope;
use tokio::{task::AbortHandle, time::timeout};

use super::Peaks;
use crate::memory::MemoryProbe;

/// Between two looks. One costs some ten microseconds of a thread that may block; what a job holds for less than this
/// may be missed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long the end of a job may wait for its last look: one that takes longer is for a driver that hangs, and the
/// result matters more than its peak.
pub(crate) const LAST_LOOK_MAX: Duration = Duration::from_millis(50);

/// Watches until it drops.
pub(crate) struct VramWatch {
    look: Look,
    scope: Scope,
    looking: AbortHandle,
}

#[derive(Clone)]
struct Look {
    memory: Arc<dyn MemoryProbe>,
    devices: Range<usize>,
    peaks: Arc<Peaks>,
}

impl VramWatch {
    /// Watches these accelerators, by ordinal. Needs a runtime, whose threads it never blocks.
    pub(crate) fn start(memory: Arc<dyn MemoryProbe>, devices: Range<usize>, peaks: Arc<Peaks>) -> Self {
        let (look, scope) = (Look { memory, devices, peaks }, Scope::new("vram-watch"));
        let own = look.clone();
        let looking = scope.spawn_bare(async move {
            let blocking = Scope::new("vram-look");
            loop {
                let look = own.clone();
                if blocking.spawn_blocking(move || look.now()).await.is_err() {
                    // The probe panicked, or the runtime goes away.
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self { look, scope, looking: looking.abort_handle() }
    }

    /// Looks once more, for [`LAST_LOOK_MAX`] at most.
    ///
    /// # Cancel safety
    /// May be dropped.
    pub(crate) async fn look(&self) {
        let look = self.look.clone();
        // What it could not see it did not see.
        drop(timeout(LAST_LOOK_MAX, self.scope.spawn_blocking(move || look.now())).await);
    }

    /// Looks once more, on this thread.
    pub(crate) fn look_blocking(&self) {
        self.look.now();
    }
}

impl Drop for VramWatch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

impl Look {
    fn now(&self) {
        let (total, free) = (self.memory.total(), self.memory.free_vram());
        let used = |device| Some(total.vram_on(device).saturating_sub(free.get(device).copied().flatten()?));
        self.peaks.saw_vram(self.devices.clone().filter_map(used).sum());
    }
}
