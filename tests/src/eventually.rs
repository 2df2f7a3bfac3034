//! Waiting for what cannot be subscribed to.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take before a test gives up. Far above what it takes on a busy machine: it only bounds the
/// wait of a test that fails.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks until there is something to see.
///
/// # Errors
/// When [`LIMIT`] has passed; the text says what was waited for.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if started.elapsed() > LIMIT {
            bail!("waited {LIMIT:?} for {what}");
        }
        // tidy: processes and files outside of ours tell nobody when they change; each look is bounded by the limit
        std::thread::sleep(LOOK_EVERY);
    }
}
