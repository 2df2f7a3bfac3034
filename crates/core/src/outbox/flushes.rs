//! How often a connection wrote out everything it held, and who waits to hear of the next time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    task::Context,
};

use futures::task::AtomicWaker;

/// Counted by the transport, read by the writer.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    count: AtomicU64,
    waiting: AtomicWaker,
}

impl Flushes {
    /// The connection wrote everything it held.
    pub(crate) fn flushed(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.waiting.wake();
    }

    /// Flushes so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Wakes this task at the next flush.
    pub(super) fn wake_at_next(&self, cx: &Context<'_>) {
        self.waiting.register(cx.waker());
    }
}
