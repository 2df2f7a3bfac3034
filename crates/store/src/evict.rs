//! What leaves when the disk is short (rules 8.4, 8.5, 8.9): a pure function of what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// What was used so recently is spared in the first pass of each kind, in seconds.
const GRACE_S: f64 = 300.0;

/// A model on disk, or a file that came in part.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The ref of the model; none for a file that came in part.
    pub reference: Option<String>,
    /// What is deleted with it.
    pub unit: PathBuf,
    /// What that frees, at most.
    pub bytes: u64,
    /// When it was used last, in seconds of the wall clock.
    pub last_used_s: f64,
    /// In use, pinned, or what the space is for.
    pub held: bool,
}

/// The order in which they leave, until there is enough space. Empty when even all of them would not free `needed_bytes`:
/// then nothing leaves for nothing.
#[must_use]
pub fn plan<'a>(
    candidates: &'a [Candidate],
    keep: &BTreeSet<String>,
    now_s: f64,
    needed_bytes: u64,
) -> Vec<&'a Candidate> {
    let held: BTreeSet<_> = candidates.iter().filter(|candidate| candidate.held).map(|held| &held.unit).collect();
    let mut free: Vec<_> = candidates.iter().filter(|candidate| !held.contains(&candidate.unit)).collect();
    // A unit of several refs leaves with the last of them.
    let units: BTreeMap<_, _> = free.iter().map(|candidate| (&candidate.unit, candidate.bytes)).collect();
    if units.values().fold(0u64, |sum, bytes| sum.saturating_add(*bytes)) < needed_bytes {
        return Vec::new();
    }
    let is_kept =
        |candidate: &Candidate| candidate.reference.as_ref().is_some_and(|reference| keep.contains(reference));
    let pass = |candidate: &Candidate| (is_kept(candidate), now_s - candidate.last_used_s < GRACE_S);
    free.sort_by(|a, b| {
        let age = a.last_used_s.total_cmp(&b.last_used_s);
        pass(a).cmp(&pass(b)).then(age).then_with(|| a.reference.cmp(&b.reference))
    });
    free
}

#[cfg(test)]
mod tests;
