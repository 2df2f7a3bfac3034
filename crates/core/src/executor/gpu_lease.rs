//! The permit of a started job for its accelerators. It goes with the work itself, so it is given back when the work
//! has really ended, however it ends: returned, failed, panicked, or dropped after a cancel or a deadline.

use tokio::sync::mpsc;

use crate::job::GpuSpan;

/// Tells the event loop of accelerators that are free again. Holds at most one entry per permit.
pub(crate) type GpusFreed = mpsc::UnboundedSender<GpuSpan>;

pub(super) struct GpuLease {
    span: GpuSpan,
    freed: GpusFreed,
}

impl GpuLease {
    pub(super) fn new(span: GpuSpan, freed: &GpusFreed) -> Self {
        Self { span, freed: freed.clone() }
    }
}

impl Drop for GpuLease {
    fn drop(&mut self) {
        if self.freed.send(self.span).is_err() {
            tracing::trace!(span = ?self.span, "accelerators freed after the end");
        }
    }
}
