//! The send queue shared by the event loop, the tasks of streaming jobs and the writer. Owns the lock and the
//! writer's waker; no lock is held across an await point.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use gen_worker_proto::Pair;
use parking_lot::Mutex;
use tokio::sync::{Notify, futures::OwnedNotified};

use super::{Flushes, JobEnd, Outbox, Outgoing, Progress};
use crate::spool::Spool;

/// Handle on the queue. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedOutbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    room: Notify,
    drained: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    outbox: Outbox,
    /// Keeps results until they are written.
    spool: Option<Spool>,
    /// The stream the writer serves; messages flow only while it is open.
    connection: u64,
    open: bool,
    half_close: bool,
    writer: Option<Waker>,
    waiting_for_room: bool,
    /// Batches taken since the writer last paused.
    unpaused: usize,
}

/// Batches after which the writer pauses for a moment even if there is more. Only a pause lets a flush prove that
/// results are written, and until then they are kept.
const UNPAUSED_MAX: usize = 32;

/// Numbers the frames of one pair and ends them. Both fields change only under the queue's lock, so a frame can
/// neither follow the result nor share a number.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    frames: AtomicI64,
    closed: AtomicBool,
}

impl SharedOutbox {
    pub(crate) fn new(entries_max: usize, spool: Option<Spool>) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                outbox: Outbox::new(entries_max),
                spool,
                connection: 0,
                open: false,
                half_close: false,
                writer: None,
                waiting_for_room: false,
                unpaused: 0,
            }),
            room: Notify::new(),
            drained: Arc::new(Notify::new()),
        }))
    }

    /// Queues a message. The writer is not woken: a batch ends with [`SharedOutbox::wake`].
    pub(crate) fn push(&self, message: impl Into<Outgoing>) {
        self.0.state.lock().outbox.push(message.into());
    }

    /// Queues the end of a pair and closes its gate: no frame of it is queued from here on. The writer is not woken.
    pub(crate) fn finish(&self, gate: &Gate, end: JobEnd) {
        let mut state = self.0.state.lock();
        gate.closed.store(true, Ordering::Relaxed);
        state.outbox.push(Outgoing::Result(end));
    }

    /// Ends the frames of a superseded pair and drops what is queued for it.
    pub(crate) fn abandon(&self, gate: &Gate, pair: &Pair) {
        let mut state = self.0.state.lock();
        gate.closed.store(true, Ordering::Relaxed);
        state.outbox.withdraw(|queued| queued == pair);
        state.forget_done();
    }

    /// Drops results of other attempts of the same request.
    pub(crate) fn withdraw_other_attempts(&self, pair: &Pair) {
        let mut state = self.0.state.lock();
        state.outbox.withdraw(|queued| queued.request_id == pair.request_id && queued.attempt != pair.attempt);
        state.forget_done();
    }

    /// Queues a frame now, at the cost of the oldest frame in a full queue. Wakes the writer.
    pub(crate) fn emit(&self, gate: &Gate, pair: &Pair, content_type: &'static str, data: Bytes) {
        self.0.state.lock().progress(gate, pair, content_type, data);
        self.wake();
    }

    /// Queues frames from the front of `frames` while a live connection has room for them, all of them while there
    /// is none, and wakes the writer. What is left waits for [`SharedOutbox::room`]. Returns `false` once the gate
    /// is closed.
    pub(crate) fn emit_all(&self, gate: &Gate, pair: &Pair, frames: &mut VecDeque<(&'static str, Bytes)>) -> bool {
        let writer = {
            let mut state = self.0.state.lock();
            while !state.open || state.outbox.has_room() {
                let Some((content_type, data)) = frames.pop_front() else { break };
                if !state.progress(gate, pair, content_type, data) {
                    frames.clear();
                    return false;
                }
            }
            state.writer.take()
        };
        if let Some(writer) = writer {
            writer.wake();
        }
        true
    }

    /// Waits until a producer that was refused may try again.
    ///
    /// # Cancel safety
    /// Holds no place in any line; may be dropped and called again.
    pub(crate) async fn room(&self) {
        let notified = self.0.room.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        {
            let mut state = self.0.state.lock();
            if !state.open || state.outbox.has_room() {
                return;
            }
            state.waiting_for_room = true;
        }
        notified.await;
    }

    /// Wakes the writer if it waits and there is something for it.
    pub(crate) fn wake(&self) {
        let mut state = self.0.state.lock();
        let wanted = state.half_close || (state.open && !state.outbox.is_empty());
        let writer = if wanted { state.writer.take() } else { None };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// A new stream begins: its number, under which the writer asks for messages.
    pub(crate) fn connecting(&self) -> u64 {
        let mut state = self.0.state.lock();
        state.connection += 1;
        (state.open, state.half_close) = (false, false);
        state.connection
    }

    /// The handshake is done: messages flow.
    pub(crate) fn open(&self) {
        self.0.state.lock().open = true;
        self.wake();
    }

    /// After the last queued message the stream ends.
    pub(crate) fn half_close(&self) {
        self.0.state.lock().half_close = true;
        self.wake();
    }

    /// The orchestrator ended the call after we ended our side: it read everything.
    pub(crate) fn all_read(&self) {
        let mut state = self.0.state.lock();
        state.outbox.all_read();
        state.forget_done();
    }

    /// The stream is gone. `answered` counts the flushes of its transport after which something came back.
    pub(crate) fn disconnected(&self, answered: u64) -> usize {
        let (dropped, writer) = {
            let mut state = self.0.state.lock();
            state.connection += 1;
            (state.open, state.half_close, state.waiting_for_room) = (false, false, false);
            let dropped = state.outbox.disconnected(answered);
            state.forget_done();
            (dropped, state.writer.take())
        };
        // The writer of the old stream, so that it ends.
        if let Some(writer) = writer {
            writer.wake();
        }
        self.0.room.notify_waiters();
        self.0.drained.notify_waiters();
        dropped
    }

    /// Pairs whose result is not known to be written.
    pub(crate) fn pending(&self) -> Vec<Pair> {
        self.0.state.lock().outbox.pending().cloned().collect()
    }

    /// Whether nothing waits for the writer.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.state.lock().outbox.is_empty()
    }

    /// Whether a result is not known to be written.
    pub(crate) fn has_pending(&self) -> bool {
        self.0.state.lock().outbox.pending().next().is_some()
    }

    /// Completes the next time the writer asks for more than there is, or its stream ends; counted from this call,
    /// not from the first poll.
    pub(crate) fn drained(&self) -> OwnedNotified {
        self.0.drained.clone().notified_owned()
    }

    /// Gives the writer of stream `connection` up to `entries` messages. Ready without any = the stream ends.
    pub(crate) fn poll_take(
        &self,
        cx: &Context<'_>,
        connection: u64,
        flushes: &Flushes,
        entries: usize,
        into: &mut VecDeque<Outgoing>,
    ) -> Poll<()> {
        let (poll, relaxed) = self.0.state.lock().poll_take(cx, connection, flushes, entries, into);
        if relaxed {
            self.0.room.notify_waiters();
        }
        if poll.is_pending() {
            self.0.drained.notify_waiters();
        }
        poll
    }
}

