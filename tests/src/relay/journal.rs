//! What went through a relay, in the order in which it came there.

use std::{fmt, time::Instant};

use bytes::Bytes;
use gen_worker_proto::pb::{SchedulerMessage, WorkerMessage, scheduler_message::Msg as Outbound, worker_message::Msg};
use prost::Message as _;
use tonic::Status;

/// Something that happened on a stream.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which stream, counted from 0.
    pub stream: usize,
    /// When the relay saw it.
    pub at: Instant,
    /// What.
    pub event: Event,
}

/// What can happen on a stream.
#[derive(Clone, Debug)]
pub enum Event {
    /// A worker opened it, with this `authorization`.
    Opened(Option<String>),
    /// The worker sent this.
    Worker(Msg),
    /// The orchestrator sent this.
    Orchestrator(Outbound),
    /// The worker said that it will send nothing more.
    HalfClosed,
    /// The worker broke the stream off.
    BrokenOff,
    /// The orchestrator, or the test in its place, ended it.
    Ended(Status),
}

impl Entry {
    /// What the worker sent, if this is that.
    #[must_use]
    pub fn worker(&self) -> Option<&Msg> {
        if let Event::Worker(msg) = &self.event { Some(msg) } else { None }
    }

    /// What the orchestrator sent, if this is that.
    #[must_use]
    pub fn orchestrator(&self) -> Option<&Outbound> {
        if let Event::Orchestrator(msg) = &self.event { Some(msg) } else { None }
    }

    /// How the stream ended, if this is that.
    #[must_use]
    pub fn ended(&self) -> Option<&Status> {
        if let Event::Ended(status) = &self.event { Some(status) } else { None }
    }
}

/// Everything so far.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Vec<Entry>,
    streams: usize,
}

impl Journal {
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The number of one more stream.
    pub(super) fn next_stream(&mut self) -> usize {
        self.streams += 1;
        self.streams - 1
    }

    pub(super) fn add(&mut self, stream: usize, event: Event) {
        self.entries.push(Entry { stream, at: Instant::now(), event });
    }
}

impl fmt::Display for Journal {
    /// The newest entries, one a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 100;
        for entry in self.entries.iter().skip(self.entries.len().saturating_sub(SHOWN_MAX)) {
            writeln!(f, "{}: {:?}", entry.stream, entry.event)?;
        }
        Ok(())
    }
}

/// What a message of a worker says; nothing when it is of no kind that we know.
pub(super) fn of_worker(message: &Bytes) -> Option<Event> {
    WorkerMessage::decode(message.clone()).ok()?.msg.map(Event::Worker)
}

/// What a message of an orchestrator says; nothing when it is of no kind that we know.
pub(super) fn of_orchestrator(message: &Bytes) -> Option<Event> {
    SchedulerMessage::decode(message.clone()).ok()?.msg.map(Event::Orchestrator)
}
