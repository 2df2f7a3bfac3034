//! The writing side of a stream: a channel that the owner loop fills and the connection empties. It is bounded by
//! what the worker holds, so full means that the worker does not read; the owner then ends the stream instead of
//! waiting.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures::Stream;
use gen_worker_proto::pb::{self, scheduler_message::Msg};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

/// The owner's end. Dropping it ends the stream with OK once everything queued is written.
#[derive(Debug)]
pub(crate) struct Outbound {
    messages: mpsc::UnboundedSender<pb::SchedulerMessage>,
    messages_max: usize,
    end: Arc<End>,
}

/// The connection's end.
pub(crate) struct OutboundStream {
    messages: mpsc::UnboundedReceiver<pb::SchedulerMessage>,
    end: Arc<End>,
    broken: Pin<Box<WaitForCancellationFutureOwned>>,
    done: bool,
}

/// How a stream was ended, and the word that it was.
#[derive(Debug, Default)]
struct End {
    /// Messages queued and not yet taken by the connection.
    queued: AtomicUsize,
    status: Mutex<Option<Status>>,
    /// Cancelled when the stream is to be cut with `status`.
    broken: CancellationToken,
    /// Cancelled when the owner is done with the stream, one way or the other.
    over: CancellationToken,
}

/// The channel of a stream is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Messages a stream has room for beside those that [`Outbound::make_room`] is told of: acknowledgement, drain, and
/// cancels of attempts that are given up.
const ROOM_FLAT: usize = 1_024;

/// A pair of ends.
pub(crate) fn outbound() -> (Outbound, OutboundStream) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let end = Arc::new(End::default());
    let broken = Box::pin(end.broken.clone().cancelled_owned());
    let stream = OutboundStream { messages: receiver, end: Arc::clone(&end), broken, done: false };
    (Outbound { messages: sender, messages_max: ROOM_FLAT, end }, stream)
}

impl Outbound {
    /// Makes room for what a worker with `jobs` attempts can be sent at most: each three times, and its cancel.
    pub(crate) fn make_room(&mut self, jobs: usize) {
        self.messages_max = jobs.saturating_mul(4).saturating_add(ROOM_FLAT);
    }

    /// Queues a message. A stream that is gone swallows it: its end is on its way to the owner.
    pub(crate) fn send(&self, message: Msg) -> Result<(), Full> {
        if self.end.queued.fetch_add(1, Relaxed) >= self.messages_max {
            return Err(Full);
        }
        drop(self.messages.send(pb::SchedulerMessage { msg: Some(message) }));
        Ok(())
    }

    /// Cuts the stream with a status; what is queued is not written any more.
    pub(crate) fn cut(self, status: Status) {
        *self.end.status.lock() = Some(status);
        self.end.broken.cancel();
    }

    /// Tells when the owner is done with the stream.
    pub(crate) fn over(&self) -> CancellationToken {
        self.end.over.clone()
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.end.over.cancel();
    }
}

impl Stream for OutboundStream {
    type Item = Result<pb::SchedulerMessage, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        if self.broken.as_mut().poll(cx).is_ready() {
            self.done = true;
            let status = self.end.status.lock().take();
            return Poll::Ready(status.map(Err));
        }
        match self.messages.poll_recv(cx) {
            Poll::Ready(Some(message)) => {
                self.end.queued.fetch_sub(1, Relaxed);
                Poll::Ready(Some(Ok(message)))
            }
            Poll::Ready(None) => {
                // A cut drops the sender as well; whichever is seen first, the status wins.
                self.done = true;
                let status = self.end.status.lock().take();
                Poll::Ready(status.map(Err))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
