//! A histogram of durations. Cumulative only when it is read, so an observation is two adds.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds in microseconds: from a handler that is done at once to an hour of training.
pub(super) const BOUNDS_US: [u64; 15] = [
    100,
    1_000,
    5_000,
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
    3_600_000_000,
];

#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// One for each bound, and one for what is longer than all.
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.partition_point(|bound| *bound < micros);
        if let Some(count) = self.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// Observations up to each bound, the last for all; and their sum in seconds.
    pub(super) fn read(&self) -> ([u64; BOUNDS_US.len() + 1], f64) {
        let mut total = 0;
        let cumulative = self.counts.each_ref().map(|count| {
            total += count.load(Ordering::Relaxed);
            total
        });
        (cumulative, self.sum_us.load(Ordering::Relaxed) as f64 / 1e6)
    }
}
