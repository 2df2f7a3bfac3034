//! A sticky flag that can be polled and awaited.

use std::{
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

/// Raised once, seen by every clone. Cheap to clone and to look at.
#[derive(Clone, Default)]
pub struct CancelFlag(Arc<Inner>);

#[derive(Default)]
struct Inner {
    set: AtomicBool,
    raised: Notify,
}

impl CancelFlag {
    /// A flag that is down.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag and wakes everybody who waits. Idempotent.
    pub fn set(&self) {
        self.0.set.store(true, Ordering::Release);
        self.0.raised.notify_waiters();
    }

    /// Whether the flag is up.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::Acquire)
    }

    /// Completes once the flag is up.
    ///
    /// # Cancel safety
    /// Holds no state; may be dropped and awaited again.
    pub async fn wait(&self) {
        loop {
            if self.is_set() {
                return;
            }
            let mut raised = pin!(self.0.raised.notified());
            // Registered before the second look, so that a `set` between the two is not missed.
            raised.as_mut().enable();
            if self.is_set() {
                return;
            }
            raised.await;
        }
    }
}

impl fmt::Debug for CancelFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelFlag").field(&self.is_set()).finish()
    }
}
