//! What model refs stand for, as the hub said lately. Owned by the owner loop, which never waits for the hub: an attempt whose refs
//! are not known waits here until the hub has answered, whatever it says.

use std::collections::HashMap;

use gen_worker_proto::{Attempt, pb};

use super::{clock::Tick, live::Sequence};
use crate::hub::Resolved;

/// Refs that are remembered. A pool serves some hundred models at most; beyond it the oldest answers go.
const KNOWN_MAX: usize = 4_096;

/// Attempts that wait for one ref. Beyond it they go without: their workers give them back.
const WAITING_MAX: usize = 10_000;

/// A ref, as jobs of one tenant see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ModelKey {
    pub(crate) tenant: String,
    pub(crate) reference: String,
}

/// What is known of a ref.
#[derive(Debug)]
struct Known {
    snapshot: Option<pb::Snapshot>,
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
    waiting: HashMap<ModelKey, Vec<(Sequence, Attempt)>>,
}

impl Snapshots {
    /// Whether this attempt has to wait for a ref.
    pub(crate) fn want(&mut self, key: &ModelKey, sequence: Sequence, attempt: Attempt, now: Tick) -> Asked {
        if self.known.get(key).is_some_and(|known| now < known.fresh_until) {
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

    /// Takes an answer, to be believed until `fresh_until`, and gives who waited for it. `None` is an answer too.
    pub(crate) fn answered(
        &mut self,
        key: ModelKey,
        answer: Option<Resolved>,
        fresh_until: Tick,
        now: Tick,
    ) -> Vec<(Sequence, Attempt)> {
        let waited = self.waiting.remove(&key).unwrap_or_default();
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&key) {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.fresh_until).map(|(key, _)| key.clone());
            self.known.retain(|key, _| Some(key) != oldest.as_ref());
        }
        let good_until = answer.as_ref().map_or(fresh_until, |answer| now.after(answer.valid));
        let snapshot = answer.map(|answer| answer.snapshot);
        self.known.insert(key, Known { snapshot, fresh_until: fresh_until.min(good_until), good_until });
        waited
    }

    /// The files of a ref, while their addresses can be used.
    pub(crate) fn get(&self, key: &ModelKey, now: Tick) -> Option<&pb::Snapshot> {
        self.known.get(key).filter(|known| now < known.good_until)?.snapshot.as_ref()
    }

    /// A worker could not use what it got for this ref: the hub is asked anew.
    pub(crate) fn forget(&mut self, reference: &str) {
        self.known.retain(|key, _| key.reference != reference);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(reference: &str) -> ModelKey {
        ModelKey { tenant: "dev".into(), reference: reference.into() }
    }

    fn resolved(valid_s: u64) -> Option<Resolved> {
        let snapshot = pb::Snapshot { digest: "d".into(), files: Vec::new() };
        Some(Resolved { snapshot, valid: Duration::from_secs(valid_s) })
    }

    fn at(seconds: u64) -> Tick {
        Tick(0).after(Duration::from_secs(seconds))
    }

    #[test]
    fn one_asks_and_all_are_told() {
        let mut snapshots = Snapshots::default();
        assert_eq!(snapshots.want(&key("a/b"), 1, Attempt(1), at(0)), Asked::Ask);
        assert_eq!(snapshots.want(&key("a/b"), 2, Attempt(1), at(0)), Asked::Wait);
        assert_eq!(snapshots.want(&key("a/c"), 2, Attempt(1), at(0)), Asked::Ask);
        let told = snapshots.answered(key("a/b"), resolved(60), at(10), at(0));
        assert_eq!(told, [(1, Attempt(1)), (2, Attempt(1))]);
        assert_eq!(snapshots.want(&key("a/b"), 3, Attempt(1), at(9)), Asked::Known);
        assert_eq!(snapshots.want(&key("a/b"), 3, Attempt(1), at(10)), Asked::Ask, "a tag may have moved");
        assert!(snapshots.get(&key("a/b"), at(59)).is_some() && snapshots.get(&key("a/b"), at(60)).is_none());
    }

    #[test]
    fn what_is_not_there_and_what_was_refused_is_asked_again() {
        let mut snapshots = Snapshots::default();
        snapshots.answered(key("a/b"), None, at(5), at(0));
        assert_eq!(snapshots.want(&key("a/b"), 1, Attempt(1), at(4)), Asked::Known);
        assert!(snapshots.get(&key("a/b"), at(4)).is_none());
        snapshots.answered(key("a/c"), resolved(2), at(5), at(0));
        assert_eq!(snapshots.want(&key("a/c"), 1, Attempt(1), at(2)), Asked::Ask, "never beyond its addresses");
        snapshots.answered(key("a/c"), resolved(60), at(5), at(2));
        snapshots.forget("a/c");
        assert_eq!(snapshots.want(&key("a/c"), 1, Attempt(2), at(3)), Asked::Ask);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut snapshots = Snapshots::default();
        for number in 0..KNOWN_MAX + 2 {
            snapshots.answered(key(&number.to_string()), None, at(100 + number as u64), at(0));
        }
        assert_eq!(snapshots.known.len(), KNOWN_MAX);
        assert_eq!(snapshots.want(&key("0"), 1, Attempt(1), at(0)), Asked::Ask);
    }
}
