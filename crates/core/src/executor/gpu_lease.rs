//! The permit of a started job for its accelerators. It goes with the work itself, so it is given back when the work
//! has really ended, however it ends: returned, failed, panicked, or dropped after a cancel or a deadline.
//!
//! While the job saves files it needs no accelerator: others may have it meanwhile (wire contract, 12.5).
//!
//! ```text
//!   held ── a file is saved ──> away ── last file is saved ──> waiting in line ── GpuPermit ──> held
//! ```

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::job::GpuSpan;

/// Tells the event loop of accelerators that are free again. Holds at most one entry per permit.
pub(crate) type GpusFreed = mpsc::UnboundedSender<GpuSpan>;

/// The permit of one job.
pub(super) struct GpuLease {
    permit: Mutex<Option<GpuPermit>>,
    /// Files that are being saved.
    windows: Mutex<usize>,
    /// Held by whoever brings the permit back: one is enough.
    returning: tokio::sync::Mutex<()>,
}

/// Accelerators of a job. Free again when this drops.
#[derive(Debug)]
pub(crate) struct GpuPermit {
    span: GpuSpan,
    freed: GpusFreed,
}

impl GpuPermit {
    pub(super) fn new(span: GpuSpan, freed: &GpusFreed) -> Self {
        Self { span, freed: freed.clone() }
    }
}

impl Drop for GpuPermit {
    fn drop(&mut self) {
        if self.freed.send(self.span).is_err() {
            tracing::trace!(span = ?self.span, "accelerators freed after the end");
        }
    }
}

impl GpuLease {
    pub(super) fn new(span: GpuSpan, freed: &GpusFreed) -> Self {
        let permit = Mutex::new(Some(GpuPermit::new(span, freed)));
        Self { permit, windows: Mutex::new(0), returning: tokio::sync::Mutex::new(()) }
    }

    /// The output of `work`, during which others may have the accelerators. `wanted` asks for them again.
    ///
    /// # Cancel safety
    /// When it is dropped the accelerators stay with the others: whoever drops it is about to end.
    pub(super) async fn without<T>(
        &self,
        work: impl Future<Output = T>,
        wanted: impl AsyncFnOnce() -> Option<GpuPermit>,
    ) -> T {
        let window = self.window();
        let output = work.await;
        let last = {
            drop(window);
            *self.windows.lock() == 0
        };
        let _returning = self.returning.lock().await;
        if last
            && self.permit.lock().is_none()
            && let Some(permit) = wanted().await
        {
            *self.permit.lock() = Some(permit);
        }
        output
    }

    fn window(&self) -> impl Drop + '_ {
        struct Window<'a>(&'a Mutex<usize>);
        impl Drop for Window<'_> {
            fn drop(&mut self) {
                let mut open = self.0.lock();
                *open = open.saturating_sub(1);
            }
        }
        *self.windows.lock() += 1;
        drop(self.permit.lock().take());
        Window(&self.windows)
    }
}

#[cfg(test)]
mod tests {
    //! Permits are never lost and never there twice.
    use futures::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn c20_the_permit_is_away_while_files_are_saved_and_comes_back_once() {
        let (freed, mut seen) = mpsc::unbounded_channel();
        let span = GpuSpan::new(0, 1);
        let lease = GpuLease::new(span, &freed);
        let ((first, one), (second, two)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        let asked = std::cell::Cell::new(0);
        let wanted = async || {
            asked.set(asked.get() + 1);
            Some(GpuPermit::new(span, &freed))
        };
        let mut both = Box::pin(async {
            drop(tokio::join!(lease.without(one, wanted), lease.without(two, wanted)));
        });
        assert!((&mut both).now_or_never().is_none());
        assert_eq!((seen.try_recv().ok(), seen.try_recv().ok()), (Some(span), None));
        first.send(()).expect("it waits");
        assert!((&mut both).now_or_never().is_none());
        assert_eq!(asked.get(), 0, "another file is still being saved");
        second.send(()).expect("it waits");
        both.await;
        assert_eq!((asked.get(), seen.try_recv().ok()), (1, None));
        drop(lease);
        assert_eq!((seen.try_recv().ok(), seen.try_recv().ok()), (Some(span), None));
    }

    #[tokio::test]
    async fn c20_a_cancel_in_the_window_leaks_nothing() {
        let (freed, mut seen) = mpsc::unbounded_channel();
        let span = GpuSpan::new(0, 1);
        let lease = GpuLease::new(span, &freed);
        {
            let window = lease.without(std::future::pending::<()>(), async || None);
            assert!(window.now_or_never().is_none());
        }
        assert_eq!(seen.try_recv().ok(), Some(span));
        // The permit comes when nobody waits for it any more.
        let (grant, waiting) = oneshot::channel();
        {
            let window = lease.without(async {}, async || waiting.await.ok());
            assert!(window.now_or_never().is_none());
        }
        drop(grant.send(GpuPermit::new(span, &freed)));
        assert_eq!(seen.try_recv().ok(), Some(span));
        drop(lease);
        assert_eq!(seen.try_recv().ok(), None, "it held nothing");
    }
}
