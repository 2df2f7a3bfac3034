//! What time it is. Everything that ends (addresses, uploads, commits, tokens) ends by this clock.
//!
//! Hubs that share a store also share its clock ([`Clock::follow`]), so that none of them takes for old what is new to another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds since 1970, of the system or of a test. Clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System {
        /// Seconds that the system's clock is ahead of the true one, for tests of that.
        ahead_s: i64,
        /// Seconds to add to what it says.
        correction_s: Arc<AtomicI64>,
    },
    Standing(Arc<AtomicU64>),
}

impl Clock {
    /// The clock of the system.
    #[must_use]
    pub fn system() -> Self {
        Self::system_ahead(0)
    }

    /// The clock of a system whose own is ahead by so many seconds, or behind.
    #[must_use]
    pub fn system_ahead(ahead_s: i64) -> Self {
        Self(Source::System { ahead_s, correction_s: Arc::default() })
    }

    /// A clock that stands at `now_s` until [`Clock::advance`]. Clones stand together.
    #[must_use]
    pub fn standing(now_s: u64) -> Self {
        Self(Source::Standing(Arc::new(AtomicU64::new(now_s))))
    }

    /// Moves a standing clock.
    pub fn advance(&self, seconds: u64) {
        if let Source::Standing(standing) = &self.0 {
            standing.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    /// From now on tells the time of another clock, which shows `now_s`, and goes on by the system's. By how many seconds that
    /// moves it, forward or back. One that stands is not moved.
    pub fn follow(&self, now_s: u64) -> i64 {
        let Source::System { correction_s, .. } = &self.0 else { return 0 };
        let (other, own) = (i64::try_from(now_s).unwrap_or(i64::MAX), i64::try_from(self.now_s()).unwrap_or(i64::MAX));
        let moved = other.saturating_sub(own);
        correction_s.fetch_add(moved, Ordering::SeqCst);
        moved
    }

    /// Seconds since 1970. A system clock before that reads 0.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        match &self.0 {
            Source::Standing(standing) => standing.load(Ordering::SeqCst),
            Source::System { ahead_s, correction_s } => {
                let system = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                system.saturating_add_signed(ahead_s.saturating_add(correction_s.load(Ordering::SeqCst)))
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

#[cfg(test)]
mod tests;
