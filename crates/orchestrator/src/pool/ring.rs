//! The events of one request that can still be replayed (P-12): a bounded ring. Owned by the live entry.

use std::collections::VecDeque;

use super::event::{Event, EventId};

/// Most events kept per request.
const EVENTS_MAX: usize = 1_000;

/// Most bytes kept per request.
const BYTES_MAX: usize = 1024 * 1024;

/// Events of one request, oldest first, numbered.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    events: VecDeque<Event>,
    bytes: usize,
    /// Events that were pushed out.
    dropped: u64,
    /// Id of the last event pushed out.
    dropped_id: Option<EventId>,
    last: Option<EventId>,
}

impl Ring {
    /// Id of the next event of `attempt`.
    pub(crate) fn next_id(&self, attempt: i64) -> EventId {
        match self.last {
            Some(last) if last.attempt == attempt => EventId { attempt, seq: last.seq + 1 },
            _ => EventId { attempt, seq: 1 },
        }
    }

    /// Keeps an event with the id from [`Ring::next_id`]. Returns how the bytes held changed.
    pub(crate) fn push(&mut self, event: Event) -> isize {
        let before = self.bytes;
        self.last = event.id().or(self.last);
        self.bytes += event.weight();
        self.events.push_back(event);
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            if !self.drop_oldest() {
                break;
            }
        }
        self.bytes.cast_signed() - before.cast_signed()
    }

    /// Forgets the oldest event; false when there is none.
    pub(crate) fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.events.pop_front() else { return false };
        self.bytes -= oldest.weight();
        self.dropped += 1;
        self.dropped_id = oldest.id().or(self.dropped_id);
        true
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Events after `after`, with a gap in front when some are gone. The count of a gap is exact when nothing that
    /// the reader has seen was pushed out, else it counts what was pushed out in all: an upper bound.
    pub(crate) fn replay(&self, after: Option<EventId>) -> impl Iterator<Item = Event> {
        let missed = match (self.dropped_id, after) {
            (None, _) => 0,
            (Some(dropped), Some(after)) if after >= dropped => 0,
            (Some(dropped), Some(after)) if after.attempt == dropped.attempt => {
                u64::try_from(dropped.seq - after.seq).unwrap_or(self.dropped).min(self.dropped)
            }
            (Some(_), _) => self.dropped,
        };
        let gap = (missed > 0).then_some(Event::Gap { lost: missed });
        let rest = self.events.iter().filter(move |event| event.id() > after).cloned();
        gap.into_iter().chain(rest)
    }
}

#[cfg(test)]
mod tests;
