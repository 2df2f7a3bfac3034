//! What processes leave that were killed: objects that nothing names.

use futures::TryStreamExt as _;

use super::{
    Hub, UNUSED_GRACE,
    upkeep::{TIDY_STEP, TidyError},
};
use crate::disk::DiskFault;

impl Hub {
    /// Removes what an earlier process left when it was killed. Call it before the first request. What has expired stays until
    /// there is room to write that it is gone.
    ///
    /// # Errors
    /// See [`TidyError`].
    pub async fn recover(&self) -> Result<(), TidyError> {
        self.ask_the_time().await?;
        if self.metadata.shared().is_none() {
            self.blobs.remove_staged().await?;
            self.remove_unknown(u64::MAX).await?;
        } else {
            self.remove_leftovers().await?;
        }
        match self.tidy().await {
            // That may be so for long, and what is there can be read.
            Err(error) if DiskFault::of(&error).is_some() => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the hub was not tidied");
                Ok(())
            }
            tidied => tidied,
        }
    }

    /// The same while others work on the same objects: one that nothing names may be about to be named. No upload lives longer
    /// than the grace, so that one which is older than that will not be.
    pub(super) async fn remove_leftovers(&self) -> Result<(), TidyError> {
        if self.metadata.shared().is_none() {
            return Ok(());
        }
        self.remove_unknown(self.options.clock.now_s().saturating_sub(2 * UNUSED_GRACE.as_secs())).await
    }

    /// Removes objects that nothing names and that were written before this time.
    async fn remove_unknown(&self, before_s: u64) -> Result<(), TidyError> {
        let mut keys = std::pin::pin!(self.blobs.keys_before(before_s).try_chunks(TIDY_STEP));
        while let Some(keys) = keys.try_next().await.map_err(|error| error.1)? {
            let unknown = self.metadata.unknown(keys).await?;
            self.blobs.delete(unknown).await;
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests;
