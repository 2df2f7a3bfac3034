//! Measurements that leave with a result (wire contract 9.6, our reading): `queue_ms` from admission to handler
//! start, every wait included; `runtime_ms` the handler alone; peak memory of the process. Owns a cached reading.

use std::time::Duration;

use gen_worker_proto::pb::JobMetrics;
use tokio::time::Instant;

use crate::ledger::ColdStart;

/// How old a reading of the peak may be. It costs some ten microseconds, as much as a small job.
const READING_AGE_MAX: Duration = Duration::from_secs(1);

/// The largest resident size the process ever had, in bytes; 0 where the system does not tell.
#[derive(Debug, Default)]
pub(super) struct PeakMemory {
    read: Option<(Instant, i64)>,
}

impl PeakMemory {
    fn bytes(&mut self, now: Instant) -> i64 {
        match self.read {
            Some((at, bytes)) if now.saturating_duration_since(at) < READING_AGE_MAX => bytes,
            _ => {
                let bytes = peak_resident_bytes().unwrap_or(0);
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
    /// The measurements, if the handler started. One that was interrupted ended now.
    pub(super) fn metrics(&self, memory: &mut PeakMemory) -> Option<JobMetrics> {
        let started = self.started?;
        let ended = self.ended.unwrap_or_else(Instant::now);
        Some(JobMetrics {
            runtime_ms: millis(ended.saturating_duration_since(started)),
            queue_ms: millis(started.saturating_duration_since(self.received)),
            peak_rss_bytes: memory.bytes(ended),
            peak_vram_bytes: 0,
            concurrency_at_start: i32::try_from(self.others).unwrap_or(i32::MAX),
            output_media_duration_s: 0.0,
        })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The high-water mark that Linux keeps; other systems have no file for it.
fn peak_resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
