//! Where the store's blocking work runs. Owns the scope of all its tasks.

use std::{fmt, sync::Arc};

use gen_worker_tasks::Scope;

use crate::fetch_error::FetchError;

/// Runs closures that block. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DiskPool(Arc<Scope>);

impl DiskPool {
    pub(crate) fn new(scope: Arc<Scope>) -> Self {
        Self(scope)
    }

    pub(crate) fn scope(&self) -> &Arc<Scope> {
        &self.0
    }

    /// The result of `work`.
    ///
    /// # Cancel safety
    /// When dropped, `work` still runs to its end: what it must not be disturbed in (a lock) it has to own.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
    ) -> Result<T, FetchError> {
        self.0.spawn_blocking(work).await.unwrap_or(Err(FetchError::Closed))
    }
}

impl fmt::Debug for DiskPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskPool")
    }
}