impl State {
    /// What is written or withdrawn need not be kept any more.
    fn forget_done(&mut self) {
        let done = self.outbox.done();
        if let Some(spool) = &self.spool {
            spool.forget(done.as_slice());
        }
    }

    fn progress(&mut self, gate: &Gate, pair: &Pair, content_type: &'static str, data: Bytes) -> bool {
        if gate.closed.load(Ordering::Relaxed) {
            return false;
        }
        let seq = gate.frames.load(Ordering::Relaxed) + 1;
        gate.frames.store(seq, Ordering::Relaxed);
        self.outbox.push(Outgoing::Progress(Progress { pair: pair.clone(), seq, content_type, data }));
        true
    }

    fn poll_take(
        &mut self,
        cx: &Context<'_>,
        connection: u64,
        flushes: &Flushes,
        entries: usize,
        into: &mut VecDeque<Outgoing>,
    ) -> (Poll<()>, bool) {
        if connection != self.connection {
            return (Poll::Ready(()), false);
        }
        if self.outbox.has_kept() {
            // Before the count is read, so that no flush is missed: without other traffic nobody would ask again,
            // and what is written would stay on disk.
            flushes.wake_at_next(cx);
        }
        let (flushes, answered) = (flushes.count(), flushes.answered());
        self.outbox.asked(flushes, answered);
        self.forget_done();
        if self.open && self.unpaused >= UNPAUSED_MAX && !self.outbox.is_empty() {
            self.unpaused = 0;
            self.outbox.parked(flushes);
            cx.waker().wake_by_ref();
            return (Poll::Pending, false);
        }
        if self.open {
            self.unpaused += 1;
            self.outbox.take(entries, into);
        }
        let relaxed = self.waiting_for_room && self.outbox.is_relaxed();
        if relaxed {
            self.waiting_for_room = false;
        }
        if !into.is_empty() || (self.half_close && self.outbox.is_empty()) {
            return (Poll::Ready(()), relaxed);
        }
        self.unpaused = 0;
        self.outbox.parked(flushes);
        // Registered under the lock under which pushes look for it: no message can slip in between.
        self.writer = Some(cx.waker().clone());
        (Poll::Pending, relaxed)
    }
}
