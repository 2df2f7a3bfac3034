//! Whose time counts: that of the store, where several hubs share one.
//!
//! What one hub opens, another one may find expired, and what one has just let go of, another one may collect. So all of them ask
//! their store what time it is, before the first request and then with every round of tidying. In between each goes by the clock
//! of its own system, which may be wrong in itself as long as it runs at the right speed.

use super::Hub;
use crate::metadata::MetadataError;

/// Seconds by which a clock may be off without a word: what a busy network and a coarse clock explain.
const UNREMARKABLE_S: u64 = 5;

impl Hub {
    /// Goes by the clock of the store from now on, if that has one.
    pub(super) async fn ask_the_time(&self) -> Result<(), MetadataError> {
        let Some(now_s) = self.metadata.now_s().await? else { return Ok(()) };
        let moved_s = self.options.clock.follow(now_s);
        if moved_s.unsigned_abs() > UNREMARKABLE_S {
            tracing::warn!(moved_s, "the clock of this machine is not that of the database, which counts");
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests;
