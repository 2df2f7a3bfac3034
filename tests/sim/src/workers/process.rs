//! One worker process.

use std::{sync::Arc, time::Duration};

use gen_worker_core::{Address, Ended, LocalModels, Worker, WorkerExit, WorkerOptions};
use gen_worker_tasks::{Cancel, Scope};
use tokio::task::{JoinError, JoinHandle};

use crate::{
    clock::pass,
    handlers::registry,
    network::{Site, SiteDial},
    world::World,
};

/// How long the tasks of a process that has ended take to be gone.
const GONE_AFTER: Duration = Duration::from_millis(1);

/// How a process ended, if it did not panic.
pub(super) type Exit = Result<Result<Ended, WorkerExit>, JoinError>;

/// A process; dropping it ends its tasks.
pub(super) struct Process {
    world: Arc<World>,
    site: Arc<Site>,
    /// Also tells this process from others with the same id.
    id: Arc<str>,
    cancel: Cancel,
    running: JoinHandle<Result<Ended, WorkerExit>>,
    _scope: Scope,
}

impl Process {
    pub(super) fn start(world: Arc<World>, site: Arc<Site>, id: &str, capacity: usize, drain_budget: Duration) -> Self {
        let id: Arc<str> = id.into();
        world.trace.note(format_args!("{id} starts"));
        let mut options = WorkerOptions::new(Address::parse("grpc://orchestrator:1", false).expect("an address"));
        options.dial = Arc::new(SiteDial(Arc::clone(&site)));
        options.worker_id = id.to_string();
        options.limits.jobs_max = capacity;
        options.drain_budget = drain_budget;
        let functions = registry(&world.ledger, &id, &world.together);
        let worker = Worker::new(options, functions, Arc::new(LocalModels::new()));
        let (scope, cancel) = (Scope::new("worker process"), Cancel::new());
        let running = scope.spawn_bare(worker.run(cancel.clone()));
        Self { world, site, id, cancel, running, _scope: scope }
    }

    pub(super) fn site(&self) -> &Site {
        &self.site
    }

    pub(super) fn stop(&self) {
        self.cancel.stop();
    }

    pub(super) fn kill(&self) {
        self.site.cut();
        self.cancel.kill();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.cancel.is_stopped()
    }

    /// Its end.
    ///
    /// # Cancel safety
    /// May be dropped and awaited again until it has completed.
    pub(super) async fn exit(&mut self) -> Exit {
        (&mut self.running).await
    }

    /// Looks at how it ended, and at what it left behind.
    pub(super) async fn bury(self, exit: Exit) {
        let (trace, id) = (&self.world.trace, &self.id);
        match exit {
            Ok(Ok(Ended::Drained)) => trace.note(format_args!("{id} has drained")),
            Ok(Ok(Ended::Killed)) if self.cancel.is_killed() => trace.note(format_args!("{id} was killed")),
            other => trace.violation(format_args!("{id} ended: {other:?}")),
        }
        // What it left on the network belongs to a process that is gone.
        self.site.cut();
        pass(GONE_AFTER).await;
        let left = self.world.ledger.running_on(id);
        trace.check(left == 0, || format!("{id} has ended and runs {left} handlers"));
    }
}
