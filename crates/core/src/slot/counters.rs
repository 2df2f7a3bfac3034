//! What happened to the slots of a process, for whoever shows metrics.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::context::Device;

/// Counts since the start of the process. Written by the slots, read by anybody.
#[derive(Debug, Default)]
pub struct SlotCounters {
    started: AtomicU64,
    crashed: AtomicU64,
    killed: AtomicU64,
    cancels: AtomicU64,
    cpu_ms_after_cancel: AtomicU64,
    gpu_ms_after_cancel: AtomicU64,
}

/// The counts of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCounts {
    /// Children started.
    pub started: u64,
    /// Children that ended by themselves, stopped answering, or could not be understood.
    pub crashed: u64,
    /// Children killed because their handler ignored its cancel.
    pub killed: u64,
    /// Calls that were cancelled, by request or by deadline, and have ended.
    pub cancels: u64,
    /// Time from cancels to the ends of their handlers, in milliseconds, without an accelerator.
    pub cpu_ms_after_cancel: u64,
    /// The same for handlers to which an accelerator was bound.
    pub gpu_ms_after_cancel: u64,
}

impl SlotCounters {
    /// The counts now.
    #[must_use]
    pub fn read(&self) -> SlotCounts {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SlotCounts {
            started: value(&self.started),
            crashed: value(&self.crashed),
            killed: value(&self.killed),
            cancels: value(&self.cancels),
            cpu_ms_after_cancel: value(&self.cpu_ms_after_cancel),
            gpu_ms_after_cancel: value(&self.gpu_ms_after_cancel),
        }
    }

    pub(super) fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn crashed(&self) {
        self.crashed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn killed(&self) {
        self.killed.fetch_add(1, Ordering::Relaxed);
    }

    /// A cancelled call ended `after` its cancel.
    pub(super) fn cancelled(&self, device: Device, after: Duration) {
        let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.cancels.fetch_add(1, Ordering::Relaxed);
        let counter = match device {
            Device::Cpu => &self.cpu_ms_after_cancel,
            Device::Cuda(_) => &self.gpu_ms_after_cancel,
        };
        counter.fetch_add(millis, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_after_a_cancel_counts_for_the_device_that_was_bound() {
        let counters = SlotCounters::default();
        counters.cancelled(Device::Cpu, Duration::from_millis(20));
        counters.cancelled(Device::Cuda(1), Duration::from_millis(300));
        counters.cancelled(Device::Cuda(0), Duration::from_millis(4));
        let want = SlotCounts { cancels: 3, cpu_ms_after_cancel: 20, gpu_ms_after_cancel: 304, ..Default::default() };
        assert_eq!(counters.read(), want);
    }
}
