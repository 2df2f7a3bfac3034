//! Orchestrator processes, one after the other, over one disk. Owns the one that runs.

use std::{sync::Arc, time::Duration};

use gen_worker_orchestrator::{
    pool::{self, Handle},
    queue::{Queue, memory::MemoryQueue},
    session::OpenGate,
    wire,
};
use gen_worker_tasks::{JoinOutcome, OnError, Scope};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    journal::Journal,
    rng::Rng,
    world::{Leader, World},
};

/// How long an orderly stop may take, as `Running::shut_down` is given it by default.
const STOP_LIMIT: Duration = Duration::from_secs(25);

/// How long the tasks of a killed process take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(1);

/// Starts and ends orchestrators.
pub(crate) struct Orchestrators {
    world: Arc<World>,
    disk: Arc<MemoryQueue>,
    rng: Rng,
    started: u64,
    running: Option<Process>,
}

struct Process {
    journal: Arc<Journal>,
    pool: Scope,
    wire: Scope,
    sessions: Arc<Scope>,
}

impl Orchestrators {
    pub(crate) fn new(world: Arc<World>, rng: Rng) -> Self {
        Self { world, disk: Arc::new(MemoryQueue::default()), rng, started: 0, running: None }
    }

    /// What outlives every process.
    pub(crate) fn disk(&self) -> &MemoryQueue {
        &self.disk
    }

    /// Starts a process over the disk as it is.
    pub(crate) async fn start(&mut self) {
        let world = &self.world;
        self.started += 1;
        world.trace.note(format_args!("orchestrator {} starts", self.started));
        let journal = Arc::new(Journal::open(Arc::clone(&self.disk), self.rng.fork()));
        let options = pool::Options { started_at: Some(world.wall()), ..world.scenario.pool.clone() };
        let process = Process {
            journal: Arc::clone(&journal),
            pool: Scope::new("pool"),
            wire: Scope::new("wire"),
            sessions: Arc::new(Scope::new("sessions")),
        };
        let handle = pool::start(options, journal, &process.pool).await.expect("the disk can be read");
        process.serve(world, handle.clone());
        world.appoint(Some(Leader { generation: self.started, handle }));
        self.running = Some(process);
    }

    /// Kills the process: what was not on the disk is lost, and every connection breaks.
    pub(crate) async fn kill(&mut self) {
        let Some(process) = self.running.take() else { return };
        self.world.trace.note(format_args!("orchestrator {} is killed", self.started));
        process.journal.crash();
        self.world.network.close_door();
        self.world.network.cut_all();
        self.world.appoint(None);
        for scope in [&process.pool, &process.wire, &process.sessions] {
            scope.cancel().kill();
            scope.join(KILL_LIMIT).await;
        }
    }

    /// Ends the process in order.
    pub(crate) async fn stop(&mut self) {
        let Some(process) = self.running.take() else { return };
        self.world.trace.note(format_args!("orchestrator {} stops", self.started));
        self.world.appoint(None);
        self.world.network.close_door();
        for (name, scope) in [("pool", &process.pool), ("wire", &process.wire), ("sessions", &process.sessions)] {
            scope.cancel().stop();
            if scope.join(STOP_LIMIT).await == JoinOutcome::TimedOut {
                // A worker that cannot be reached may hold up its own stream, but not what was decided.
                self.world.trace.note(format_args!("{name} was cut off"));
                self.world.trace.check(name != "pool", || "the pool does not stop".to_owned());
            }
        }
        drop(process.journal.close().await);
        self.world.network.cut_all();
        self.world.trace.note(format_args!("orchestrator {} has stopped", self.started));
    }
}

impl Process {
    fn serve(&self, world: &Arc<World>, handle: Handle) {
        let incoming = UnboundedReceiverStream::new(world.network.open_door());
        let (sessions, cancel) = (Arc::clone(&self.sessions), self.wire.cancel().clone());
        let server = wire::serve_on(incoming, handle, Arc::new(OpenGate), sessions, cancel);
        self.wire.spawn_fallible("wire server", OnError::Stop, async move { Ok(server.await?) });
    }
}
