//! `gen-worker up`: an orchestrator in this process and workers as its children, started, watched and stopped as one.
//!
//! ```text
//! up ── orchestrator (HTTP, wire, queue)
//!  ├── worker marco-polo/0 ── its stdin is the lifeline: it closes when `up` ends, however that happens
//!  └── worker embed/0 ...
//! ```
//! The first SIGINT or SIGTERM drains the workers, then stops the orchestrator; the second kills the workers at once.

mod child;
mod hub;
mod manifest;
mod output;
mod plan;
mod pool;
mod ready_file;
mod restart;

use std::time::Duration;

use gen_worker_tasks::{Cancel, Scope};
use tokio::sync::{mpsc, watch};
use tracing::{info, level_filters::LevelFilter, warn};

use self::{
    child::{WorkerSpec, supervise},
    plan::Plan,
    pool::Pool,
    ready_file::{Ready, ReadyWorker},
};
use super::args::UpArgs;
use crate::{
    env::Environment,
    exit::{Exit, Failure, Outcome},
    logging,
    signals::StopSignals,
};

/// How often the pool is asked whether its workers are ready. Starting takes tens of milliseconds at least, and asking
/// reads one view.
const READY_INTERVAL: Duration = Duration::from_millis(10);

/// Runs the command.
pub(super) fn run(args: UpArgs, env: &Environment) -> Outcome {
    logging::start(&args.log, env, LevelFilter::INFO)?;
    let plan = Plan::make(args, env)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("pool")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))?;
    let outcome = runtime.block_on(up(plan));
    runtime.shutdown_background();
    outcome
}

async fn up(plan: Plan) -> Outcome {
    let signals = StopSignals::listen()?;
    if let Some(path) = &plan.ready_file {
        let removed = crate::ready_file::remove(path);
        removed.map_err(|error| Failure::usage(format!("ready file {}: {error}", path.display())))?;
    }
    let pool = Pool::start(&plan).await?;
    let (workers, failures) = Workers::start(plan.workers(pool.wire()));
    let outcome = tokio::select! {
        outcome = serve(&plan, &pool, &workers, failures, signals) => outcome,
        // Beside it, and never its end.
        outcome = async {
            manifest::tell(&plan, &pool).await;
            std::future::pending().await
        } => outcome,
    };
    workers.kill().await;
    pool.stop().await;
    if let Some(Err(error)) = plan.ready_file.as_deref().map(crate::ready_file::remove) {
        warn!(%error, "ready file stays behind");
    }
    outcome
}

/// From the start of the workers to the end of the last one.
async fn serve(
    plan: &Plan,
    pool: &Pool,
    workers: &Workers,
    mut failures: mpsc::Receiver<Failure>,
    mut signals: StopSignals,
) -> Outcome {
    tokio::select! {
        biased;
        failure = first(&mut failures) => return Err(failure),
        name = signals.next() => return stop(workers, signals, name).await,
        ready = announce(plan, pool, &workers.specs) => ready?,
    }
    tokio::select! {
        biased;
        failure = first(&mut failures) => Err(failure),
        failure = pool.failed() => Err(failure),
        name = signals.next() => stop(workers, signals, name).await,
    }
}

/// The first failure; without any worker, or with all of them stopped, there is none.
async fn first(failures: &mut mpsc::Receiver<Failure>) -> Failure {
    match failures.recv().await {
        Some(failure) => failure,
        None => std::future::pending().await,
    }
}

/// Waits until every worker is ready and says so.
async fn announce(
    plan: &Plan,
    pool: &Pool,
    workers: &[(WorkerSpec, watch::Receiver<Option<u32>>)],
) -> Result<(), Failure> {
    let mut interval = tokio::time::interval(READY_INTERVAL);
    while !pool.has_ready(workers.iter().map(|(spec, _)| spec.worker_id.as_str())) {
        interval.tick().await;
    }
    let entry = |(spec, pid): &(WorkerSpec, watch::Receiver<Option<u32>>)| ReadyWorker {
        endpoint: spec.program.display().to_string(),
        pid: pid.borrow().unwrap_or_default(),
        worker_id: spec.worker_id.clone(),
    };
    let ready = Ready::new(pool.http(), pool.wire(), pool.hub_url().to_owned(), workers.iter().map(entry).collect());
    if let Some(path) = &plan.ready_file {
        let written = crate::ready_file::write(path, &ready);
        written.map_err(|error| Failure::usage(format!("ready file {}: {error}", path.display())))?;
    }
    let hub_dir = pool.hub_directory().display();
    info!(http = ready.http, wire = ready.wire, hub = ready.hub, %hub_dir, workers = workers.len(), "pool is ready");
    Ok(())
}

async fn stop(workers: &Workers, mut signals: StopSignals, name: &str) -> Outcome {
    info!(signal = name, "stopping: draining workers");
    workers.cancel.stop();
    tokio::select! {
        biased;
        () = workers.all_ended() => Ok(Exit::Success),
        name = signals.next() => {
            warn!(signal = name, "second signal: killing workers");
            Ok(Exit::Interrupted)
        }
    }
}

/// All worker processes, each with the task that watches it.
struct Workers {
    specs: Vec<(WorkerSpec, watch::Receiver<Option<u32>>)>,
    cancel: Cancel,
    scope: Scope,
}

impl Workers {
    /// Starts them; the receiver gets the failure of the first that can never run.
    fn start(specs: Vec<WorkerSpec>) -> (Self, mpsc::Receiver<Failure>) {
        let scope = Scope::new("workers");
        let cancel = scope.cancel().clone();
        // The first failure ends the pool; later ones find the place taken and are not needed.
        let (failed, failures) = mpsc::channel(1);
        let start = |spec: WorkerSpec| {
            let (pid, seen) = watch::channel(None);
            let (watched, cancel, failed) = (spec.clone(), cancel.clone(), failed.clone());
            // Not interrupted by a kill: it has to see its process end.
            scope.spawn_bare(async move {
                if let Err(failure) = supervise(watched, pid, cancel).await {
                    drop(failed.try_send(failure));
                }
            });
            (spec, seen)
        };
        let specs = specs.into_iter().map(start).collect();
        (Self { specs, cancel, scope }, failures)
    }

    /// Completes when every process has ended and was reaped.
    async fn all_ended(&self) {
        let longest = self.specs.iter().map(|(spec, _)| spec.stop_limit()).max().unwrap_or_default();
        self.scope.join(longest).await;
    }

    async fn kill(&self) {
        self.cancel.kill();
        self.all_ended().await;
    }
}
