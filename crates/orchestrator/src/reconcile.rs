//! A worker's Hello against what the pool believes (O4, O9, O11): a pure comparison.

use std::collections::HashSet;

use gen_worker_proto::Pair;

/// What the pool knows of a pair that a worker lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the current attempt and this worker holds it.
    Current,
    /// Its result is in and being written: the worker just does not know yet.
    Settling,
    /// An earlier process of this orchestrator may have sent it; this one has not sent the request yet.
    Adoptable,
    /// Unknown, ended, superseded, or held by another worker.
    Stale,
}

/// What to do about every pair of a Hello.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Listed and current: keep waiting.
    pub keep: Vec<Pair>,
    /// Listed and unknown to this process only: take over.
    pub adopt: Vec<Pair>,
    /// Listed but not current: tell the worker to stop, drop what still comes.
    pub cancel: Vec<Pair>,
    /// Held by this worker as we thought, but not listed: gone.
    pub lost: Vec<Pair>,
}

/// Compares the pairs a worker `listed` with those it `held` as far as the pool knew. Doubles in the list count
/// once; order is kept.
pub fn reconcile(listed: &[Pair], held: &[Pair], standing: impl Fn(&Pair) -> Standing) -> Reconciled {
    let mut plan = Reconciled::default();
    let mut seen = HashSet::with_capacity(listed.len());
    for pair in listed {
        if !seen.insert(pair) {
            continue;
        }
        match standing(pair) {
            Standing::Current => plan.keep.push(pair.clone()),
            Standing::Adoptable => plan.adopt.push(pair.clone()),
            Standing::Stale => plan.cancel.push(pair.clone()),
            Standing::Settling => {}
        }
    }
    plan.lost = held.iter().filter(|pair| !seen.contains(pair)).cloned().collect();
    plan
}

#[cfg(test)]
mod tests;
