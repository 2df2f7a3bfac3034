//! The worker: a registry of functions served to one orchestrator. Composition of its parts.
//!
//! ```text
//!   Connection ──messages──┐                       ┌── JobTable (pure) ──actions──> Executor ──┐
//!   Executor ──JobEvent────┼──> Serving: one loop ─┼── Availability, RedialPolicy, Drain (pure)│
//!   Setups ──SetupEvent────┤   (drain ready, decide, act)                                      │
//!   Timers, stop, kill ────┘                       └── SharedOutbox <───────results, frames────┘
//! ```
//! One event loop owns every decision. It never waits for the writer, for a handler or for the network.

mod cache_feed;
mod connection;
mod held;
mod inbound;
mod jobs;
mod kept;
mod model_ops;
mod model_reports;
mod resolutions;
mod roster;
mod serving;
mod setup;
mod timers;
mod token;
mod wakes;

use std::{sync::Arc, time::Duration};

use gen_worker_tasks::{Cancel, Scope};

use crate::{
    ModelSource, Registry, link::FatalRefusal, model_cache::ModelCache, slot, stats::WorkerStats,
    worker_options::WorkerOptions,
};
use serving::Serving;

/// Serves a registry of functions to an orchestrator.
pub struct Worker {
    options: WorkerOptions,
    registry: Registry,
    models: Arc<dyn ModelSource>,
    stats: Arc<WorkerStats>,
    cache: Arc<ModelCache>,
}

/// How a worker ended that ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was drained, by the orchestrator or by a stop.
    Drained,
    /// It was killed: jobs were dropped where they were.
    Killed,
}

/// Why a worker ended that should not have.
#[derive(Debug, thiserror::Error)]
pub enum WorkerExit {
    /// There is nothing to serve.
    #[error("no function is registered")]
    NoFunctions,
    /// A function wants a process of its own, and nothing was given that starts one.
    #[error("{0} wants a process of its own, which this worker cannot start")]
    NoSlots(String),
    /// The orchestrator cannot be worked with.
    #[error("the orchestrator cannot be served")]
    Refused(#[source] FatalRefusal),
    /// A blocking handler ignored its deadline for too long: its thread cannot be had back.
    #[error("the blocking handler of {function} ignored its deadline for {grace_s} s")]
    HandlerStuck {
        /// The function.
        function: String,
        /// How long it was given, in seconds.
        grace_s: u64,
    },
}

impl WorkerExit {
    /// Exit code of a process that ends for this reason.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoFunctions | Self::NoSlots(_) | Self::Refused(_) => 1,
            Self::HandlerStuck { .. } => 70,
        }
    }
}

/// How long the connection may take to close once nothing is left to say on it.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

impl Worker {
    /// A worker that is not connected.
    #[must_use]
    pub fn new(options: WorkerOptions, registry: Registry, models: Arc<dyn ModelSource>) -> Self {
        let stats = Arc::new(WorkerStats::new(&registry));
        let cache = Arc::new(cache_feed::cache(&options));
        Self { options, registry, models, stats, cache }
    }

    /// Its models by where they are, as early versions showed them: what the orchestrator hears, at any time. A loaded model
    /// is the [`InstanceCell`](crate::InstanceCell) that has it. The worker decides what is where; nothing that is done to
    /// this changes that.
    #[must_use]
    pub fn model_cache(&self) -> Arc<ModelCache> {
        self.cache.clone()
    }

    /// Its counts, which go on changing while it runs.
    #[must_use]
    pub fn stats(&self) -> Arc<WorkerStats> {
        self.stats.clone()
    }

    /// Serves until a drain is over or nothing can be served any more. A stop of `cancel` begins a drain of
    /// [`WorkerOptions::drain_budget`]; a kill drops everything. Instances that were set up are shut down before
    /// this returns, except after a kill or because of a stuck handler.
    ///
    /// A blocking handler that still runs when this returns keeps its thread: the caller ends the process without
    /// waiting for it.
    ///
    /// # Errors
    /// [`WorkerExit`], which knows the process's exit code.
    pub async fn run(self, cancel: Cancel) -> Result<Ended, WorkerExit> {
        if self.registry.is_empty() {
            return Err(WorkerExit::NoFunctions);
        }
        slot::attach(&self.registry, self.options.slots.as_ref())
            .map_err(|function| WorkerExit::NoSlots(function.as_str().to_owned()))?;
        let scope = Arc::new(Scope::new("worker"));
        let mut options = self.options;
        let kept = kept::open(&mut options, &scope).await;
        let spool = kept.spool.clone();
        let mut serving =
            Serving::new(options, &self.registry, self.models, scope.clone(), kept, (self.stats, self.cache));
        serving.first_look().await;
        let ended = serving.run(&cancel).await;
        // With the connection's handles gone its tasks say goodbye and end.
        drop(serving);
        if let Some(spool) = spool {
            spool.close();
        }
        scope.join(CLOSE_LIMIT).await;
        // A stuck handler still borrows its instance: waiting for it would only put off the end.
        if !matches!(ended, Ok(Ended::Killed) | Err(WorkerExit::HandlerStuck { .. })) {
            setup::shut_down(&self.registry, &cancel).await;
        }
        ended
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("options", &self.options).finish_non_exhaustive()
    }
}
