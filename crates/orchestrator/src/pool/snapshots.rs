//! What model refs stand for, as the hub said lately. Owned by the owner loop, which never waits for the hub: an attempt whose refs
//! are not known waits here until the hub has answered, whatever it says.

use std::{collections::HashMap, time::Duration};

use gen_worker_proto::{Attempt, pb};
use prost::Message as _;
use tracing::warn;

use super::{clock::Tick, live::Sequence};
use crate::hub::{HubUnavailable, Lookup};

/// Refs that are remembered. A pool serves some hundred models at most; beyond it the oldest answers go.
const KNOWN_MAX: usize = 4_096;

/// Bytes of all answers. A model has tens of files of some hundred bytes; one of ten thousand takes a few MiB.
const BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of one answer: some of them have to fit in one message.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Attempts that wait for one ref. Beyond it they come again later.
const WAITING_MAX: usize = 10_000;

/// How long an answer is believed: a tag that moved is seen after it.
const FRESH: Duration = Duration::from_secs(30);

/// The same when the hub has no such thing or cannot say: whoever pushes a model does not wait long for it.
const FRESH_WITHOUT: Duration = Duration::from_secs(2);

/// A ref, as one tenant sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ModelKey {
    pub(crate) tenant: String,
    pub(crate) reference: String,
}

/// What a ref stands for.
#[derive(Debug)]
pub(crate) enum Said {
    /// These files.
    Found(pb::Snapshot),
    /// Nothing that this tenant may know of.
    Hidden,
    /// Nothing.
    Absent,
    /// The hub could not be asked, or was not asked yet.
    Silent,
}

/// What is known of a ref.
#[derive(Debug)]
struct Known {
    said: Said,
    bytes: usize,
    /// Until when nobody asks again.
    fresh_until: Tick,
    /// Until when its addresses can be used.
    good_until: Tick,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is known well enough, or there is no room to wait.
    Known,
    /// Wait; somebody has asked already.
    Wait,
    /// Wait, and ask.
    Ask,
}

/// Answers and those who wait for one.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    known: HashMap<ModelKey, Known>,
    /// Questions under way.
    waiting: HashMap<ModelKey, Vec<(Sequence, Attempt)>>,
    bytes: usize,
}

impl Snapshots {
    /// Whether this attempt has to wait for a ref.
    pub(crate) fn want(&mut self, key: &ModelKey, sequence: Sequence, attempt: Attempt, now: Tick) -> Asked {
        if self.is_fresh(key, now) {
            return Asked::Known;
        }
        let is_full = self.waiting.len() >= KNOWN_MAX;
        match self.waiting.get_mut(key) {
            Some(waiting) if waiting.len() >= WAITING_MAX => Asked::Known,
            Some(waiting) => {
                waiting.push((sequence, attempt));
                Asked::Wait
            }
            None if is_full => Asked::Known,
            None => {
                self.waiting.insert(key.clone(), vec![(sequence, attempt)]);
                Asked::Ask
            }
        }
    }

    /// Whether the hub is to be asked for a ref that nobody waits for.
    pub(crate) fn refresh(&mut self, key: &ModelKey, now: Tick) -> bool {
        let asks = !self.is_fresh(key, now) && self.waiting.len() < KNOWN_MAX && !self.waiting.contains_key(key);
        if asks {
            self.waiting.insert(key.clone(), Vec::new());
        }
        asks
    }

    /// Whether the last answer is still believed.
    pub(crate) fn is_fresh(&self, key: &ModelKey, now: Tick) -> bool {
        self.known.get(key).is_some_and(|known| now < known.fresh_until)
    }

    /// When the answer is believed no longer; none without an answer.
    pub(crate) fn fresh_until(&self, key: &ModelKey) -> Option<Tick> {
        self.known.get(key).map(|known| known.fresh_until)
    }

    /// Takes an answer and gives who waited for it. A hub that cannot say has not changed its mind: what it said last holds.
    pub(crate) fn answered(
        &mut self,
        key: ModelKey,
        answer: Result<Lookup, HubUnavailable>,
        now: Tick,
    ) -> Vec<(Sequence, Attempt)> {
        let waited = self.waiting.remove(&key).unwrap_or_default();
        let without = now.after(FRESH_WITHOUT);
        let known = match answer {
            Err(HubUnavailable) => {
                if let Some(known) = self.known.get_mut(&key) {
                    known.fresh_until = without;
                    return waited;
                }
                Known { said: Said::Silent, bytes: 0, fresh_until: without, good_until: without }
            }
            Ok(Lookup::Found(found)) => self.found(&key, found.snapshot, now.after(found.valid), now),
            Ok(Lookup::Hidden) => Known { said: Said::Hidden, bytes: 0, fresh_until: without, good_until: without },
            Ok(Lookup::Absent) => Known { said: Said::Absent, bytes: 0, fresh_until: without, good_until: without },
        };
        self.forget_key(&key);
        self.make_room(known.bytes);
        self.bytes += known.bytes;
        self.known.insert(key, known);
        waited
    }

    fn found(&self, key: &ModelKey, snapshot: pb::Snapshot, good_until: Tick, now: Tick) -> Known {
        let (bytes, fresh_until) = (snapshot.encoded_len(), now.after(FRESH).min(good_until));
        if bytes > ANSWER_BYTES_MAX {
            warn!(model = key.reference, bytes, files = snapshot.files.len(), "a model has too many files to be sent");
            return Known { said: Said::Absent, bytes: 0, fresh_until, good_until };
        }
        Known { said: Said::Found(snapshot), bytes, fresh_until, good_until }
    }

    /// Lets the oldest answers go until one of these bytes fits.
    fn make_room(&mut self, bytes: usize) {
        while self.known.len() >= KNOWN_MAX || self.bytes + bytes > BYTES_MAX {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.fresh_until).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            self.forget_key(&oldest);
        }
    }

    fn forget_key(&mut self, key: &ModelKey) {
        if let Some(known) = self.known.remove(key) {
            self.bytes -= known.bytes;
        }
    }

    /// What a ref stands for, as far as its addresses can be used.
    pub(crate) fn get(&self, key: &ModelKey, now: Tick) -> &Said {
        match self.known.get(key) {
            Some(Known { said: Said::Found(_), good_until, .. }) if *good_until <= now => &Said::Silent,
            Some(known) => &known.said,
            None => &Said::Silent,
        }
    }

    /// The files of a ref, while their addresses can be used.
    pub(crate) fn files(&self, key: &ModelKey, now: Tick) -> Option<&pb::Snapshot> {
        match self.get(key, now) {
            Said::Found(snapshot) => Some(snapshot),
            _ => None,
        }
    }

    /// A worker could not use what it got for this ref: the hub is asked anew.
    pub(crate) fn forget(&mut self, key: &ModelKey) {
        self.forget_key(key);
    }

    /// The same for a ref as requests name it, whoever asked for it.
    pub(crate) fn forget_ref(&mut self, reference: &str) {
        let known = self.known.keys().filter(|key| key.reference == reference).cloned();
        known.collect::<Vec<_>>().iter().for_each(|key| self.forget_key(key));
    }
}

#[cfg(test)]
mod tests;
