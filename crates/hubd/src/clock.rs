//! What time it is. Everything that ends (addresses, uploads, commits, tokens) ends by this clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds since 1970, of the system or of a test.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The clock of the system.
    #[must_use]
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `now_s` until [`Clock::advance`]. Clones stand together.
    #[must_use]
    pub fn standing(now_s: u64) -> Self {
        Self(Some(Arc::new(AtomicU64::new(now_s))))
    }

    /// Moves a standing clock.
    pub fn advance(&self, seconds: u64) {
        if let Some(standing) = &self.0 {
            standing.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    /// Seconds since 1970. A system clock before that reads 0.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        match &self.0 {
            Some(standing) => standing.load(Ordering::SeqCst),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        }
    }
}
