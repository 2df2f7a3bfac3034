//! Placement: which waiting request goes to which worker, as a plain function of a snapshot.
//!
//! The problem. Requests wait in **lanes**, one per function, ordered by priority and then arrival. Workers have
//! **seats**: how many more requests they take, in total and per function. Wanted: best request first over all
//! lanes; each to the least loaded worker that has the function available; degraded workers count as loaded by
//! their slow-down; a request avoids the worker that failed it while another one is free.
//!
//! The cost is that of what is placed, not of what waits: lanes are read from the front only, each candidate list
//! is put in a heap once per plan and corrected when it is looked at. With no free seat a plan is one pass over
//! the workers.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap},
};

/// Where a request stands in its lane: higher priority first, then order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// -100..=100, reversed so that the smallest place is the best.
    pub priority: Reverse<i16>,
    /// Order of arrival, unique.
    pub sequence: i64,
}

/// A worker as the scheduler sees it: an index into [`Snapshot::workers`].
pub type WorkerIndex = usize;

/// What a waiting request wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Worker that failed it last.
    pub avoid: Option<WorkerIndex>,
}

/// Capacity of a worker over all functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worker {
    /// Requests on it.
    pub load: u32,
    /// Requests it takes in addition.
    pub free: u32,
}

/// A worker that has a function available.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seat {
    /// Which.
    pub worker: WorkerIndex,
    /// Requests of this function it takes in addition; `u32::MAX` without a limit.
    pub free: u32,
    /// Guess how much slower this function is there, 1 when it runs as planned.
    pub slowdown: f64,
}

/// One function that has requests waiting.
#[derive(Clone, Debug)]
pub struct Lane<'a> {
    /// The requests, best first.
    pub waiting: &'a BTreeMap<Place, Waiting>,
    /// Workers that have the function available; neither disabled nor in phase error nor draining.
    pub seats: &'a [Seat],
}

/// Everything a plan looks at.
#[derive(Clone, Debug, Default)]
pub struct Snapshot<'a> {
    /// Functions with waiting requests.
    pub lanes: Vec<Lane<'a>>,
    /// Every worker, by index.
    pub workers: Vec<Worker>,
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assign {
    /// Index of the lane.
    pub lane: usize,
    /// The request.
    pub place: Place,
    /// The worker.
    pub worker: WorkerIndex,
}

/// Places as many waiting requests as there are seats for, best first.
#[must_use]
pub fn plan(snapshot: &Snapshot<'_>) -> Vec<Assign> {
    let mut free_total: u64 = snapshot.workers.iter().map(|worker| u64::from(worker.free)).sum();
    let mut assigned = Vec::new();
    if free_total == 0 {
        return assigned;
    }
    let mut workers = snapshot.workers.clone();
    let mut heads = BinaryHeap::with_capacity(snapshot.lanes.len());
    let mut fronts: Vec<_> = snapshot
        .lanes
        .iter()
        .map(|lane| Front { rest: lane.waiting.iter(), candidates: Candidates::new(lane.seats, &workers) })
        .collect();
    for (lane, front) in fronts.iter_mut().enumerate() {
        if let Some((place, waiting)) = front.rest.next() {
            heads.push(Reverse((*place, lane, waiting.avoid)));
        }
    }
    while let Some(Reverse((place, lane, avoid))) = heads.pop() {
        let Some(front) = fronts.get_mut(lane) else { continue };
        // A lane without a seat left is done for this plan: its head is not pushed again.
        let Some(worker) = front.candidates.take(avoid, &mut workers) else { continue };
        assigned.push(Assign { lane, place, worker });
        free_total -= 1;
        if free_total == 0 {
            break;
        }
        if let Some((place, waiting)) = front.rest.next() {
            heads.push(Reverse((*place, lane, waiting.avoid)));
        }
    }
    assigned
}

struct Front<'a> {
    rest: std::collections::btree_map::Iter<'a, Place, Waiting>,
    candidates: Candidates,
}

/// Workers of one lane, least loaded first. Entries go stale when another lane loads a worker; they are corrected
/// when they come up.
struct Candidates {
    heap: BinaryHeap<Reverse<Candidate>>,
}

#[derive(Clone, Copy)]
struct Candidate {
    score: f64,
    load: u32,
    seat: Seat,
}

impl Candidates {
    fn new(seats: &[Seat], workers: &[Worker]) -> Self {
        let entry = |seat: &Seat| Some(Reverse(Candidate::new(*seat, *workers.get(seat.worker)?)));
        Self { heap: seats.iter().filter_map(entry).collect() }
    }

    /// Takes a seat on the least loaded worker, on another than `avoid` if there is one.
    fn take(&mut self, avoid: Option<WorkerIndex>, workers: &mut [Worker]) -> Option<WorkerIndex> {
        let first = self.pop(workers)?;
        let mut chosen = first;
        if avoid == Some(first.seat.worker)
            && let Some(second) = self.pop(workers)
        {
            chosen = second;
            self.heap.push(Reverse(first));
        }
        let worker = workers.get_mut(chosen.seat.worker)?;
        worker.load += 1;
        worker.free -= 1;
        let seat =
            Seat { free: chosen.seat.free.saturating_sub(u32::from(chosen.seat.free != u32::MAX)), ..chosen.seat };
        self.heap.push(Reverse(Candidate::new(seat, *worker)));
        Some(chosen.seat.worker)
    }

    /// The best entry that is up to date and has room; full ones are dropped, stale ones corrected.
    fn pop(&mut self, workers: &[Worker]) -> Option<Candidate> {
        while let Some(Reverse(candidate)) = self.heap.pop() {
            let Some(worker) = workers.get(candidate.seat.worker) else { continue };
            if worker.free == 0 || candidate.seat.free == 0 {
                continue;
            }
            if worker.load == candidate.load {
                return Some(candidate);
            }
            self.heap.push(Reverse(Candidate::new(candidate.seat, *worker)));
        }
        None
    }
}

impl Candidate {
    fn new(seat: Seat, worker: Worker) -> Self {
        Self { score: f64::from(worker.load.saturating_add(1)) * seat.slowdown.max(1.0), load: worker.load, seat }
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(self.seat.worker.cmp(&other.seat.worker))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests;
