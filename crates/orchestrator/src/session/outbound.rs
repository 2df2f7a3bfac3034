//! The writing side of a stream: a bounded channel that the owner loop fills and the connection empties. Full means
//! that the worker does not read; the owner then ends the stream instead of waiting.

use std::{
    pin::Pin,
    sync::Arc,
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
    messages: mpsc::Sender<pb::SchedulerMessage>,
    end: Arc<End>,
}

/// The connection's end.
pub(crate) struct OutboundStream {
    messages: mpsc::Receiver<pb::SchedulerMessage>,
    end: Arc<End>,
    broken: Pin<Box<WaitForCancellationFutureOwned>>,
    done: bool,
}

/// How a stream was ended, and the word that it was.
#[derive(Debug, Default)]
struct End {
    status: Mutex<Option<Status>>,
    /// Cancelled when the stream is to be cut with `status`.
    broken: CancellationToken,
    /// Cancelled when the owner is done with the stream, one way or the other.
    over: CancellationToken,
}

/// The channel of a stream is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A pair of ends with room for `capacity` messages.
pub(crate) fn outbound(capacity: usize) -> (Outbound, OutboundStream) {
    let (sender, receiver) = mpsc::channel(capacity);
    let end = Arc::new(End::default());
    let broken = Box::pin(end.broken.clone().cancelled_owned());
    let stream = OutboundStream { messages: receiver, end: Arc::clone(&end), broken, done: false };
    (Outbound { messages: sender, end }, stream)
}

impl Outbound {
    /// Queues a message. A stream that is gone swallows it: its end is on its way to the owner.
    pub(crate) fn send(&self, message: Msg) -> Result<(), Full> {
        match self.messages.try_send(pb::SchedulerMessage { msg: Some(message) }) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Full),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
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
            Poll::Ready(Some(message)) => Poll::Ready(Some(Ok(message))),
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
