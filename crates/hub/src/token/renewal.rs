//! When the token of a job that goes on is renewed (Hub contract, 9.5). Pure: who waits is the holder of the token.

use std::time::Duration;

/// Part of its life after which a token is renewed.
const AGE: f64 = 0.8;

/// Shortest wait: a token that is nearly over is not asked for in a loop.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// Waits after failures that may pass.
const RETRIES: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(15)];

/// Statuses that are final: the job is not this worker's any more.
const FINAL: [u16; 4] = [401, 403, 404, 409];

/// What to do after a renewal failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// Ask again after this.
    Again(Duration),
    /// Ask no more; the token is good until its end.
    Stop,
}

/// How long to wait before the renewal of a token that began at `issued_s` and ends at `expires_s`, when it is `now_s`, all in
/// seconds since 1970.
#[must_use]
pub fn renewal_wait(issued_s: u64, expires_s: u64, now_s: u64) -> Duration {
    let life = Duration::from_secs(expires_s.saturating_sub(issued_s));
    let age = Duration::from_secs(now_s.saturating_sub(issued_s));
    life.mul_f64(AGE).saturating_sub(age).max(WAIT_MIN)
}

/// What to do after `failures` failures of one renewal, the last with `status` if the server answered at all.
#[must_use]
pub fn after_failed_renewal(failures: usize, status: Option<u16>) -> AfterFailure {
    let last = status.is_some_and(|status| FINAL.contains(&status));
    match failures.checked_sub(1).and_then(|waited| RETRIES.get(waited)) {
        Some(wait) if !last => AfterFailure::Again(*wait),
        _ => AfterFailure::Stop,
    }
}
