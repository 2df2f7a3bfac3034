//! Counts who uses an instance.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// The count of one instance.
#[derive(Default)]
pub(super) struct Leases(Arc<Count>);

/// One use. Clones count too.
pub(super) struct Lease(Arc<Count>);

#[derive(Default)]
struct Count {
    held: AtomicUsize,
    idle: Notify,
}

impl Leases {
    pub(super) fn take(&self) -> Lease {
        self.0.held.fetch_add(1, Ordering::Relaxed);
        Lease(self.0.clone())
    }

    pub(super) fn is_held(&self) -> bool {
        self.0.held.load(Ordering::Acquire) > 0
    }

    /// Completes once nobody uses the instance. The caller makes sure that nobody takes a new lease.
    pub(super) async fn wait_idle(&self) {
        // One permit is stored when the last lease goes before anybody waits; a stale one costs one more look.
        while self.0.held.load(Ordering::Acquire) > 0 {
            self.0.idle.notified().await;
        }
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.0.held.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Release: what the user did to the instance happens before its shutdown.
        if self.0.held.fetch_sub(1, Ordering::Release) == 1 {
            self.0.idle.notify_one();
        }
    }
}
