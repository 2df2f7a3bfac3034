//! What is done with the end of a job besides sending it: kept on disk, counted, told to whoever watches.

use std::{sync::Arc, time::SystemTime};

use gen_worker_proto::FunctionName;
use tokio::time::Instant;
use tracing::info;

use super::JobCell;
use crate::{
    ledger::{JobObserver, JobRecord, phases},
    outbox::JobEnd,
    spool::Spool,
    stats::WorkerStats,
};

/// Where ends go.
pub(crate) struct Reporting {
    pub(crate) spool: Option<Spool>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) observer: Option<Arc<dyn JobObserver>>,
}

impl Reporting {
    /// Takes note of an end before it is queued.
    pub(super) fn ended(&self, job: &JobCell, function: Option<&FunctionName>, end: &mut JobEnd) {
        if let Some(spool) = &self.spool {
            spool.keep(end);
        }
        let times = job.times();
        let started = times.started.map(|at| at.saturating_duration_since(times.received));
        let cold = times.cold;
        let now = || Instant::now().saturating_duration_since(times.received);
        let run = times.started.zip(times.ended).map(|(started, ended)| ended.saturating_duration_since(started));
        let wait = started.unwrap_or_else(now);
        self.stats.ended(job.function(), end.status, wait, run, cold);
        let Some(function) = function else { return };
        if cold.is_cold() {
            let millis = |part: std::time::Duration| u64::try_from(part.as_millis()).unwrap_or(u64::MAX);
            info!(
                pair = %job.pair(),
                %function,
                waited_ms = millis(cold.waited),
                download_ms = millis(cold.download),
                spawn_ms = millis(cold.spawn),
                setup_ms = millis(cold.setup),
                warmup_ms = millis(cold.warmup),
                "cold start"
            );
        }
        if let Some(observer) = &self.observer {
            let took = now();
            let ended = times.ended.map(|at| at.saturating_duration_since(times.received));
            let phases = phases(cold, started, ended, took);
            let arrived = SystemTime::now().checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH);
            observer.ended(&JobRecord {
                pair: job.pair(),
                function,
                status: end.status,
                arrived,
                took,
                phases: &phases,
            });
        }
    }
}
