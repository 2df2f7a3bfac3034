//! A place of a pool that has no child yet, and how it gets one. Owns the place meanwhile.

use std::sync::{Arc, atomic::Ordering};

use futures::future::BoxFuture;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use tracing::warn;

use super::Shared;
use crate::{
    Instance, ModelSource,
    instance::{EmptyPlace, Order, SetupTimes, damage, fetch},
    slot::{
        frame::SetUp,
        parent::{Lost, Slot},
        translate,
    },
    worker_error::{Result, WorkerError},
};

/// Set-ups in a row that may crash before the endpoint counts as broken on this machine.
const SETUP_CRASHES_MAX: u32 = 1;

/// A place without a child.
pub(super) struct Empty {
    pool: Arc<Shared>,
    place: OwnedSemaphorePermit,
}

impl Empty {
    pub(super) fn new(pool: Arc<Shared>, place: OwnedSemaphorePermit) -> Self {
        Self { pool, place }
    }
}

impl EmptyPlace for Empty {
    fn claim(self: Box<Self>) -> std::result::Result<Instance, Box<dyn EmptyPlace>> {
        let Some(slot) = self.pool.idle_slot() else { return Err(self) };
        let Self { pool, place } = *self;
        Ok(pool.lend(slot, place))
    }

    /// # Cancel safety
    /// May be dropped: a child that is not set up yet is killed.
    fn fill(
        self: Box<Self>,
        source: Arc<dyn ModelSource>,
        order: Order,
    ) -> BoxFuture<'static, Result<(Instance, SetupTimes)>> {
        Box::pin(async move {
            let Self { pool, place } = *self;
            let (slot, times) = pool.start(&*source, order).await?;
            Ok((pool.lend(slot, place), times))
        })
    }
}

impl Shared {
    /// A new child with its instance.
    /// Once more when it fails because files of its models are damaged (model contract, 6.26).
    async fn start(&self, source: &dyn ModelSource, order: Order) -> Result<(Slot, SetupTimes)> {
        let failed = match self.start_once(source, &order).await {
            Err(error) => error,
            started => return started,
        };
        match damage::explains(&failed, &order.models, source, &order.snapshots).await {
            true => self.start_once(source, &order).await,
            false => Err(failed),
        }
    }

    async fn start_once(&self, source: &dyn ModelSource, order: &Order) -> Result<(Slot, SetupTimes)> {
        let Order { models, declared, snapshots, device, footprint } = order;
        let held = fetch(models, source, snapshots).await?;
        // The child looks for what it declares, whichever flavor lies there.
        let local = declared
            .iter()
            .filter_map(|(slot, binding)| Some(translate::model(binding.wire_ref(), held.get(slot)?.dir())));
        let plan = SetUp { function: self.function.clone(), models: local.collect(), cuda: translate::cuda(*device) };
        let began = Instant::now();
        let mut slot = Slot::launch(&self.options, &self.label).await?;
        let set_up = match slot.greeted(self.options.start_limit).await {
            Ok(()) => {
                let spawn = began.elapsed();
                slot.set_up(plan).await.map(|outcome| outcome.map(|times| SetupTimes { spawn, ..times }))
            }
            Err(lost) => Err(lost),
        };
        match set_up {
            Ok(outcome) => {
                self.setup_crashes.store(0, Ordering::Relaxed);
                let times = outcome?;
                slot.takes(&self.held, models.clone(), footprint.clone());
                slot.keeps(held);
                Ok((slot, times))
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
