//! Connections that end while their client still sends. Owns the two timers of such an end.
//!
//! A socket that is closed with bytes unread answers those, and what still comes, with a reset; a reset takes away what the client
//! has not read yet, which is the reply that says why. So the half towards the client is closed first, and what comes is thrown
//! away until the client has seen that (RFC 9112, section 9.6).

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::unread::Unread;
use crate::patience::Patience;

/// How long a client may go on sending after its reply, at most. As long as nginx lets them, by default (`lingering_time`).
const TIME: Duration = Duration::from_secs(30);

/// How long it may send nothing and keep the connection (`lingering_timeout` there).
const SILENCE: Duration = Duration::from_secs(5);

/// What is read at once, to be thrown away. It is on the stack of a poll.
const PIECE_BYTES: usize = 16 * 1024;

/// A socket whose end waits for the client when there is something `unread` of it.
#[derive(Debug)]
pub(super) struct Lingering<S> {
    socket: S,
    unread: Unread,
    silence: Duration,
    end: Option<End>,
}

/// The half towards the client is closed.
#[derive(Debug)]
struct End {
    time: Pin<Box<Sleep>>,
    silence: Patience,
}

impl<S> Lingering<S> {
    /// `stall` is how long a client may move nothing at other times.
    pub fn new(socket: S, unread: Unread, stall: Duration) -> Self {
        Self { socket, unread, silence: stall.min(SILENCE), end: None }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, unread, silence, end } = &mut *self;
        if end.is_none() {
            ready!(Pin::new(&mut *socket).poll_shutdown(cx))?;
        }
        if !unread.is_any() {
            return Poll::Ready(Ok(()));
        }
        let begin = || End { time: Box::pin(sleep(TIME)), silence: Patience::new(*silence) };
        let End { time, silence } = end.get_or_insert_with(begin);
        while time.as_mut().poll(cx).is_pending() {
            let mut piece = [MaybeUninit::uninit(); PIECE_BYTES];
            let mut piece = ReadBuf::uninit(&mut piece);
            match Pin::new(&mut *socket).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => silence.renew(),
                // The client has ended it, in whatever way.
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(silence.poll_end(cx));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
