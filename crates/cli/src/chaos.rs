//! `gen-worker chaos`: an endpoint binary under faults, and what of the wire contract it broke.
//!
//! ```text
//! driver ── scripted scheduler (loopback) ── Gate (cut, stall) ── worker process (kill, stop, continue)
//!    │                                                                 of the endpoint binary
//!    └── Ledger: every message of the worker against every message it was sent
//! ```
//! A run is a row of rounds. Each round has a seed of its own, which picks its fault, its jobs and its moments, so one
//! round can be replayed alone. The driver owns the world and does one thing at a time; the ledger is told what was sent
//! and what came, has no clock and no I/O, and alone decides what is a violation. Nothing here trusts the worker: it is
//! the program under test.

mod args;
mod call;
mod dice;
mod driver;
mod example;
mod fault;
mod findings;
mod gate;
mod ledger;
mod plan;
mod process;
mod report;
mod rounds;
mod server;
mod session;

use std::time::Instant;

use tracing::level_filters::LevelFilter;

pub(crate) use self::args::ChaosArgs;
use self::{driver::Driver, plan::Plan, report::Report};
use crate::{
    args::LogArgs,
    console::note,
    env::Environment,
    exit::{Exit, Failure, Outcome},
    logging,
    signals::StopSignals,
};

/// Runs the command.
pub(crate) fn run(args: ChaosArgs, env: &Environment) -> Outcome {
    logging::start(&LogArgs::default(), env, LevelFilter::WARN)?;
    let plan = Plan::make(args, env)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("could not start the runtime: {error}")))?;
    runtime.block_on(until_stopped(&plan))
}

async fn until_stopped(plan: &Plan) -> Outcome {
    let mut signals = StopSignals::listen()?;
    tokio::select! {
        biased;
        // The worker goes with its guard, and its lifeline closes even if ours is killed.
        _ = signals.next() => Ok(Exit::Interrupted),
        outcome = chaos(plan) => outcome,
    }
}

async fn chaos(plan: &Plan) -> Outcome {
    let started = Instant::now();
    for skipped in &plan.skipped {
        note(&format!("gen-worker chaos: {skipped}"));
    }
    let mut driver = Driver::start(plan).await?;
    for index in 0..plan.rounds {
        let line = driver.round(index).await?;
        if plan.verbose {
            note(&line);
        }
    }
    let report = Report::of(plan, driver.finish().await, started.elapsed());
    report.print()?;
    Ok(if report.is_clean() { Exit::Success } else { Exit::Failed })
}
