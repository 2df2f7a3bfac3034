//! A byte stream that counts its flushes, and notes when something came back. HTTP/2 flushes after it wrote every frame it holds, so a count that grew
//! tells the send queue that what the transport had taken before is written. Owns the stream.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::DialedIo;
use crate::outbox::Flushes;

pub(super) struct FlushedIo {
    io: Box<dyn DialedIo>,
    flushes: Arc<Flushes>,
    wrote: bool,
}

impl FlushedIo {
    pub(super) fn new(io: Box<dyn DialedIo>, flushes: Arc<Flushes>) -> Self {
        Self { io, flushes, wrote: false }
    }
}

impl AsyncRead for FlushedIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.flushes.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for FlushedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.wrote = true;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wrote = true;
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        if std::mem::take(&mut self.wrote) {
            self.flushes.flushed();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
