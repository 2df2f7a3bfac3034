//! The simulation as a program: one seed, or many.

use std::{process::ExitCode, sync::mpsc, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use gen_worker_sim::{Seeds, run_seeds, simulate};
use gen_worker_tasks::Scope;

/// Real time after which a seed has got stuck: a thousand times what one takes.
const STUCK_AFTER: Duration = Duration::from_secs(100);

/// Exit code of a seed that got stuck.
const STUCK: i32 = 3;

/// Runs workers and an orchestrator through troubles that a seed chooses, and checks what must hold.
#[derive(Debug, Parser)]
struct Args {
    /// Run this seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from", "jobs"])]
    seed: Option<u64>,
    /// Print every event of the seed.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Print what worker and orchestrator log, too.
    #[arg(long, requires = "seed")]
    logs: bool,
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Processes at once; one per core unless given.
    #[arg(long)]
    jobs: Option<usize>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let Some(seed) = args.seed else {
        let program = std::env::current_exe().context("find this program")?;
        run_seeds(&Seeds { program, range: args.from..args.from.saturating_add(args.seeds), jobs: args.jobs })?;
        return Ok(ExitCode::SUCCESS);
    };
    if args.logs {
        tracing_subscriber::fmt().without_time().with_writer(std::io::stdout).with_max_level(LEVEL).init();
    }
    one(seed, args.trace)
}

/// What worker and orchestrator say about single requests is of interest here.
const LEVEL: tracing_subscriber::filter::LevelFilter = tracing_subscriber::filter::LevelFilter::DEBUG;

/// Runs a seed; ends the process when it gets stuck without the clock moving.
fn one(seed: u64, trace: bool) -> Result<ExitCode> {
    let (done, ended) = mpsc::channel::<()>();
    let scope = Scope::new("watchdog");
    scope.spawn_thread("watchdog", move || {
        if ended.recv_timeout(STUCK_AFTER) == Err(mpsc::RecvTimeoutError::Timeout) {
            println!("seed {seed} is stuck");
            std::process::exit(STUCK);
        }
    })?;
    let report = simulate(seed, trace)?;
    drop(done);
    for violation in &report.violations {
        println!("VIOLATION {violation}");
    }
    let [succeeded, failed, canceled] = report.ends;
    println!(
        "seed {seed}: {} violations, {} events, {} executions, {succeeded} succeeded, {failed} failed, {canceled} canceled, {:.1} s, log {}",
        report.violations.len(),
        report.events,
        report.executions,
        report.virtual_ms as f64 / 1_000.0,
        report.digest,
    );
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
