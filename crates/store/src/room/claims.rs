//! Space that transfers of this process were promised and have not filled yet. Owns the sum of it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::progress::{Progress, Transferred};

/// Everything that is promised. What other processes promised shows only once it is on the disk.
#[derive(Default)]
pub(crate) struct Claims {
    all: Arc<AtomicU64>,
    /// One decision at a time: two at once would both be promised the last free bytes, or both evict for them.
    pub(super) deciding: tokio::sync::Mutex<()>,
}

impl Claims {
    /// Bytes that are not free, whatever the disk says.
    pub(super) fn bytes(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// Promises `bytes` more, until it is dropped.
    pub(crate) fn claim(&self, bytes: u64) -> Claim {
        self.all.fetch_add(bytes, Ordering::Relaxed);
        Claim { all: Arc::clone(&self.all), left: bytes.into() }
    }
}

/// A promise.
pub(crate) struct Claim {
    all: Arc<AtomicU64>,
    left: AtomicU64,
}

impl Claim {
    /// So much of it is not filled yet.
    fn is_left(&self, bytes: u64) {
        let before = self.left.swap(bytes, Ordering::Relaxed);
        // Wrapping on purpose: a transfer that starts again wants more.
        self.all.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.is_left(0);
    }
}

/// Passes on how far a transfer is; what is there needs no promise any more.
pub(crate) struct Claiming {
    claim: Claim,
    all: Arc<dyn Progress>,
}

impl Claiming {
    pub(crate) fn over(claim: Claim, all: &Arc<dyn Progress>) -> Arc<dyn Progress> {
        Arc::new(Self { claim, all: Arc::clone(all) })
    }
}

impl Progress for Claiming {
    fn transferred(&self, so_far: Transferred) {
        self.claim.is_left(so_far.bytes_total.saturating_sub(so_far.bytes_done));
        self.all.transferred(so_far);
    }
}
