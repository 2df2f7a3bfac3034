//! One run: scenario, processes, clients, troubles, and what must hold once it is quiet again.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, Result};
use futures::future::join_all;
use gen_worker_orchestrator::{queue::Queue, request::State};
use gen_worker_tasks::{Cancel, Scope};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    client::{Client, PATIENCE},
    clock::pass,
    entropy,
    handlers::BARRIER,
    network::Network,
    orchestrator::Orchestrators,
    rng::Rng,
    scenario::{Plan, Scenario},
    trace::Trace,
    trouble::Trouble,
    workers::{Order, Place},
    world::World,
};

/// Virtual time after which a run has got stuck.
const RUN_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// How long it takes until everybody is connected and idle again: beyond keepalive, redial, windows and graces.
const QUIET_LIMIT: Duration = Duration::from_secs(300);

/// How long the last round may take: a healthy pool needs no retry.
const ROUND_LIMIT: Duration = Duration::from_secs(60);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Events in the log.
    pub events: usize,
    /// Handlers that ran.
    pub executions: usize,
    /// Requests by how they ended: succeeded, failed, cancelled.
    pub ends: [usize; 3],
    /// Virtual time it took, in milliseconds.
    pub virtual_ms: u64,
    /// Digest of the event log.
    pub digest: String,
    /// What must not have been; empty when all is well.
    pub violations: Vec<String>,
}

/// Runs a seed. Prints the event log as it comes when `live` is set. A process runs one seed: some of what it draws
/// from lives as long as the process does.
///
/// # Errors
/// When the runtime cannot be made.
pub fn simulate(seed: u64, live: bool) -> Result<Report> {
    entropy::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.context("make the runtime")?.block_on(async {
        let mut rng = Rng::new(seed);
        let trace = Trace::start(live);
        watch_panics(trace.clone());
        let scenario = Scenario::draw(&mut rng);
        let network = Network::new(scenario.capacities.len(), &mut rng, &trace);
        let world = Arc::new(World::new(scenario, network, trace.clone()));
        let run = Box::pin(Run::new(Arc::clone(&world), &mut rng).finish(rng));
        if timeout(RUN_LIMIT, run).await.is_err() {
            trace.violation("the run does not end");
        }
        Ok(report(&world))
    })
}

fn report(world: &World) -> Report {
    let states = [State::Succeeded, State::Failed, State::Canceled];
    Report {
        events: world.trace.len(),
        executions: world.ledger.len(),
        ends: states.map(|state| world.outcomes.count(state)),
        virtual_ms: world.trace.now_ms(),
        digest: world.trace.digest(),
        violations: world.trace.violations(),
    }
}

/// A panic anywhere is a violation, whoever catches it.
fn watch_panics(trace: Trace) {
    std::panic::set_hook(Box::new(move |panic| trace.violation(panic)));
}

struct Run {
    world: Arc<World>,
    orchestrators: Orchestrators,
    places: Scope,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    over: Cancel,
}

impl Run {
    fn new(world: Arc<World>, rng: &mut Rng) -> Self {
        let orchestrators = Orchestrators::new(Arc::clone(&world), rng.fork());
        let (places, over) = (Scope::new("places"), Cancel::new());
        let mut orders = Vec::new();
        for index in 0..world.scenario.capacities.len() {
            let (sender, receiver) = mpsc::unbounded_channel();
            orders.push(sender);
            let place =
                Place { world: Arc::clone(&world), index, rng: rng.fork(), orders: receiver, over: over.clone() };
            places.spawn("place", place.occupy());
        }
        Self { world, orchestrators, places, orders, over }
    }

