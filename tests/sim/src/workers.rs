//! Worker processes: one place each, in which one process follows the other. Owns nothing but the one that runs.

use std::{sync::Arc, time::Duration};

use gen_worker_core::{Address, Ended, LocalModels, Worker, WorkerExit, WorkerOptions};
use gen_worker_tasks::{Cancel, Scope};
use tokio::sync::mpsc;

use crate::{clock::pass, handlers::registry, network::SiteDial, rng::Rng, world::World};

/// What may happen to a worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
}

/// A place for a worker.
pub(crate) struct Place {
    pub(crate) world: Arc<World>,
    /// Which one, from 0.
    pub(crate) index: usize,
    pub(crate) rng: Rng,
    pub(crate) orders: mpsc::UnboundedReceiver<Order>,
    /// Stopped at the end of the run: the process is stopped and nobody follows.
    pub(crate) over: Cancel,
}

impl Place {
    /// Runs processes until the run is over. Most come back with the id of the one before.
    pub(crate) async fn occupy(mut self) {
        let mut id = format!("w{}", self.index);
        let mut process = 0_u32;
        while !self.over.is_stopped() {
            process += 1;
            if process > 1 && self.rng.percent(30) {
                id = format!("w{}.{process}", self.index);
            }
            self.one(&id).await;
            let pause = self.rng.millis(0, 4_000);
            tokio::select! {
                biased;
                () = self.over.stopped() => {}
                () = pass(pause) => {}
            }
        }
    }

    /// One process, to its end.
    async fn one(&mut self, id: &str) {
        let world = Arc::clone(&self.world);
        let (trace, cancel) = (&world.trace, Cancel::new());
        trace.note(format_args!("{id} starts"));
        let worker =
            Worker::new(self.options(id), registry(&world.ledger, id, &world.together), Arc::new(LocalModels::new()));
        let scope = Scope::new("worker process");
        let mut running = scope.spawn_bare(worker.run(cancel.clone()));
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut running => break ended,
                order = self.orders.recv() => match order {
                    Some(Order::Stop) => cancel.stop(),
                    Some(Order::Kill) | None => {
                        world.network.site(self.index).cut();
                        cancel.kill();
                    }
                },
                () = self.over.stopped(), if !cancel.is_stopped() => cancel.stop(),
            }
        };
        match ended {
            Ok(ended) => self.ended(id, &cancel, ended),
            Err(error) => trace.violation(format_args!("{id} panicked: {error}")),
        }
        // What it left behind belongs to a process that is gone.
        world.network.site(self.index).cut();
        pass(Duration::from_millis(1)).await;
        let left = world.ledger.running_on(id);
        trace.check(left == 0, || format!("{id} has ended and runs {left} handlers"));
    }

    fn ended(&self, id: &str, cancel: &Cancel, ended: Result<Ended, WorkerExit>) {
        let trace = &self.world.trace;
        match ended {
            Ok(Ended::Drained) => trace.note(format_args!("{id} has drained")),
            Ok(Ended::Killed) if cancel.is_killed() => trace.note(format_args!("{id} was killed")),
            other => trace.violation(format_args!("{id} ended: {other:?}")),
        }
    }

    fn options(&mut self, id: &str) -> WorkerOptions {
        let mut options = WorkerOptions::new(Address::parse("grpc://orchestrator:1", false).expect("an address"));
        options.dial = Arc::new(SiteDial(Arc::clone(self.world.network.site(self.index))));
        id.clone_into(&mut options.worker_id);
        options.limits.jobs_max = self.world.scenario.capacities[self.index];
        options.drain_budget = self.rng.millis(0, 30_000);
        options
    }
}
