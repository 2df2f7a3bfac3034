//! Placement: which waiting request goes to which worker, as a plain function of a snapshot.
//!
//! The problem. Requests wait in **lanes**, one per function, ordered by priority and then arrival. Workers have
//! **seats**: how many more requests they take, in total and per function. Wanted: best request first over all
//! lanes; each to the least loaded worker that has the function available; degraded workers count as loaded by
//! their slow-down, and so do those that would first have to bring or load its models: in video memory, then in host
//! memory, then on disk, then nowhere; a request avoids the worker that failed it while another one is free.
//!
//! The cost is that of what is placed, not of what waits: lanes are read from the front only, each candidate list
//! is put in a heap once per plan (and once for every choice of models that its requests make themselves) and
//! corrected when it is looked at. With no free seat a plan is one pass over the workers.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Worker that failed it last.
    pub avoid: Option<WorkerIndex>,
    /// Model refs that it names itself, without adapters: those are small, and nobody is placed by them.
    pub models: Option<Arc<[String]>>,
}

/// Where models are on a worker: the place of the one that is farthest from use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Where handlers use them, or there are none.
    #[default]
    Ready,
    /// In host memory, of a worker that uses them on an accelerator.
    Ram,
    /// On disk.
    Disk,
    /// Not there.
    Absent,
}

impl Tier {
    /// As how much load it counts. A worker that has the models takes that many requests before one that has to get
    /// them first gets one: moving takes seconds, loading tens of seconds, downloading minutes.
    fn slowdown(self) -> f64 {
        match self {
            Self::Ready => 1.0,
            Self::Ram => 2.0,
            Self::Disk => 4.0,
            Self::Absent => 16.0,
        }
    }
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
    /// Where the models are that the function declares.
    pub tier: Tier,
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

/// Places as many waiting requests as there are seats for, best first. `tier` says where a worker has the models that a
/// request names.
#[must_use]
pub fn plan(snapshot: &Snapshot<'_>, tier: &dyn Fn(WorkerIndex, &[String]) -> Tier) -> Vec<Assign> {
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
        .map(|lane| Front { rest: lane.waiting.iter(), seats: lane.seats.to_vec(), candidates: Vec::new() })
        .collect();
    for (lane, front) in fronts.iter_mut().enumerate() {
        if let Some((place, waiting)) = front.rest.next() {
            heads.push(Reverse(Head { place: *place, lane, waiting }));
        }
    }
    while let Some(Reverse(Head { place, lane, waiting })) = heads.pop() {
        let Some(front) = fronts.get_mut(lane) else { continue };
        // A lane without a seat left is done for this plan: its head is not pushed again.
        let Some(worker) = front.take(waiting, &mut workers, tier) else { continue };
        assigned.push(Assign { lane, place, worker });
        free_total -= 1;
        if free_total == 0 {
            break;
        }
        if let Some((place, waiting)) = front.rest.next() {
            heads.push(Reverse(Head { place: *place, lane, waiting }));
        }
    }
    assigned
}

/// The best request of a lane.
struct Head<'a> {
    place: Place,
    lane: usize,
    waiting: &'a Waiting,
}

/// What is left of a lane: its requests, its seats, and its workers by each choice of models that came up.
struct Front<'a> {
    rest: std::collections::btree_map::Iter<'a, Place, Waiting>,
    seats: Vec<Seat>,
    candidates: Vec<(Option<&'a [String]>, Candidates)>,
}

impl<'a> Front<'a> {
    /// Takes a seat for a request.
    fn take(
        &mut self,
        waiting: &'a Waiting,
        workers: &mut [Worker],
        tier: &dyn Fn(WorkerIndex, &[String]) -> Tier,
    ) -> Option<WorkerIndex> {
        let models = waiting.models.as_deref();
        let at = self.candidates.iter().position(|(of, _)| *of == models).unwrap_or_else(|| {
            let tiers = |seat: &Seat| models.map_or(seat.tier, |models| tier(seat.worker, models));
            self.candidates.push((models, Candidates::new(&self.seats, workers, tiers)));
            self.candidates.len() - 1
        });
        let (_, candidates) = self.candidates.get_mut(at)?;
        candidates.take(waiting.avoid, &mut self.seats, workers)
    }
}

/// Workers of one lane, least loaded first. Entries go stale when another lane, or another choice of models, loads a
/// worker; they are corrected when they come up.
struct Candidates {
    heap: BinaryHeap<Reverse<Candidate>>,
}

#[derive(Clone, Copy)]
struct Candidate {
    score: f64,
    load: u32,
    /// Index of its seat in the lane.
    seat: usize,
    worker: WorkerIndex,
    slowdown: f64,
}

impl Candidates {
    fn new(seats: &[Seat], workers: &[Worker], tier: impl Fn(&Seat) -> Tier) -> Self {
        let entry = |(index, seat): (usize, &Seat)| {
            let slowdown = seat.slowdown.max(1.0) * tier(seat).slowdown();
            Some(Reverse(Candidate::new(index, seat.worker, slowdown, *workers.get(seat.worker)?)))
        };
        Self { heap: seats.iter().enumerate().filter_map(entry).collect() }
    }

    /// Takes a seat on the least loaded worker, on another than `avoid` if there is one.
    fn take(&mut self, avoid: Option<WorkerIndex>, seats: &mut [Seat], workers: &mut [Worker]) -> Option<WorkerIndex> {
        let first = self.pop(seats, workers)?;
        let mut chosen = first;
        if avoid == Some(first.worker)
            && let Some(second) = self.pop(seats, workers)
        {
            chosen = second;
            self.heap.push(Reverse(first));
        }
        let worker = workers.get_mut(chosen.worker)?;
        worker.load += 1;
        worker.free -= 1;
        if let Some(seat) = seats.get_mut(chosen.seat) {
            seat.free = seat.free.saturating_sub(u32::from(seat.free != u32::MAX));
        }
        self.heap.push(Reverse(chosen.with(*worker)));
        Some(chosen.worker)
    }

    /// The best entry that is up to date and has room; full ones are dropped, stale ones corrected.
    fn pop(&mut self, seats: &[Seat], workers: &[Worker]) -> Option<Candidate> {
        while let Some(Reverse(candidate)) = self.heap.pop() {
            let (Some(worker), Some(seat)) = (workers.get(candidate.worker), seats.get(candidate.seat)) else {
                continue;
            };
            if worker.free == 0 || seat.free == 0 {
                continue;
            }
            if worker.load == candidate.load {
                return Some(candidate);
            }
            self.heap.push(Reverse(candidate.with(*worker)));
        }
        None
    }
}

impl Candidate {
    fn new(seat: usize, worker_index: WorkerIndex, slowdown: f64, worker: Worker) -> Self {
        let score = f64::from(worker.load.saturating_add(1)) * slowdown;
        Self { score, load: worker.load, seat, worker: worker_index, slowdown }
    }

    /// The same with the load of now.
    fn with(self, worker: Worker) -> Self {
        Self::new(self.seat, self.worker, self.slowdown, worker)
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.place, self.lane).cmp(&(other.place, other.lane))
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head<'_> {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(self.worker.cmp(&other.worker))
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
