//! How often a connection wrote out everything it held, how far the other side was heard of since, and who waits to
//! hear of the next time.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    task::Context,
};

use futures::task::AtomicWaker;

/// Counted by the transport, read by the writer.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    count: AtomicU64,
    /// Flushes there had been when bytes last arrived.
    answered: AtomicU64,
    waiting: AtomicWaker,
}

impl Flushes {
    /// The connection wrote everything it held.
    pub(crate) fn flushed(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.waiting.wake();
    }

    /// Bytes arrived.
    pub(crate) fn heard(&self) {
        self.answered.store(self.count(), Ordering::Release);
        self.waiting.wake();
    }

    /// Flushes after which something came back. A connection whose other end is gone takes what is written to it for
    /// minutes; but nothing comes back on it.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    /// Flushes so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Wakes this task at the next flush, or when bytes arrive.
    pub(super) fn wake_at_next(&self, cx: &Context<'_>) {
        self.waiting.register(cx.waker());
    }
}