    async fn finish(mut self, mut rng: Rng) {
        self.orchestrators.start().await;
        let clients = Scope::new("clients");
        for plan in self.world.scenario.plans.clone() {
            let client = Client { world: Arc::clone(&self.world), plan };
            clients.spawn("client", async move { client.run().await });
        }
        let (world, workers) = (Arc::clone(&self.world), &self.orders);
        let (orchestrators, rng_of_trouble) = (&mut self.orchestrators, rng.fork());
        Trouble { world, orchestrators, workers, rng: rng_of_trouble, scope: Scope::new("troubles") }.make().await;
        clients.join(PATIENCE + QUIET_LIMIT).await;
        self.quiet().await;
        self.last_round().await;
        self.quiet().await;
        self.everything_stays().await;
        if rng.percent(50) {
            self.orchestrators.kill().await
        } else {
            self.orchestrators.stop().await
        }
        self.orchestrators.start().await;
        self.everything_stays().await;
        self.world.outcomes.check_attempts();
        self.end().await;
    }

    /// Waits until every worker is there and nobody has anything to do.
    async fn quiet(&self) {
        let trace = &self.world.trace;
        let quiet = async {
            while !self.is_quiet().await {
                pass(LOOK).await;
            }
        };
        if timeout(QUIET_LIMIT, quiet).await.is_err() {
            let leader = self.world.leader().await;
            let (running, counters, workers) =
                (self.world.ledger.running(), leader.handle.counters(), leader.handle.workers());
            trace.violation(format_args!("no rest: {running} handlers run, {counters:?}, {workers:?}"));
        }
        trace.note("quiet");
    }

    async fn is_quiet(&self) -> bool {
        let leader = self.world.leader().await;
        let (counters, workers) = (leader.handle.counters(), leader.handle.workers());
        let idle = |worker: &gen_worker_orchestrator::pool::WorkerView| {
            worker.connected && !worker.draining && worker.jobs == 0 && worker.phase == "ready"
        };
        let ready = workers.iter().filter(|worker| idle(worker)).count();
        counters.queued == 0
            && counters.running == 0
            && ready == self.orders.len()
            && workers.iter().all(|worker| worker.jobs == 0)
            && self.world.ledger.running() == 0
            && self.world.replaced.load(Relaxed) == 0
    }

    /// As many jobs as there are permits, each of which waits for all of the others: none was lost on the way here.
    async fn last_round(&self) {
        let round: Vec<Client> = (0..self.world.scenario.permits())
            .map(|number| Plan::plain(format!("last{number}"), BARRIER))
            .map(|plan| Client { world: Arc::clone(&self.world), plan })
            .collect();
        let all = timeout(ROUND_LIMIT, join_all(round.iter().map(Client::run))).await;
        let trace = &self.world.trace;
        let running = self.world.ledger.running();
        trace.check(all.is_ok(), || format!("{running} of {} permits are left", round.len()));
        for client in &round {
            let id = client.plan.id.as_str();
            trace.check(self.world.outcomes.succeeded(id), || format!("{id} did not succeed"));
        }
    }

    /// Nothing that was accepted is lost, and no end has changed; in memory and on the disk.
    async fn everything_stays(&self) {
        let (world, leader) = (&self.world, self.world.leader().await);
        for plan in &world.scenario.plans {
            let id = &plan.id;
            match leader.handle.get(id).await {
                Ok(Some(request)) => {
                    let ended = world.outcomes.saw(plan, &request, "get", true);
                    world.trace.check(ended, || format!("{id} has not ended"));
                }
                other => world.trace.violation(format_args!("{id} was accepted and is {other:?}")),
            }
            match self.orchestrators.disk().get(id.clone()).await {
                Ok(Some(request)) => drop(world.outcomes.saw(plan, &request, "disk", true)),
                other => world.trace.violation(format_args!("{id} was accepted and on disk it is {other:?}")),
            }
        }
    }

    /// Ends everything in order.
    async fn end(mut self) {
        self.over.stop();
        let left = self.places.join(QUIET_LIMIT).await;
        let trace = &self.world.trace;
        trace.check(left == gen_worker_tasks::JoinOutcome::Completed, || "a worker does not stop".to_owned());
        self.orchestrators.stop().await;
        let running = self.world.ledger.running();
        trace.check(running == 0, || format!("{running} handlers still run"));
    }
}
