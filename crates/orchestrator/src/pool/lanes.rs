//! Lanes: what waits per function, and which workers have a seat for it. Owned by the owner loop; its numbers are
//! mirrored into the view.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use gen_worker_proto::FunctionName;

use super::{
    roster::{Counted, WorkerKey},
    view::{FunctionCell, View},
};
use crate::scheduler::{Place, Seat, Waiting};

/// Most functions of one pool: far above any real one, and a bound on what a hostile worker can make it keep.
pub(crate) const FUNCTIONS_MAX: usize = 65_536;

/// Index of a lane; lanes are never removed.
pub(crate) type LaneKey = usize;

/// One function.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) function: FunctionName,
    pub(crate) waiting: BTreeMap<Place, Waiting>,
    /// Workers that have the function available; `free` is refreshed before every plan.
    pub(crate) seats: Vec<Seat>,
    pub(crate) cell: Arc<FunctionCell>,
}

/// All functions ever seen.
#[derive(Debug)]
pub(crate) struct Lanes {
    view: Arc<View>,
    by_name: HashMap<FunctionName, LaneKey>,
    lanes: Vec<Lane>,
    /// Functions that the store has not been told of.
    new: Vec<FunctionName>,
    waiting: usize,
}

impl Lane {
    fn number(&self, kind: Counted) -> &AtomicUsize {
        match kind {
            Counted::Available => &self.cell.available,
            Counted::Loading => &self.cell.loading,
            Counted::Degraded => &self.cell.degraded,
            Counted::Disabled => &self.cell.disabled,
        }
    }

    /// Whether workers load the function and none has it available.
    pub(crate) fn is_loading(&self) -> bool {
        self.seats.is_empty() && self.number(Counted::Loading).load(Relaxed) > 0
    }

    /// Whether connected workers disabled the function and none is left that has it or loads for it.
    pub(crate) fn is_dead(&self) -> bool {
        let none = |kind| self.number(kind).load(Relaxed) == 0;
        !none(Counted::Disabled) && none(Counted::Available) && none(Counted::Loading)
    }
}

impl Lanes {
    pub(crate) fn new(view: Arc<View>) -> Self {
        Self { view, by_name: HashMap::new(), lanes: Vec::new(), new: Vec::new(), waiting: 0 }
    }

    /// The lane of a function, made when there is none yet.
    pub(crate) fn key(&mut self, function: &FunctionName) -> LaneKey {
        if let Some(key) = self.by_name.get(function) {
            return *key;
        }
        let key = self.lanes.len();
        let cell = self.view.function(function);
        let function = function.clone();
        self.by_name.insert(function.clone(), key);
        self.new.push(function.clone());
        self.lanes.push(Lane { function, waiting: BTreeMap::new(), seats: Vec::new(), cell });
        key
    }

    pub(crate) fn get(&self, key: LaneKey) -> Option<&Lane> {
        self.lanes.get(key)
    }

    /// The lane of a function that a worker offers; none for new names once there are too many.
    pub(crate) fn offered(&mut self, function: &FunctionName) -> Option<LaneKey> {
        let full = self.lanes.len() >= FUNCTIONS_MAX && !self.by_name.contains_key(function);
        (!full).then(|| self.key(function))
    }

    /// Adds a worker to a number of a function.
    pub(crate) fn count_worker(&mut self, key: LaneKey, kind: Counted, seat: Option<Seat>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.number(kind).fetch_add(1, Relaxed);
        lane.seats.extend(seat);
    }

    /// Takes it off again.
    pub(crate) fn uncount_worker(&mut self, key: LaneKey, kind: Counted, worker: WorkerKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.number(kind).fetch_sub(1, Relaxed);
        if kind == Counted::Available {
            lane.seats.retain(|seat| seat.worker != worker);
        }
    }

    /// Lanes that have requests waiting.
    pub(crate) fn busy(&mut self) -> impl Iterator<Item = (LaneKey, &mut Lane)> {
        self.lanes.iter_mut().enumerate().filter(|(_, lane)| !lane.waiting.is_empty())
    }

    /// Whether requests wait for a function that no connected worker has available.
    pub(crate) fn is_awaited(&self, function: &FunctionName) -> bool {
        let lane = self.by_name.get(function).and_then(|key| self.lanes.get(*key));
        lane.is_some_and(|lane| !lane.waiting.is_empty() && lane.seats.is_empty())
    }

    /// Requests waiting in all lanes.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Puts a request in line.
    pub(crate) fn enter(&mut self, key: LaneKey, place: Place, waiting: Waiting) {
        if let Some(lane) = self.lanes.get_mut(key)
            && lane.waiting.insert(place, waiting).is_none()
        {
            self.waiting += 1;
        }
    }

    /// Takes a request out of line; false when it was not there.
    pub(crate) fn leave(&mut self, key: LaneKey, place: Place) -> bool {
        let left = self.lanes.get_mut(key).is_some_and(|lane| lane.waiting.remove(&place).is_some());
        self.waiting -= usize::from(left);
        left
    }

    /// Counts a request of this function into or out of the queue.
    pub(crate) fn count_queued(&self, key: LaneKey, up: bool) {
        self.count(key, up, |cell| &cell.queued, &self.view.totals.queued);
    }

    /// Counts a request of this function onto or off the workers.
    pub(crate) fn count_running(&self, key: LaneKey, up: bool) {
        self.count(key, up, |cell| &cell.running, &self.view.totals.running);
    }

    fn count(&self, key: LaneKey, up: bool, field: impl Fn(&FunctionCell) -> &AtomicUsize, total: &AtomicU64) {
        let Some(lane) = self.lanes.get(key) else { return };
        if up {
            field(&lane.cell).fetch_add(1, Relaxed);
            total.fetch_add(1, Relaxed);
        } else {
            field(&lane.cell).fetch_sub(1, Relaxed);
            total.fetch_sub(1, Relaxed);
        }
    }

    /// Functions seen for the first time since the last call.
    pub(crate) fn take_new(&mut self) -> Vec<FunctionName> {
        std::mem::take(&mut self.new)
    }
}
