//! Whether and when one file is tried again: pure functions of what happened so far (rule 6.6).

use std::time::Duration;

use super::options::TransferOptions;

/// How one try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Other bytes came than were promised.
    Wrong,
    /// Anything else that may pass.
    Passing,
}

/// What failed so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tries {
    failed: u32,
    wrong: u32,
}

impl Tries {
    /// Notes a failed try, `elapsed` after the first began. How long to wait before the next, none when there is none.
    /// `unit` is a number drawn uniformly from `[0, 1]`.
    pub(super) fn after(
        &mut self,
        fault: Fault,
        elapsed: Duration,
        unit: f64,
        options: &TransferOptions,
    ) -> Option<Duration> {
        self.failed += 1;
        self.wrong += u32::from(fault == Fault::Wrong);
        if self.failed >= options.tries || self.wrong >= options.tries_wrong {
            return None;
        }
        let doubled = options.wait_unit.saturating_mul(2u32.saturating_pow(self.failed));
        let wait = doubled.min(options.wait_longest).mul_f64(0.5 + unit.clamp(0.0, 1.0) / 2.0);
        (elapsed.saturating_add(wait) <= options.retry_for).then_some(wait)
    }
}

/// A number uniform in `[0, 1)` from the operating system's entropy: spreads clients, nothing more.
pub(crate) fn random_unit() -> f64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Every `RandomState` carries fresh keys, so an empty hash is a random number.
    let bits = std::hash::RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;
