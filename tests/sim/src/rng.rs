//! The only source of chance: splitmix64. One seed gives one run; every part of a run draws from a generator of its
//! own, so that what one part draws does not depend on when another one does.

use std::time::Duration;

/// A generator.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A generator of its own for one part of the run.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A number within `low..=high`.
    pub(crate) fn within(&mut self, low: u64, high: u64) -> u64 {
        // The ranges here are tiny beside 2^64: the bias of the remainder does not matter.
        low + self.next() % (high - low + 1)
    }

    /// An index below `len`, which is not zero.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.within(0, len as u64 - 1)).unwrap_or(0)
    }

    /// True in `percent` of cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.within(0, 99) < percent
    }

    /// A time within `low..=high` milliseconds.
    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.within(low, high))
    }

    /// A time within `low..=high` milliseconds, in `percent` of cases.
    pub(crate) fn maybe_millis(&mut self, percent: u64, low: u64, high: u64) -> Option<Duration> {
        self.percent(percent).then(|| self.millis(low, high))
    }
}

#[cfg(test)]
mod tests;
