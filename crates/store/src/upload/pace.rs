//! How a part moves: whether it still does, and how far all of them are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::progress::{Progress, Sum};

/// Who hears of all parts of a file.
#[derive(Clone)]
pub(super) struct Audience {
    pub(super) sum: Arc<Sum>,
    pub(super) progress: Arc<dyn Progress>,
}

/// One attempt of one part.
pub(super) struct Pace {
    last: Mutex<Instant>,
    sent: AtomicU64,
    audience: Audience,
}

impl Pace {
    pub(super) fn new(audience: Audience) -> Self {
        Self { last: Mutex::new(Instant::now()), sent: AtomicU64::new(0), audience }
    }

    /// So many bytes more were taken.
    pub(super) fn moved(&self, bytes: u64) {
        *self.last.lock() = Instant::now();
        let before = self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.audience.progress.transferred(self.audience.sum.moved(before, before.saturating_add(bytes)));
    }

    /// The attempt failed: what it sent does not count.
    pub(super) fn undo(&self) {
        let before = self.sent.swap(0, Ordering::Relaxed);
        self.audience.progress.transferred(self.audience.sum.moved(before, 0));
    }

    /// The output of `work`; none once nothing has moved for `stall`.
    ///
    /// # Cancel safety
    /// May be dropped, and `work` with it.
    pub(super) async fn watch<T>(&self, stall: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let due = *self.last.lock() + stall;
            match tokio::time::timeout_at(due, &mut work).await {
                Ok(output) => return Some(output),
                Err(_) if *self.last.lock() + stall > due => {}
                Err(_) => return None,
            }
        }
    }
}
