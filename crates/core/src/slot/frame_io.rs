//! Frames over a byte stream. Owns both directions of it and what is buffered on the way.

use std::io;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split};

use super::frame::{Frame, FrameError, decode, encode};

/// Free room offered to one read: enough for a burst of small frames.
const READ_BYTES: usize = 64 * 1024;

/// Room of an empty buffer that is kept. A large payload must not stay in memory once it is gone.
const KEPT_BYTES: usize = 1024 * 1024;

/// The stream of a slot cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub enum SlotIoError {
    /// Reading failed, or the stream ended inside a frame.
    #[error("the stream of a slot broke")]
    Broken(#[source] io::Error),
    /// The other side does not speak this language.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Frames in both directions.
pub(super) struct FrameIo<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    inbound: BytesMut,
    outbound: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameIo<S> {
    pub(super) fn new(stream: S) -> Self {
        let (reader, writer) = split(stream);
        Self { reader, writer, inbound: BytesMut::new(), outbound: BytesMut::new() }
    }

    /// Queues a frame; [`FrameIo::next`] sends it.
    pub(super) fn queue(&mut self, frame: Frame) -> Result<(), FrameError> {
        encode(frame, &mut self.outbound)
    }

    /// Bytes that are queued and not written.
    pub(super) fn unsent(&self) -> usize {
        self.outbound.len()
    }

    /// The next frame of the other side, nothing at its end. Sends what is queued meanwhile.
    ///
    /// # Cancel safety
    /// May be dropped: nothing is lost in either direction.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, SlotIoError> {
        let Self { reader, writer, inbound, outbound } = self;
        loop {
            if let Some(frame) = decode(inbound)? {
                return Ok(Some(frame));
            }
            inbound.reserve(READ_BYTES);
            tokio::select! {
                read = reader.read_buf(inbound) => match read {
                    Ok(0) if inbound.is_empty() => return Ok(None),
                    Ok(0) => return Err(SlotIoError::Broken(io::ErrorKind::UnexpectedEof.into())),
                    Ok(_) => {}
                    Err(error) => return Err(SlotIoError::Broken(error)),
                },
                wrote = writer.write_buf(outbound), if outbound.has_remaining() => {
                    // Nobody reads any more: what they said before can still be read, and then their end.
                    if !matches!(wrote, Ok(1..)) {
                        outbound.clear();
                    }
                    if outbound.is_empty() && outbound.capacity() > KEPT_BYTES {
                        *outbound = BytesMut::new();
                    }
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn into_stream(self) -> S {
        self.reader.unsplit(self.writer)
    }
}
