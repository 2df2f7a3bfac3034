//! The outgoing half of a stream: Hello first, then whatever the send queue hands over, everything that is ready in
//! one go, so that the transport packs a batch into few frames. Owns the batch in hand.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;

use crate::outbox::{Flushes, Outgoing, SharedOutbox};

/// Messages taken from the queue under one lock. Few enough that what is in hand, and cannot be dropped in favor
/// of something newer, stays small against the queue.
const BATCH_ENTRIES: usize = 64;

pub(super) struct Outbound {
    hello: Option<Outgoing>,
    outbox: SharedOutbox,
    connection: u64,
    flushes: Arc<Flushes>,
    batch: VecDeque<Outgoing>,
}

impl Outbound {
    pub(super) fn new(hello: Outgoing, outbox: SharedOutbox, connection: u64, flushes: Arc<Flushes>) -> Self {
        Self { hello: Some(hello), outbox, connection, flushes, batch: VecDeque::with_capacity(BATCH_ENTRIES) }
    }
}

impl Stream for Outbound {
    type Item = Outgoing;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outgoing>> {
        if let Some(hello) = self.hello.take() {
            return Poll::Ready(Some(hello));
        }
        if let Some(message) = self.batch.pop_front() {
            return Poll::Ready(Some(message));
        }
        let Self { outbox, connection, flushes, batch, .. } = &mut *self;
        outbox.poll_take(cx, *connection, flushes, BATCH_ENTRIES, batch).map(|()| batch.pop_front())
    }
}
