//! What subscribers of a request see. Plain values; ids are given by the owner loop.

use std::{fmt, str::FromStr, sync::Arc};

use bytes::Bytes;

use crate::request::{Request, State, UnixMs};

/// Place of an event in the life of its request. Strictly increasing per request, by attempt and then by `seq`;
/// written `<attempt>-<seq>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Attempt the event belongs to; 0 before the first dispatch.
    pub attempt: i64,
    /// From 1 upward within the attempt.
    pub seq: i64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.attempt, self.seq)
    }
}

/// Text that is no [`EventId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event id is not of the form <attempt>-<seq>")]
pub struct EventIdError;

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (attempt, seq) = text.split_once('-').ok_or(EventIdError)?;
        let number = |part: &str| part.parse::<u32>().map(i64::from).map_err(|_| EventIdError);
        Ok(Self { attempt: number(attempt)?, seq: number(seq)? })
    }
}

/// One event of a request. A stream of them is zero or more items, then exactly one [`Event::Result`] or
/// [`Event::Error`], then nothing.
#[derive(Clone, Debug)]
pub enum Event {
    /// The request changed its state; not sent for terminal states.
    State {
        /// Place of the event.
        id: EventId,
        /// The state it is in now.
        state: State,
        /// Worker of the attempt, when it has one.
        worker_id: Option<Arc<str>>,
        /// When.
        at: UnixMs,
    },
    /// A frame of the output stream.
    Chunk {
        /// Place of the event.
        id: EventId,
        /// Media type as the worker sent it.
        content_type: Arc<str>,
        /// The frame, unchanged.
        data: Bytes,
    },
    /// The handler reported progress, a checkpoint, an upload or a metric; the JSON is what it sent.
    Progress {
        /// Place of the event.
        id: EventId,
        /// `{"type", "payload", "timestamp", …}`.
        value: serde_json::Value,
    },
    /// The handler logged or warned.
    Log {
        /// Place of the event.
        id: EventId,
        /// `{"type", "payload", "timestamp", …}`.
        value: serde_json::Value,
    },
    /// A model that the request waits for moved while the request is held. Not kept for replay.
    Phase {
        /// `{"worker_id", "ref", "state", "bytes_done", "bytes_total"}`. Without a worker (null) the state is what the hub says of
        /// the model: `resolving`, `hub_unavailable`, `not_in_hub` or `resolved`; else it is that of a model event.
        value: serde_json::Value,
    },
    /// Events that this subscriber will not get.
    Gap {
        /// How many; 0 when nobody knows any more.
        lost: u64,
    },
    /// The request succeeded. Last event.
    Result(Arc<Request>),
    /// The request failed or was cancelled. Last event.
    Error(Arc<Request>),
}

impl Event {
    /// The terminal event of a request that has ended.
    #[must_use]
    pub fn terminal(request: Arc<Request>) -> Self {
        if request.state == State::Succeeded { Self::Result(request) } else { Self::Error(request) }
    }

    /// Whether nothing follows this event.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Result(_) | Self::Error(_))
    }

    /// Place of the event; none for gaps, phases and the terminal event.
    #[must_use]
    pub fn id(&self) -> Option<EventId> {
        match self {
            Self::State { id, .. } | Self::Chunk { id, .. } | Self::Progress { id, .. } | Self::Log { id, .. } => {
                Some(*id)
            }
            Self::Phase { .. } | Self::Gap { .. } | Self::Result(_) | Self::Error(_) => None,
        }
    }

    /// Bytes the event holds on to, as buffers count them: payload plus a flat amount for the rest.
    pub(crate) fn weight(&self) -> usize {
        /// What an event costs beside its payload: the enum itself, its place in a ring, small strings.
        const FLAT: usize = 96;
        FLAT + match self {
            Self::Chunk { data, .. } => data.len(),
            Self::Progress { value, .. } | Self::Log { value, .. } | Self::Phase { value } => json_weight(value),
            _ => 0,
        }
    }
}

/// Rough size of a JSON value in memory; exact enough to bound a buffer.
fn json_weight(value: &serde_json::Value) -> usize {
    const NODE: usize = 32;
    match value {
        serde_json::Value::String(text) => NODE + text.len(),
        serde_json::Value::Array(items) => NODE + items.iter().map(json_weight).sum::<usize>(),
        serde_json::Value::Object(map) => {
            NODE + map.iter().map(|(key, value)| NODE + key.len() + json_weight(value)).sum::<usize>()
        }
        _ => NODE,
    }
}

#[cfg(test)]
mod tests;
