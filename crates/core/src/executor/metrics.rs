//! Measurements that leave with a result (wire contract 9.6, our reading): `queue_ms` from admission to handler
//! start, every wait included; `runtime_ms` the handler alone; peak memory of the processes and the accelerators that
//! served the job. Owns a cached reading.

use std::time::Duration;

use gen_worker_proto::pb::JobMetrics;
use tokio::time::Instant;

use crate::{ledger::ColdStart, memory::own_peak_bytes, peaks::Peaks};

/// How old a reading of the peak may be. It costs some ten microseconds, as much as a small job.
const READING_AGE_MAX: Duration = Duration::from_secs(1);

/// The largest resident size the process ever had, in bytes; 0 where the system does not tell.
#[derive(Debug, Default)]
pub(super) struct PeakMemory {
    read: Option<(Instant, u64)>,
}

impl PeakMemory {
    fn bytes(&mut self, now: Instant) -> u64 {
        match self.read {
            Some((at, bytes)) if now.saturating_duration_since(at) < READING_AGE_MAX => bytes,
            _ => {
                let bytes = own_peak_bytes().unwrap_or(0);
                self.read = Some((now, bytes));
                bytes
            }
        }
    }
}

/// The life of one handler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) received: Instant,
    pub(super) started: Option<Instant>,
    pub(super) ended: Option<Instant>,
    pub(super) others: usize,
    /// What it waited for until its instance was there.
    pub(super) cold: ColdStart,
}

impl Clock {
    /// The measurements, if the handler started. One that was interrupted ended now. `peaks` is what was seen of this
    /// job beside this process; without it there was nothing to see.
    pub(super) fn metrics(&self, memory: &mut PeakMemory, peaks: Option<&Peaks>) -> Option<JobMetrics> {
        let started = self.started?;
        let ended = self.ended.unwrap_or_else(Instant::now);
        Some(JobMetrics {
            runtime_ms: millis(ended.saturating_duration_since(started)),
            queue_ms: millis(started.saturating_duration_since(self.received)),
            peak_rss_bytes: count(memory.bytes(ended).saturating_add(peaks.map_or(0, Peaks::ram_bytes))),
            peak_vram_bytes: count(peaks.map_or(0, Peaks::vram_bytes)),
            concurrency_at_start: i32::try_from(self.others).unwrap_or(i32::MAX),
            output_media_duration_s: 0.0,
        })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn count(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
