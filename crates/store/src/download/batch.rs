//! Bytes on their way from the socket to the writer, in buffers that go round. A value.
//!
//! All that comes is copied: a piece of a body keeps the buffer of up to 400 KiB that it was read into, so a server that sends
//! single bytes would fill the memory with them. What is copied at once lets the connection read into the same buffer again, which
//! is cheaper than the copy.

use bytes::{Buf as _, Bytes};

/// A batch is written when it is so large: few wake-ups of the writer, little on the way.
pub(super) const BATCH_BYTES: usize = 256 * 1024;

/// Bytes that follow each other.
#[derive(Debug)]
pub(super) struct Batch(Vec<u8>);

impl Batch {
    /// An empty one, where `rest` bytes at most are to come: small files keep little memory.
    pub(super) fn new(rest: u64) -> Self {
        Self(Vec::with_capacity(usize::try_from(rest).unwrap_or(usize::MAX).min(BATCH_BYTES)))
    }

    /// Takes as much of `piece` as fits.
    pub(super) fn fill(&mut self, piece: &mut Bytes) {
        let fits = piece.len().min(BATCH_BYTES.saturating_sub(self.0.len()));
        self.0.extend_from_slice(piece.get(..fits).unwrap_or_default());
        piece.advance(fits);
    }

    /// Whether nothing more fits.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= BATCH_BYTES
    }

    /// What is in it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same buffer for other bytes.
    pub(super) fn emptied(mut self) -> Self {
        self.0.clear();
        self
    }
}

#[cfg(test)]
mod tests;
