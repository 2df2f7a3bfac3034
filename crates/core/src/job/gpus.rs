//! Who may use an accelerator: counted permits per device, and one line for all of them. Owns both.
//!
//! A job gets all its devices at once, so two jobs never wait for each other. Nobody overtakes a job in the line on
//! a device that it waits for, so a job that needs many devices is not starved by jobs that need one.

use std::collections::VecDeque;

use gen_worker_proto::Pair;

use crate::context::Device;

/// Most devices of one machine; an ordinal beyond it counts as the last.
pub(crate) const DEVICES_MAX: usize = 64;

/// The devices a job runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuSpan {
    pub(super) first: u8,
    pub(super) count: u8,
}

impl GpuSpan {
    /// `count` devices from ordinal `first` on, at least one.
    #[must_use]
    pub fn new(first: i32, count: i32) -> Self {
        let within = |value: i32, max: usize| u8::try_from(value.max(0)).map_or(max, usize::from).min(max);
        let first = within(first, DEVICES_MAX - 1);
        let count = within(count, DEVICES_MAX - first).max(1);
        // Both are at most `DEVICES_MAX`.
        Self { first: u8::try_from(first).unwrap_or(0), count: u8::try_from(count).unwrap_or(1) }
    }

    /// Their ordinals.
    pub(crate) fn devices(self) -> std::ops::Range<usize> {
        usize::from(self.first)..usize::from(self.first) + usize::from(self.count)
    }

    /// The same number of devices where an instance on `device` already is: work on it takes place there.
    pub(crate) fn at(self, device: Device) -> Self {
        match device {
            Device::Cuda(ordinal) if !self.contains(ordinal) => {
                Self::new(i32::try_from(ordinal).unwrap_or(i32::MAX), i32::from(self.count))
            }
            _ => self,
        }
    }

    /// The device that a handler works on: that of its instance, if it is one of these.
    pub(crate) fn device(self, instance: Device) -> Device {
        match instance {
            Device::Cuda(ordinal) if self.contains(ordinal) => instance,
            _ => Device::Cuda(u32::from(self.first)),
        }
    }

    fn contains(self, ordinal: u32) -> bool {
        usize::try_from(ordinal).is_ok_and(|ordinal| self.devices().contains(&ordinal))
    }

    fn overlaps(self, other: Self) -> bool {
        let (ours, theirs) = (self.devices(), other.devices());
        ours.start < theirs.end && theirs.start < ours.end
    }
}

#[derive(Debug)]
pub(super) struct Gpus {
    /// Permits in use by device.
    used: [usize; DEVICES_MAX],
    per_device: usize,
    waiting: VecDeque<(Pair, GpuSpan)>,
}

impl Gpus {
    /// `per_device` jobs at once on each device, at least one.
    pub(super) fn new(per_device: usize) -> Self {
        Self { used: [0; DEVICES_MAX], per_device: per_device.max(1), waiting: VecDeque::new() }
    }

    /// Takes the devices, or puts `pair` at the end of the line.
    pub(super) fn acquire(&mut self, pair: &Pair, span: GpuSpan) -> bool {
        if self.is_free(span) && !self.waiting.iter().any(|(_, ahead)| ahead.overlaps(span)) {
            self.take(span);
            return true;
        }
        self.waiting.push_back((pair.clone(), span));
        false
    }

    /// Gives them back.
    pub(super) fn release(&mut self, span: GpuSpan) {
        for used in self.used.get_mut(span.devices()).into_iter().flatten() {
            *used = used.saturating_sub(1);
        }
    }

    /// Takes devices for the first in line that can have all it needs.
    pub(super) fn next(&mut self) -> Option<Pair> {
        let ready = self.waiting.iter().enumerate().position(|(at, (_, span))| {
            self.is_free(*span) && !self.waiting.iter().take(at).any(|(_, ahead)| ahead.overlaps(*span))
        })?;
        let (pair, span) = self.waiting.remove(ready)?;
        self.take(span);
        Some(pair)
    }

    /// Leaves the line.
    pub(super) fn withdraw(&mut self, pair: &Pair) {
        self.waiting.retain(|(waiting, _)| waiting != pair);
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn is_free(&self, span: GpuSpan) -> bool {
        self.used.get(span.devices()).into_iter().flatten().all(|used| *used < self.per_device)
    }

    fn take(&mut self, span: GpuSpan) {
        for used in self.used.get_mut(span.devices()).into_iter().flatten() {
            *used += 1;
        }
    }

    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        self.used.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    //! Permits are per device, in order, and all at once.
    use super::*;

    fn pair(id: &str) -> Pair {
        Pair::parse(id, 1).expect("a pair")
    }

    #[test]
    fn c20_jobs_of_one_device_follow_each_other_and_others_go_on() {
        let mut gpus = Gpus::new(1);
        let (first, second) = (GpuSpan::new(0, 1), GpuSpan::new(1, 1));
        assert!(gpus.acquire(&pair("a"), first));
        assert!(!gpus.acquire(&pair("b"), first));
        assert!(gpus.acquire(&pair("c"), second));
        assert_eq!(gpus.next(), None);
        gpus.release(first);
        assert_eq!(gpus.next(), Some(pair("b")));
        gpus.release(first);
        gpus.release(second);
        assert_eq!(gpus.in_use(), 0);
    }

    #[test]
    fn nobody_overtakes_on_a_device_that_is_waited_for() {
        let mut gpus = Gpus::new(1);
        let (one, both, other) = (GpuSpan::new(0, 1), GpuSpan::new(0, 2), GpuSpan::new(1, 1));
        assert!(gpus.acquire(&pair("a"), one));
        assert!(!gpus.acquire(&pair("b"), both));
        assert!(!gpus.acquire(&pair("c"), other), "b waits for this device too");
        gpus.withdraw(&pair("b"));
        assert_eq!(gpus.next(), Some(pair("c")));
        gpus.release(one);
        assert_eq!(gpus.next(), None);
    }

    #[test]
    fn w12_5_work_follows_its_instance() {
        let (one, two) = (GpuSpan::new(1, 1), GpuSpan::new(1, 2));
        assert_eq!(one.at(Device::Cuda(0)), GpuSpan::new(0, 1));
        assert_eq!((one.at(Device::Cpu), two.at(Device::Cuda(2))), (one, two));
        assert_eq!(two.device(Device::Cuda(2)), Device::Cuda(2));
        assert_eq!(two.device(Device::Cpu), Device::Cuda(1));
    }

    #[test]
    fn strange_ordinals_stay_in_range() {
        for (first, count) in [(-5, 0), (i32::MAX, i32::MAX), (63, 9), (0, 1000)] {
            let span = GpuSpan::new(first, count);
            assert!(!span.devices().is_empty() && span.devices().end <= DEVICES_MAX, "{span:?}");
        }
    }
}
