//! The bounded buffer between the owner loop and one reader of events. The owner never waits for a reader: what
//! does not fit pushes out the oldest, and the reader is told how much it missed.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures::Stream;
use parking_lot::Mutex;

use super::event::Event;

/// Most events one reader may lag behind: a page of tokens; more would only age in memory.
pub(crate) const BUFFER_EVENTS_MAX: usize = 1_024;

/// Most bytes one reader may hold back: as much as the ring of a request keeps.
pub(crate) const BUFFER_BYTES_MAX: usize = 1024 * 1024;

/// Events of one request: zero or more, then exactly one terminal event, then the end. Dropping it unsubscribes.
pub struct Subscription {
    buffer: Arc<Mutex<Buffer>>,
}

/// The writing end, held by the owner loop.
#[derive(Debug)]
pub(crate) struct Publisher {
    buffer: Arc<Mutex<Buffer>>,
}

#[derive(Debug, Default)]
struct Buffer {
    events: VecDeque<Event>,
    bytes: usize,
    /// Events pushed out before the ones that are buffered.
    lost: u64,
    finished: bool,
    unsubscribed: bool,
    reader: Option<Waker>,
}

/// A connected pair of ends.
pub(crate) fn subscription() -> (Publisher, Subscription) {
    let buffer = Arc::new(Mutex::new(Buffer::default()));
    (Publisher { buffer: Arc::clone(&buffer) }, Subscription { buffer })
}

impl Publisher {
    /// Hands an event over; never waits. Returns false once the reader is gone.
    pub(crate) fn publish(&self, event: Event) -> bool {
        let waker = {
            let mut buffer = self.buffer.lock();
            if buffer.unsubscribed {
                return false;
            }
            buffer.push(event);
            buffer.reader.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Whether the reader is gone.
    pub(crate) fn is_unsubscribed(&self) -> bool {
        self.buffer.lock().unsubscribed
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let waker = {
            let mut buffer = self.buffer.lock();
            buffer.finished = true;
            buffer.reader.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Buffer {
    fn push(&mut self, event: Event) {
        if self.finished {
            return;
        }
        if event.is_terminal() {
            // Always fits: it is the last one, and a stream without it would break its contract.
            self.finished = true;
            self.events.push_back(event);
            return;
        }
        if let Event::Gap { lost } = event {
            // A gap in front of a replay: merged with what this reader loses itself.
            if self.events.is_empty() {
                self.events.push_back(Event::Gap { lost });
            } else {
                self.lost += lost;
            }
            return;
        }
        self.bytes += event.weight();
        self.events.push_back(event);
        while self.events.len() > BUFFER_EVENTS_MAX || (self.bytes > BUFFER_BYTES_MAX && self.events.len() > 1) {
            if let Some(oldest) = self.events.pop_front() {
                match oldest {
                    Event::Gap { lost } => self.lost += lost,
                    other => {
                        self.bytes -= other.weight();
                        self.lost += 1;
                    }
                }
            }
        }
    }

    fn pop(&mut self) -> Option<Event> {
        if self.lost > 0 {
            return Some(Event::Gap { lost: std::mem::take(&mut self.lost) });
        }
        let event = self.events.pop_front()?;
        if !event.is_terminal() && !matches!(event, Event::Gap { .. }) {
            self.bytes -= event.weight();
        }
        Some(event)
    }
}

impl Stream for Subscription {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut buffer = self.buffer.lock();
        if let Some(event) = buffer.pop() {
            return Poll::Ready(Some(event));
        }
        if buffer.finished {
            return Poll::Ready(None);
        }
        match &mut buffer.reader {
            Some(waker) => waker.clone_from(cx.waker()),
            reader @ None => *reader = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut buffer = self.buffer.lock();
        buffer.unsubscribed = true;
        buffer.events.clear();
        buffer.reader = None;
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("buffered", &self.buffer.lock().events.len()).finish()
    }
}

#[cfg(test)]
mod tests;
