//! Where the store's blocking work runs. Owns the scope of all its tasks.

use std::{fmt, sync::Arc};

use gen_worker_tasks::Scope;
use tokio::sync::Semaphore;

use crate::fetch_error::FetchError;

/// Closures that run at once. Each has a thread, and threads keep memory; so many are enough for a disk to make their files
/// durable together. Writers of transfers have threads besides.
const AT_ONCE: usize = 16;

/// Runs closures that block. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DiskPool {
    scope: Arc<Scope>,
    permits: Arc<Semaphore>,
}

impl DiskPool {
    pub(crate) fn new(scope: Arc<Scope>) -> Self {
        Self { scope, permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    pub(crate) fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// The result of `work`, which must not wait for other work here.
    ///
    /// # Cancel safety
    /// When dropped, `work` that has begun still runs to its end: what it must not be disturbed in (a lock) it has to own.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
    ) -> Result<T, FetchError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| FetchError::Closed)?;
        let work = move || {
            let _permit = permit;
            work()
        };
        self.scope.spawn_blocking(work).await.unwrap_or(Err(FetchError::Closed))
    }
}

impl fmt::Debug for DiskPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskPool")
    }
}
