//! What goes wrong, one thing after the other, by seed.

use std::{sync::Arc, time::Duration};

use gen_worker_tasks::Scope;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    clock::pass,
    network::{Gate, Site},
    orchestrator::Orchestrators,
    rng::Rng,
    workers::Order,
    world::World,
};

/// Everything that can be disturbed.
pub(crate) struct Trouble<'a> {
    pub(crate) world: Arc<World>,
    pub(crate) orchestrators: &'a mut Orchestrators,
    pub(crate) workers: &'a [mpsc::UnboundedSender<Order>],
    pub(crate) rng: Rng,
    /// Owns what ends disturbances.
    pub(crate) scope: Scope,
}

impl Trouble<'_> {
    /// Disturbs until the time of the scenario is over, then ends every disturbance.
    pub(crate) async fn make(mut self) {
        let until = Instant::now() + self.world.scenario.trouble;
        if self.world.scenario.calm {
            tokio::time::sleep_until(until).await;
        }
        // Some runs have a rare event, others a storm.
        let longest_pause = [12_000, 4_000, 1_000][self.rng.index(3)];
        loop {
            let pause = self.rng.millis(0, longest_pause);
            if Instant::now() + pause >= until {
                break;
            }
            pass(pause).await;
            self.one().await;
        }
        drop(self.scope);
        self.world.network.heal();
        self.world.trace.note("the troubles are over");
    }

    async fn one(&mut self) {
        match self.rng.within(0, 99) {
            0..=14 => {
                let site = self.site();
                self.world.trace.note(format_args!("site {}: cut", site.name()));
                site.cut();
            }
            15..=34 => {
                let site = self.site();
                let bytes = self.rng.within(0, 2_500);
                self.world.trace.note(format_args!("site {}: cut after {bytes} bytes", site.name()));
                site.cut_after(bytes);
            }
            35..=49 => self.hold(Gate::Held),
            50..=61 => self.hold(Gate::Apart),
            62..=71 => self.restart(true).await,
            72..=77 => self.restart(false).await,
            78..=87 => self.order(Order::Kill),
            88..=91 => self.order(Order::Stop),
            92..=94 => self.order(Order::Replace),
            95..=97 => self.drain().await,
            _ => {
                self.world.trace.note("every connection: cut");
                self.world.network.cut_all();
            }
        }
    }

    fn site(&mut self) -> Arc<Site> {
        let place = self.rng.index(self.workers.len());
        Arc::clone(self.world.network.site(place))
    }

    /// Holds a worker's bytes for a while; some longer than keepalive and reconnect window allow.
    fn hold(&mut self, gate: Gate) {
        let site = self.site();
        let longest = [2_000, 20_000, 50_000][self.rng.index(3)];
        let time = self.rng.millis(50, longest);
        let cut = gate == Gate::Apart && self.rng.percent(50);
        self.world.trace.note(format_args!("site {}: {gate:?} for {} ms", site.name(), time.as_millis()));
        site.set(gate);
        self.scope.spawn("disturbance", async move {
            pass(time).await;
            if cut {
                site.cut();
            }
            site.set(Gate::Open);
        });
    }

    async fn restart(&mut self, kill: bool) {
        if kill {
            self.orchestrators.kill().await
        } else {
            self.orchestrators.stop().await
        }
        let away = if self.rng.percent(15) { self.rng.millis(5_000, 40_000) } else { self.rng.millis(0, 3_000) };
        pass(away).await;
        self.orchestrators.start().await;
    }

    fn order(&mut self, order: Order) {
        let index = self.rng.index(self.workers.len());
        self.world.trace.note(format_args!("worker {index}: {order:?}"));
        // A place that is over takes no orders; none is before the troubles are.
        let _ = self.workers[index].send(order);
    }

    async fn drain(&mut self) {
        let leader = self.world.leader().await;
        let deadline = self.rng.maybe_millis(60, 100, 10_000).unwrap_or(Duration::ZERO);
        let workers = leader.handle.workers();
        if workers.is_empty() {
            return;
        }
        let worker = &workers[self.rng.index(workers.len())].worker_id;
        let told = leader.handle.drain_worker(worker, deadline).await;
        self.world.trace.note(format_args!("{worker}: drain within {} ms: {told}", deadline.as_millis()));
    }
}
