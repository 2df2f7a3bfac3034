//! Counts of a worker for whoever shows metrics. Written on the event loop with plain atomic adds, read by anybody.

mod histogram;
mod text;

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use gen_worker_proto::pb::JobStatus;

use crate::{Registry, ledger::ColdStart};
use histogram::Histogram;

/// Counts since the start of a worker, and gauges of now.
#[derive(Debug)]
pub struct WorkerStats {
    functions: Vec<FunctionStats>,
    pub(crate) connected: AtomicBool,
    pub(crate) connections: AtomicU64,
    pub(crate) jobs: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// What is counted per function: as many as the binary has, so labels stay few.
#[derive(Debug)]
struct FunctionStats {
    name: String,
    /// By number of the status on the wire.
    ended: [AtomicU64; 6],
    wait: Histogram,
    run: Histogram,
    download: Histogram,
    spawn: Histogram,
    setup: Histogram,
    warmup: Histogram,
}

impl WorkerStats {
    pub(crate) fn new(registry: &Registry) -> Self {
        let function = |name: String| FunctionStats {
            name,
            ended: Default::default(),
            wait: Histogram::default(),
            run: Histogram::default(),
            download: Histogram::default(),
            spawn: Histogram::default(),
            setup: Histogram::default(),
            warmup: Histogram::default(),
        };
        Self {
            functions: registry.functions().iter().map(|entry| function(entry.name().as_str().to_owned())).collect(),
            connected: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            jobs: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// A job of the function of this number ended. Without `run` its handler never started.
    pub(crate) fn ended(
        &self,
        function: usize,
        status: JobStatus,
        wait: Duration,
        run: Option<Duration>,
        cold: ColdStart,
    ) {
        let Some(stats) = self.functions.get(function) else { return };
        if let Some(count) = usize::try_from(i32::from(status)).ok().and_then(|at| stats.ended.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        stats.wait.observe(wait);
        if let Some(run) = run {
            stats.run.observe(run);
        }
        if cold.is_cold() {
            stats.download.observe(cold.download);
            stats.spawn.observe(cold.spawn);
            stats.setup.observe(cold.setup);
            stats.warmup.observe(cold.warmup);
        }
    }

    /// The counts in the Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn prometheus(&self) -> String {
        text::render(self)
    }
}

#[cfg(test)]
mod tests;
