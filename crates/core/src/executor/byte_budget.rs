//! How much one job may have on its way to the file API at once (Hub contract, 9.1). Owns the count.

use std::{pin::pin, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Bytes on their way.
#[derive(Debug, Default)]
pub(super) struct ByteBudget {
    in_flight: Mutex<u64>,
    freed: Notify,
}

/// Bytes that count until this drops.
#[derive(Debug)]
pub(super) struct Reserved {
    budget: Arc<ByteBudget>,
    bytes: u64,
}

/// It would not fit if it were alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NeverFits;

impl ByteBudget {
    /// Waits until `bytes` fit beside the others into `total`.
    ///
    /// # Errors
    /// When they do not fit alone, once they would be.
    ///
    /// # Cancel safety
    /// May be dropped: nothing counts before it returns.
    pub(super) async fn reserve(self: &Arc<Self>, bytes: u64, total: u64) -> Result<Reserved, NeverFits> {
        loop {
            let mut freed = pin!(self.freed.notified());
            // Registered before the look, so that what is freed between the two is not missed.
            freed.as_mut().enable();
            {
                let mut in_flight = self.in_flight.lock();
                let sum = in_flight.saturating_add(bytes);
                if sum <= total {
                    *in_flight = sum;
                    return Ok(Reserved { budget: self.clone(), bytes });
                }
                if *in_flight == 0 {
                    return Err(NeverFits);
                }
            }
            freed.await;
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut in_flight = self.budget.in_flight.lock();
        *in_flight = in_flight.saturating_sub(self.bytes);
        drop(in_flight);
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    //! Nobody waits for ever, and nothing is counted twice.
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn h9_1_what_does_not_fit_waits_and_what_never_fits_fails_at_once() {
        let budget = Arc::<ByteBudget>::default();
        assert_eq!(budget.reserve(11, 10).await.map(drop), Err(NeverFits));
        let first = budget.reserve(6, 10).await.expect("room");
        let second = budget.reserve(4, 10).await.expect("room");
        let mut third = Box::pin(budget.reserve(5, 10));
        let mut never = Box::pin(budget.reserve(11, 10));
        assert!((&mut third).now_or_never().is_none() && (&mut never).now_or_never().is_none());
        drop(second);
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        let third = third.await.expect("room");
        assert!((&mut never).now_or_never().is_none(), "somebody is on the way");
        drop(third);
        assert_eq!(never.await.map(drop), Err(NeverFits));
        assert_eq!(*budget.in_flight.lock(), 0);
    }
}
