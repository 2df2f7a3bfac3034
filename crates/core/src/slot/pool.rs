//! The slots of one endpoint: at most so many children, started when they are needed, each with its own instance.
//! Owns the idle ones and the places.
//!
//! A child that died is simply not there any more: its place is free, and whoever needs it next starts another one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use async_stream::stream;
use futures::future::{BoxFuture, join_all};
use gen_worker_proto::pb;
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::warn;

use super::{
    call::{SlotCall, Step},
    crashes::Crashes,
    frame::SetUp,
    options::SlotOptions,
    parent::{Lost, Slot},
    translate,
};
use crate::{
    Binding, Instance, ModelSource,
    endpoint::OutputShape,
    function::{Call, Frame, Invocation},
    instance::{InstanceHost, Permit, RemoteCalls, fetch},
    worker_error::{Result, WorkerError},
};

/// Set-ups in a row that may crash before the endpoint counts as broken on this machine.
const SETUP_CRASHES_MAX: u32 = 1;

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
    bindings: BTreeMap<String, Binding>,
    capacity: u32,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Slot>>,
    setup_crashes: AtomicU32,
}

/// A slot in the hands of one job. It goes back when this drops, unless a call took it.
struct Lease {
    held: Mutex<Option<(Slot, OwnedSemaphorePermit)>>,
    /// What the call has to hold besides, until it has ended.
    permit: Mutex<Option<Permit>>,
    pool: Arc<Shared>,
}

impl SlotPool {
    /// A pool of `capacity` slots for the endpoint called `label`, of which `function` is one.
    pub(crate) fn new(
        label: &str,
        function: &str,
        bindings: BTreeMap<String, Binding>,
        capacity: u32,
        options: SlotOptions,
    ) -> Self {
        Self(Arc::new(Shared {
            label: label.to_owned(),
            options,
            crashes: Mutex::default(),
            scope: Scope::new("slots"),
            function: function.to_owned(),
            bindings,
            capacity,
            places: Arc::new(Semaphore::new(usize::try_from(capacity).unwrap_or(usize::MAX))),
            idle: Mutex::default(),
            setup_crashes: AtomicU32::new(0),
        }))
    }
}

impl InstanceHost for SlotPool {
    /// # Cancel safety
    /// May be dropped: a child that is not set up yet is killed.
    fn get<'a>(
        &'a self,
        models: &'a Arc<dyn ModelSource>,
        snapshots: HashMap<String, pb::Snapshot>,
    ) -> BoxFuture<'a, Result<Instance>> {
        Box::pin(async move {
            let closed = |_| WorkerError::retryable("the slots are closed");
            let place = self.0.places.clone().acquire_owned().await.map_err(closed)?;
            let slot = match self.0.idle_slot() {
                Some(slot) => slot,
                None => self.0.start(&**models, &snapshots).await?,
            };
            Ok(self.0.lend(slot, place))
        })
    }

    fn ready(&self) -> Option<Instance> {
        let place = self.0.places.clone().try_acquire_owned().ok()?;
        let slot = self.0.idle_slot()?;
        Some(self.0.lend(slot, place))
    }

    fn is_loaded(&self) -> bool {
        self.is_in_use() || !self.0.idle.lock().is_empty()
    }

    fn is_in_use(&self) -> bool {
        let free = self.0.places.available_permits();
        free < usize::try_from(self.0.capacity).unwrap_or(usize::MAX)
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
                join_all(idle.into_iter().map(|slot| slot.close(limit, &closing.label))).await;
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
        self.idle.lock().push(slot);
        // Only now: whoever gets the place finds the slot.
        drop(place);
    }

    fn lend(self: &Arc<Self>, slot: Slot, place: OwnedSemaphorePermit) -> Instance {
        let held = Mutex::new(Some((slot, place)));
        Instance::remote(Arc::new(Lease { held, permit: Mutex::default(), pool: self.clone() }))
    }

    fn idle_slot(&self) -> Option<Slot> {
        loop {
            // The lock is not held while the slot is looked at.
            let mut slot = self.idle.lock().pop()?;
            if slot.is_alive() {
                return Some(slot);
            }
            warn!(endpoint = self.label, "a slot ended while it was idle");
            self.options.counters.crashed();
        }
    }

    /// A new child with its instance.
    async fn start(&self, models: &dyn ModelSource, snapshots: &HashMap<String, pb::Snapshot>) -> Result<Slot> {
        let dirs = fetch(&self.bindings, models, snapshots).await?;
        let models = self.bindings.iter().filter_map(|(slot, binding)| {
            let dir = dirs.get(slot)?;
            Some(translate::model(binding.wire_ref(), dir))
        });
        let plan = SetUp { function: self.function.clone(), models: models.collect() };
        let mut slot = Slot::launch(&self.options, &self.label).await?;
        match slot.set_up(plan, self.options.start_limit).await {
            Ok(outcome) => {
                self.setup_crashes.store(0, Ordering::Relaxed);
                outcome.map(|()| slot)
            }
            Err(lost) => Err(self.setup_crashed(slot, &lost).await),
        }
    }

    async fn setup_crashed(&self, mut slot: Slot, lost: &Lost) -> WorkerError {
        let how = slot.end(lost).await;
        warn!(endpoint = self.label, how, "worker slot crashed during set-up");
        self.options.counters.crashed();
        let earlier = self.setup_crashes.fetch_add(1, Ordering::Relaxed);
        WorkerError::slot_crashed(&how, earlier >= SETUP_CRASHES_MAX)
    }
}

impl Lease {
    fn start(&self, call: &Call) -> Result<SlotCall> {
        let held = self.held.lock().take();
        let (slot, place) = held.ok_or_else(|| WorkerError::fatal("SlotInUse", "the slot has a call already"))?;
        SlotCall::start(slot, place, self.permit.lock().take(), call, self.pool.clone())
    }
}

impl RemoteCalls for Lease {
    fn hold(&self, permit: Permit) {
        *self.permit.lock() = Some(permit);
    }

    fn invoke(self: Arc<Self>, call: Call, shape: OutputShape) -> Result<Invocation> {
        Ok(match shape {
            OutputShape::Single => Invocation::Async(Box::pin(async move {
                let mut running = self.start(&call)?;
                drop(call);
                loop {
                    if let Step::Ended(outcome) = running.next().await {
                        return outcome?.ok_or_else(|| WorkerError::fatal("HandlerShape", "the slot gave no output"));
                    }
                }
            })),
            OutputShape::Incremental => Invocation::Stream(Box::pin(stream! {
                let mut running = match self.start(&call) {
                    Ok(running) => running,
                    Err(error) => {
                        yield Err(error);
                        return;
                    }
                };
                drop(call);
                loop {
                    match running.next().await {
                        Step::Item(item) => yield Ok(item),
                        Step::Ended(outcome) => {
                            yield outcome.map(Frame::End);
                            return;
                        }
                    }
                }
            })),
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((slot, place)) = self.held.get_mut().take() {
            self.pool.put_back(slot, place);
        }
    }
}
