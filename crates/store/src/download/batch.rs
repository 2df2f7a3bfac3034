//! Bytes on their way from the socket to the writer: few and bounded, in whatever pieces they come. A value.

use bytes::{Bytes, BytesMut};

/// A batch is written when it is so large: few wake-ups of the writer, little on the way.
pub(super) const BATCH_BYTES: usize = 256 * 1024;

/// Smaller pieces are copied together. A piece keeps the buffer that it was read into, of up to 400 KiB, and costs some bytes of
/// its own: a server that sends single bytes would fill the memory with them. Larger ones go on as they came.
const COPIED_BELOW: usize = 64 * 1024;

/// Pieces that follow each other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pieces: Vec<Bytes>,
    small: BytesMut,
    bytes: usize,
}

impl Batch {
    /// Adds the next piece.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        if piece.len() < COPIED_BELOW {
            self.small.extend_from_slice(&piece);
        } else {
            self.seal();
            self.pieces.push(piece);
        }
    }

    /// Whether it is worth writing.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES
    }

    /// All pieces so far, which leave the batch empty.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.seal();
        self.bytes = 0;
        std::mem::take(&mut self.pieces)
    }

    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(std::mem::take(&mut self.small).freeze());
        }
    }
}

#[cfg(test)]
mod tests;
