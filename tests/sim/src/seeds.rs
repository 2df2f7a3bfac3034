//! Many seeds, each in a process of its own. Owns the count of what was run.

use std::{
    ops::Range,
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::available_parallelism,
};

use anyhow::{Context, Result, bail};
use gen_worker_tasks::Scope;

use crate::trace::print;

/// How many failing seeds are shown with their logs before the rest is only counted.
const SHOWN_MAX: usize = 3;

/// What to run.
#[derive(Clone, Debug)]
pub struct Seeds {
    /// The program that runs one seed, given `--seed <n>` and perhaps `--trace`.
    pub program: PathBuf,
    /// Which seeds.
    pub range: Range<u64>,
    /// Processes at once; `None` = one per core.
    pub jobs: Option<usize>,
}

/// Runs every seed; prints how to repeat each that failed, with its log.
///
/// # Errors
/// When a seed failed or could not be run.
pub fn run_seeds(seeds: &Seeds) -> Result<()> {
    let jobs = seeds.jobs.or_else(|| Some(available_parallelism().ok()?.get())).unwrap_or(1);
    let next = Arc::new(AtomicU64::new(seeds.range.start));
    let (sender, outcomes) = mpsc::channel();
    let scope = Scope::new("seeds");
    for _ in 0..jobs {
        let (seeds, next, sender) = (seeds.clone(), Arc::clone(&next), sender.clone());
        scope.spawn_thread("seeds", move || {
            loop {
                let seed = next.fetch_add(1, Relaxed);
                let wanted = seed < seeds.range.end;
                if !wanted || sender.send((seed, run_seed(&seeds, seed, false))).is_err() {
                    return;
                }
            }
        })?;
    }
    drop(sender);
    let mut failed = Vec::new();
    for (seed, outcome) in outcomes {
        if !outcome?.status.success() {
            failed.push(seed);
            if failed.len() <= SHOWN_MAX {
                print(&String::from_utf8_lossy(&run_seed(seeds, seed, true)?.stdout));
            }
            print(&format!("seed {seed} FAILED; to repeat it: cargo run -p gen-worker-sim -- --seed {seed} --trace"));
        }
    }
    let run = seeds.range.end.saturating_sub(seeds.range.start);
    if !failed.is_empty() {
        bail!("{} of {run} seeds failed: {failed:?}", failed.len());
    }
    print(&format!("{run} seeds passed"));
    Ok(())
}

fn run_seed(seeds: &Seeds, seed: u64, trace: bool) -> Result<Output> {
    let mut command = Command::new(&seeds.program);
    command.args(["--seed", &seed.to_string()]).args(trace.then_some("--trace"));
    command.output().with_context(|| format!("run {}", seeds.program.display()))
}
