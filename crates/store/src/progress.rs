//! How far a transfer is.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How far a transfer is, in absolute bytes: what was there before counts, and what comes twice counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Bytes that are there.
    pub bytes_done: u64,
    /// Bytes of all, 0 = unknown.
    pub bytes_total: u64,
}

/// Hears how a transfer goes. Called often; must not block.
pub trait Progress: Send + Sync {
    /// It is so far now.
    fn transferred(&self, so_far: Transferred);
}

/// Nobody wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unheard;

impl Progress for Unheard {
    fn transferred(&self, _so_far: Transferred) {}
}

/// Adds up transfers that go on at the same time.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    done: AtomicU64,
    total: u64,
}

impl Sum {
    pub(crate) fn of(total: u64) -> Self {
        Self { done: AtomicU64::new(0), total }
    }

    /// One of them was at `before` and is at `now`. Gives the sum.
    pub(crate) fn moved(&self, before: u64, now: u64) -> Transferred {
        // Wrapping on purpose: a transfer that starts again goes back.
        let delta = now.wrapping_sub(before);
        let done = self.done.fetch_add(delta, Ordering::Relaxed).wrapping_add(delta);
        Transferred { bytes_done: if self.total == 0 { done } else { done.min(self.total) }, bytes_total: self.total }
    }
}

/// What one file tells to who waits for all.
pub(crate) struct Share {
    sum: Arc<Sum>,
    last: AtomicU64,
    all: Arc<dyn Progress>,
}

impl Share {
    /// A share of `sum`, in which `there` bytes of it are counted already.
    pub(crate) fn new(sum: &Arc<Sum>, there: u64, all: &Arc<dyn Progress>) -> Self {
        Self { sum: Arc::clone(sum), last: there.into(), all: Arc::clone(all) }
    }
}

impl Progress for Share {
    fn transferred(&self, so_far: Transferred) {
        let before = self.last.swap(so_far.bytes_done, Ordering::Relaxed);
        self.all.transferred(self.sum.moved(before, so_far.bytes_done));
    }
}
