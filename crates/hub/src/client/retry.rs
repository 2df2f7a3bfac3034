//! When to try again: pure functions of what happened so far. The numbers are those of the contract, section 15.

use std::time::Duration;

use http::{HeaderMap, header};

/// How attempts are repeated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// How often at most, the first time included.
    pub attempts: u32,
    /// The first wait.
    pub base: Duration,
    /// By what each wait is longer than the one before.
    pub factor: u32,
    /// The longest wait, before jitter.
    pub cap: Duration,
    /// What chance adds.
    pub jitter: Jitter,
    /// Longest `Retry-After` that is kept to; zero when servers are not asked.
    pub retry_after_max: Duration,
}

/// How waits are spread, so that clients that failed together do not return together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Not at all.
    None,
    /// Up to a tenth is added.
    Tenth,
    /// Anything between the base and the wait.
    Full,
}

/// How something that takes its time is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollPolicy {
    /// The first wait.
    pub first: Duration,
    /// The longest wait. Each is half longer than the one before.
    pub cap: Duration,
    /// After this the answer is given up.
    pub limit: Duration,
}

impl RetryPolicy {
    /// Control calls of a commit (6.5).
    pub const CONTROL: Self = Self {
        attempts: 5,
        base: Duration::from_secs(1),
        factor: 2,
        cap: Duration::from_secs(30),
        jitter: Jitter::Tenth,
        retry_after_max: Duration::from_secs(30),
    };

    /// A part of an upload (4.10).
    pub const PART: Self = Self {
        attempts: 5,
        base: Duration::from_millis(500),
        factor: 3,
        cap: Duration::from_secs(20),
        jitter: Jitter::Full,
        retry_after_max: Duration::ZERO,
    };

    /// The complete of an upload (4.17).
    pub const COMPLETE: Self = Self {
        attempts: 5,
        base: Duration::from_millis(500),
        factor: 1,
        cap: Duration::from_millis(500),
        jitter: Jitter::None,
        retry_after_max: Duration::ZERO,
    };

    /// The transfer of a file by grant (4.24).
    pub const GRANT: Self = Self {
        attempts: 4,
        base: Duration::from_secs(1),
        factor: 2,
        cap: Duration::from_secs(4),
        jitter: Jitter::None,
        retry_after_max: Duration::ZERO,
    };

    /// One request of such a transfer (4.27).
    pub const GRANT_REQUEST: Self = Self {
        attempts: 11,
        base: Duration::from_millis(100),
        factor: 2,
        cap: Duration::from_secs(15),
        jitter: Jitter::Full,
        retry_after_max: Duration::ZERO,
    };

    /// How long to wait after `failures` attempts, none when that was the last. `unit` is a number drawn uniformly from
    /// `[0, 1]`.
    #[must_use]
    pub fn wait(&self, failures: u32, retry_after: Option<Duration>, unit: f64) -> Option<Duration> {
        if failures == 0 || failures >= self.attempts {
            return None;
        }
        if let Some(asked) = retry_after.filter(|asked| !asked.is_zero() && !self.retry_after_max.is_zero()) {
            return Some(asked.min(self.retry_after_max));
        }
        // With full jitter the ceiling grows before the first wait already.
        let exponent = if self.jitter == Jitter::Full { failures } else { failures - 1 };
        let ceiling = self.base.saturating_mul(self.factor.saturating_pow(exponent)).min(self.cap);
        let unit = unit.clamp(0.0, 1.0);
        Some(match self.jitter {
            Jitter::None => ceiling,
            Jitter::Tenth => ceiling.mul_f64(1.0 + unit / 10.0),
            Jitter::Full => self.base + ceiling.saturating_sub(self.base).mul_f64(unit),
        })
    }
}

impl PollPolicy {
    /// The complete of an upload whose bytes are being verified (4.18).
    pub const UPLOAD_COMPLETE: Self =
        Self { first: Duration::from_secs(5), cap: Duration::from_secs(5), limit: Duration::from_secs(600) };

    /// The same in a commit (6.6).
    pub const COMMIT_COMPLETE: Self =
        Self { first: Duration::from_secs(5), cap: Duration::from_secs(5), limit: Duration::from_secs(1800) };

    /// The finalize of a commit (6.8).
    pub const FINALIZE: Self =
        Self { first: Duration::from_secs(2), cap: Duration::from_secs(15), limit: Duration::from_secs(1800) };

    /// How long to wait before asking again, when `polls` answers were not the last and `elapsed` has passed since the first.
    /// None when the limit would be passed.
    #[must_use]
    pub fn wait(&self, polls: u32, elapsed: Duration) -> Option<Duration> {
        let longer = (0..polls).try_fold(self.first, |wait, _| {
            let next = wait.saturating_mul(3) / 2;
            if next >= self.cap { Err(self.cap) } else { Ok(next) }
        });
        let wait = longer.unwrap_or_else(|cap| cap).min(self.cap);
        (elapsed.saturating_add(wait) <= self.limit).then_some(wait)
    }
}

/// What a server says in `Retry-After`: seconds, with or without a fraction. Dates are allowed there too, and nobody sends them.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.trim().parse::<f64>().ok().filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A number uniform in `[0, 1)` from the operating system's entropy: spreads clients, nothing more.
pub(super) fn random_unit() -> f64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Every `RandomState` carries fresh keys, so an empty hash is a random number.
    let bits = std::hash::RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A name that no other call of any client has.
pub(super) fn random_name() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    // The keys of a `RandomState` are random, and no two of one thread are the same.
    let keys = std::hash::RandomState::new();
    let half = |number: u8| {
        let mut hasher = keys.build_hasher();
        hasher.write_u8(number);
        hasher.finish()
    };
    format!("{:016x}{:016x}", half(0), half(1))
}

#[cfg(test)]
mod tests;
