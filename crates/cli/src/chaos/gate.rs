//! A TCP connection that can be made to fail.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::transport::server::Connected;

const OPEN: u8 = 0;
const STALLED: u8 = 1;
const CUT: u8 = 2;
const GONE: u8 = 3;

/// Decides what happens to one connection. Clones decide about the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: AtomicU8,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Gate {
    /// Neither side hears anything from now on.
    pub(super) fn stall(&self) {
        self.set(STALLED);
    }

    /// Ends the connection after everything that has arrived was read.
    pub(super) fn cut(&self) {
        self.set(CUT);
    }

    /// Ends the connection; what has arrived and was not read is lost.
    pub(super) fn drop_now(&self) {
        self.set(GONE);
    }

    fn set(&self, state: u8) {
        self.0.state.store(state, Ordering::SeqCst);
        self.0.reader.wake();
        self.0.writer.wake();
    }

    fn read_state(&self, cx: &Context<'_>) -> u8 {
        self.0.reader.register(cx.waker());
        self.0.state.load(Ordering::SeqCst)
    }

    fn write_state(&self, cx: &Context<'_>) -> u8 {
        self.0.writer.register(cx.waker());
        self.0.state.load(Ordering::SeqCst)
    }
}

/// A connection behind a gate.
pub(super) struct Gated {
    stream: TcpStream,
    gate: Gate,
}

impl Gated {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, gate: Gate::default() }
    }

    /// What the gate lets a write do: nothing for ever, nothing because it is over, or what the stream says.
    fn writable<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.gate.write_state(cx) {
            OPEN => write(Pin::new(&mut self.stream), cx),
            STALLED => Poll::Pending,
            _ => Poll::Ready(Err(broken())),
        }
    }
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

impl Connected for Gated {
    type ConnectInfo = Gate;

    fn connect_info(&self) -> Gate {
        self.gate.clone()
    }
}

impl AsyncRead for Gated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.gate.read_state(cx) {
            OPEN => Pin::new(&mut self.stream).poll_read(cx, buffer),
            STALLED => Poll::Pending,
            CUT => match Pin::new(&mut self.stream).poll_read(cx, buffer) {
                Poll::Pending => Poll::Ready(Err(broken())),
                ready => ready,
            },
            _ => Poll::Ready(Err(broken())),
        }
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writable(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writable(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writable(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}
