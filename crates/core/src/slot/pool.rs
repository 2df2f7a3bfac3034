//! The slots of one endpoint: at most so many children, started when they are needed, each with its own instance.
//! Owns the idle ones and the places.
//!
//! A child that died is simply not there any more: its place is free, and whoever needs it next starts another one.

mod lease;
mod start;

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use futures::future::{BoxFuture, join_all};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::Instant,
};
use tracing::warn;

use super::{crashes::Crashes, held::Held, options::SlotOptions, parent::Slot};
use crate::{
    Instance,
    instance::{IdlePart, InstanceHost, Models, Place},
    residency::Memory,
    worker_error::{Result, WorkerError},
};
use lease::Lease;
use start::Empty;

/// Keeps the instances of one endpoint in children.
pub(crate) struct SlotPool(Arc<Shared>);

/// What a pool and its calls share.
pub(super) struct Shared {
    pub(super) label: String,
    pub(super) options: SlotOptions,
    pub(super) crashes: Mutex<Crashes>,
    pub(super) scope: Scope,
    /// Any function of the endpoint.
    function: String,
    capacity: u32,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    held: Held,
    setup_crashes: AtomicU32,
    /// Slots that were idle so far.
    numbers: AtomicU64,
}

/// A slot that nobody uses.
struct Idle {
    id: u64,
    since: Instant,
    slot: Slot,
}

impl SlotPool {
    /// A pool of `capacity` slots for the endpoint called `label`, of which `function` is one.
    pub(crate) fn new(label: &str, function: &str, capacity: u32, options: SlotOptions) -> Self {
        Self(Arc::new(Shared {
            label: label.to_owned(),
            options,
            crashes: Mutex::default(),
            scope: Scope::new("slots"),
            function: function.to_owned(),
            capacity,
            places: Arc::new(Semaphore::new(usize::try_from(capacity).unwrap_or(usize::MAX))),
            idle: Mutex::default(),
            held: Held::default(),
            setup_crashes: AtomicU32::new(0),
            numbers: AtomicU64::new(0),
        }))
    }
}

impl InstanceHost for SlotPool {
    fn place(&self) -> BoxFuture<'_, Result<Place>> {
        Box::pin(async move {
            let closed = |_| WorkerError::retryable("the slots are closed");
            let place = self.0.places.clone().acquire_owned().await.map_err(closed)?;
            Ok(match self.0.idle_slot() {
                Some(slot) => Place::Ready(self.0.lend(slot, place)),
                None => Place::Empty(Box::new(Empty::new(self.0.clone(), place))),
            })
        })
    }

    fn ready(&self) -> Option<Instance> {
        let place = self.0.places.clone().try_acquire_owned().ok()?;
        let slot = self.0.idle_slot()?;
        Some(self.0.lend(slot, place))
    }

    fn is_loaded(&self) -> bool {
        self.0.held.count() > 0
    }

    fn models(&self) -> Vec<Models> {
        self.0.held.models()
    }

    fn one_comes_back(&self) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            // Before the look: what happens after it is noticed.
            let change = self.0.held.change();
            if !self.0.idle.lock().is_empty() {
                return true;
            }
            let in_use = self.0.held.count() > 0;
            if in_use {
                change.await;
            }
            in_use
        })
    }

    fn is_in_use(&self) -> bool {
        let free = self.0.places.available_permits();
        free < usize::try_from(self.0.capacity).unwrap_or(usize::MAX)
    }

    fn held(&self) -> Memory {
        self.0.held.sum()
    }

    fn idle(&self) -> Vec<IdlePart> {
        let part = |idle: &Idle| {
            let (footprint, models) = (idle.slot.footprint(), idle.slot.models());
            IdlePart { id: idle.id, idle: idle.since.elapsed(), footprint, models }
        };
        self.0.idle.lock().iter().map(part).collect()
    }

    fn release(&self, id: u64) -> BoxFuture<'static, bool> {
        let pool = self.0.clone();
        Box::pin(async move {
            let idle = {
                let mut idle = pool.idle.lock();
                let Some(at) = idle.iter().position(|idle| idle.id == id) else { return false };
                idle.remove(at)
            };
            pool.close(idle.slot).await;
            true
        })
    }

    fn shutdown(&self) -> BoxFuture<'static, ()> {
        let (pool, (sender, closed)) = (self.0.clone(), oneshot::channel::<()>());
        Box::pin(async move {
            let closing = pool.clone();
            pool.scope.spawn("slots-close", async move {
                // All places: every call has ended, and none begins before this is done.
                let places = closing.places.clone().acquire_many_owned(closing.capacity).await;
                let idle = std::mem::take(&mut *closing.idle.lock());
                let limit = closing.options.shutdown_limit;
                join_all(idle.into_iter().map(|idle| idle.slot.close(limit, &closing.label))).await;
                drop((places, sender));
            });
            // The sender goes away with the task, however it ends.
            drop(closed.await);
        })
    }
}

impl Shared {
    /// Takes a slot back that answered.
    pub(super) fn put_back(&self, slot: Slot, place: OwnedSemaphorePermit) {
        let id = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.idle.lock().push(Idle { id, since: Instant::now(), slot });
        // Only now: whoever gets the place finds the slot.
        drop(place);
        self.held.came_back();
    }

    fn lend(self: &Arc<Self>, slot: Slot, place: OwnedSemaphorePermit) -> Instance {
        let device = slot.device();
        Instance::remote(Arc::new(Lease::new(slot, place, self.clone())), device)
    }

    fn idle_slot(&self) -> Option<Slot> {
        loop {
            // The lock is not held while the slot is looked at.
            let mut slot = self.idle.lock().pop()?.slot;
            if slot.is_alive() {
                return Some(slot);
            }
            warn!(endpoint = self.label, "a slot ended while it was idle");
            self.options.counters.crashed();
        }
    }

    /// Lets a slot go that was taken from the idle ones. The caller may go away: it is closed all the same.
    async fn close(self: &Arc<Self>, slot: Slot) {
        let (pool, (sender, closed)) = (self.clone(), oneshot::channel::<()>());
        self.scope.spawn("slot-close", async move {
            slot.close(pool.options.shutdown_limit, &pool.label).await;
            drop(sender);
        });
        drop(closed.await);
    }
}
