//! What a run found: violations of the contract, and notes that are none.

use std::collections::BTreeMap;

use serde::Serialize;

/// Violations that are kept with all they say; a worker that breaks a rule with every message would fill the memory.
const KEPT_MAX: usize = 200;

/// Different notes that are kept.
const NOTES_MAX: usize = 200;

/// A rule that the worker broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    /// Rule of the wire contract, such as `W14`.
    pub(super) rule: &'static str,
    /// What was seen.
    pub(super) seen: String,
    /// Fault of the round in which it was seen.
    pub(super) fault: &'static str,
    /// Number of that round, from 0.
    pub(super) round: u32,
    /// Its seed.
    pub(super) seed: u64,
}

/// The round that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) fault: &'static str,
    pub(super) round: u32,
    pub(super) seed: u64,
}

/// Everything found so far.
#[derive(Debug)]
pub(super) struct Findings {
    place: Place,
    kept: Vec<Violation>,
    count: u64,
    notes: BTreeMap<String, u64>,
}

impl Findings {
    pub(super) fn new(place: Place) -> Self {
        Self { place, kept: Vec::new(), count: 0, notes: BTreeMap::new() }
    }

    /// A new round begins.
    pub(super) fn enter(&mut self, place: Place) {
        self.place = place;
    }

    /// The worker broke `rule`.
    pub(super) fn violation(&mut self, rule: &'static str, seen: impl Into<String>) {
        self.count += 1;
        if self.kept.len() < KEPT_MAX {
            let Place { fault, round, seed } = self.place;
            self.kept.push(Violation { rule, seen: seen.into(), fault, round, seed });
        }
    }

    /// Something worth knowing that breaks no rule; the same text is counted.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.notes.len() < NOTES_MAX || self.notes.contains_key(&text) {
            *self.notes.entry(text).or_default() += 1;
        }
    }

    /// The violations that were kept.
    pub(super) fn violations(&self) -> &[Violation] {
        &self.kept
    }

    /// All violations, those that were not kept too.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The notes and how often each came up.
    pub(super) fn notes(&self) -> &BTreeMap<String, u64> {
        &self.notes
    }
}
