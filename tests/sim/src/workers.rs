//! Places for workers, in which one process follows the other. Owns the processes of a place.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use gen_worker_tasks::{Cancel, Scope};
use tokio::sync::mpsc;

mod process;

use crate::{clock::pass, network::Gate, rng::Rng, world::World};
use process::Process;

/// What may happen to a worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Stop,
    /// It is cut off and taken for dead. Another one starts with its id; later the two are there at once.
    Replace,
}

/// How long a process that was replaced takes at most to end, once its time has come.
const GONE_WITHIN: Duration = Duration::from_secs(120);

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
        let mut number = 0_u32;
        let replaced = Scope::new("replaced");
        while !self.over.is_stopped() {
            number += 1;
            let capacity = self.world.scenario.capacities[self.index];
            let site = Arc::clone(self.world.network.site(self.index));
            let drain_budget = self.rng.millis(0, 30_000);
            let process = Process::start(Arc::clone(&self.world), site, &id, capacity, drain_budget);
            if let Some(left) = self.attend(process, replaced.is_empty()).await {
                self.replace(left, &replaced);
            } else if self.rng.percent(30) {
                id = format!("w{}.{number}", self.index);
            }
            let pause = self.rng.millis(0, 4_000);
            tokio::select! {
                biased;
                () = self.over.stopped() => {}
                () = pass(pause) => {}
            }
        }
        replaced.join(GONE_WITHIN).await;
    }

    /// Carries orders out, to the end of the process; gives it back when it is to be replaced.
    async fn attend(&mut self, mut process: Process, may_be_replaced: bool) -> Option<Process> {
        loop {
            tokio::select! {
                biased;
                exit = process.exit() => {
                    process.bury(exit).await;
                    return None;
                }
                order = self.orders.recv() => match order {
                    Some(Order::Replace) if may_be_replaced && !process.is_stopping() => return Some(process),
                    Some(Order::Stop) => process.stop(),
                    Some(Order::Kill | Order::Replace) | None => process.kill(),
                },
                () = self.over.stopped(), if !process.is_stopping() => process.stop(),
            }
        }
    }

    /// Leaves a process cut off for a while, then connected, then ends it.
    fn replace(&mut self, mut process: Process, replaced: &Scope) {
        self.world.network.use_other_site(self.index);
        let (away, back) = (self.rng.millis(0, 25_000), self.rng.millis(0, 8_000));
        let killed = self.rng.percent(50);
        let world = Arc::clone(&self.world);
        world.replaced.fetch_add(1, Relaxed);
        replaced.spawn("replaced", async move {
            process.site().set(Gate::Apart);
            pass(away).await;
            process.site().set(Gate::Open);
            pass(back).await;
            if killed {
                process.kill()
            } else {
                process.stop()
            }
            let exit = process.exit().await;
            process.bury(exit).await;
            world.replaced.fetch_sub(1, Relaxed);
        });
    }
}
