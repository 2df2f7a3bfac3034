//! Replies that come before their request has: the connection ends after them, since what still comes would be taken for the next
//! request. Clients have to hear that, or they send the next one into a connection that is closing; and how it ends is another
//! matter then (see [`super::linger`]).

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use hyper::{
    Response,
    body::{Body, Frame, SizeHint},
    header::{self, HeaderValue},
};

/// Whether a connection had such a reply; it is its last then.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread(Arc<AtomicBool>);

impl Unread {
    #[cfg(test)]
    pub fn some() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body that tells whether it was read to its end.
#[derive(Debug)]
pub(super) struct Watched<B> {
    body: B,
    read: Arc<AtomicBool>,
}

/// What is known of such a body.
#[derive(Debug)]
pub(super) struct Reading(Arc<AtomicBool>);

impl<B: Body> Watched<B> {
    pub fn new(body: B) -> (Self, Reading) {
        let read = Arc::new(AtomicBool::new(body.is_end_stream()));
        (Self { body, read: Arc::clone(&read) }, Reading(read))
    }
}

impl Reading {
    /// Says in `reply` that the connection ends, and notes it in `unread`, unless the whole body was read.
    pub fn tell<T>(&self, mut reply: Response<T>, unread: &Unread) -> Response<T> {
        if !self.0.load(Ordering::Relaxed) {
            unread.0.store(true, Ordering::Relaxed);
            reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.read.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
