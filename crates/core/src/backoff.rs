//! How long to wait before the next dial: full jitter. Owns the count of failures; must not sleep, read a clock
//! or draw random numbers.

use std::time::Duration;

/// Exponents past this cannot raise the ceiling any more; it keeps the shift in range.
const EXPONENT_MAX: u32 = 31;

/// Options of [`Backoff`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffOptions {
    /// Ceiling of the first wait.
    pub base: Duration,
    /// Ceiling of every wait.
    pub cap: Duration,
    /// A connection that lived this long resets the count.
    pub healthy_after: Duration,
}

impl Default for BackoffOptions {
    /// 1 s, 30 s and 60 s: the contract's figures.
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(30), healthy_after: Duration::from_secs(60) }
    }
}

/// Counts failures and turns them into waits.
#[derive(Clone, Debug)]
pub struct Backoff {
    options: BackoffOptions,
    failures: u32,
}

impl Backoff {
    /// A count of zero.
    #[must_use]
    pub fn new(options: BackoffOptions) -> Self {
        Self { options, failures: 0 }
    }

    /// The next wait: uniform in `[0, min(cap, base x 2^n)]`, where `n` counts from 0 and `unit` is a number drawn
    /// uniformly from `[0, 1]` by the caller. Counts one failure.
    pub fn next(&mut self, unit: f64) -> Duration {
        let exponent = self.failures.min(EXPONENT_MAX);
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.options.base.saturating_mul(1 << exponent).min(self.options.cap);
        ceiling.mul_f64(unit.clamp(0.0, 1.0))
    }

    /// Notes that a live connection ended after `lived`; the count starts again only if that was long enough.
    pub fn connection_ended(&mut self, lived: Duration) {
        if lived >= self.options.healthy_after {
            self.failures = 0;
        }
    }
}

/// A number uniform in `[0, 1)` from the operating system's entropy: spreads reconnecting workers, nothing more.
#[must_use]
pub(crate) fn random_unit() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    // Every `RandomState` carries fresh keys, so an empty hash is a random number.
    let bits = std::hash::RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
