//! The instance of an endpoint type: set up once, shared by its handlers, shut down once.
//!
//! ```text
//!            get()                 setup + warm-up ok
//!   Empty ──────────> SettingUp ─────────────────────> Ready
//!     ^                  │ failed (the next get tries again)  │ shutdown()
//!     ├──────────────────┘                                    v
//!     └────────────────────────────────────────────────  ShuttingDown
//! ```
//! An instance that nobody uses may be `Moving` to another device, and is `Ready` again afterwards. One that waits in
//! host memory is set up, but lent to nobody until it is back.
//!
//! The cell owns the task that sets up, so a caller that goes away does not interrupt it, and everybody who asks
//! meanwhile waits for the same one. Nothing here decides when an instance is needed or let go.
//!
//! A cell may be given a host: then its instances live elsewhere, and the host answers for it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{
    FutureExt,
    channel::oneshot,
    future::{BoxFuture, Shared},
};
use gen_worker_proto::pb;
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

use crate::{
    binding::Binding,
    context::Device,
    endpoint::{InstanceValue, LifecycleDecl, MovableFn},
    load_plan::LoadTerms,
    model_source::ModelSource,
    residency::Memory,
    sanitize::sanitize,
    shared_components::SharedComponents,
    worker_error::{Result, WorkerError},
};

mod borrowed;
mod bound;
pub(crate) mod damage;
mod host;
mod lease;
mod moving;
mod relocation;
mod setup;
mod slots;

pub use borrowed::{Borrowed, Instance};
pub(crate) use bound::Models;
use bound::{Bound, pinned};
pub(crate) use host::{EmptyPlace, IdlePart, InstanceHost, Order, Permit, Place, RemoteCalls};
use lease::Leases;
pub(crate) use relocation::Relocation;
use setup::Materials;
pub(crate) use setup::{SetupTimes, fetch};
pub use slots::{CallSlot, LoadModel, LoadOptions, ModelDir, Slots};

/// Where an instance lives; one per endpoint type and map of slots to bindings.
pub struct InstanceCell {
    plan: Arc<Plan>,
    state: Arc<Mutex<State>>,
    scope: Scope,
    host: OnceLock<Arc<dyn InstanceHost>>,
    bound: Bound,
    movable: Option<MovableFn>,
    components: OnceLock<SharedComponents>,
    terms: Mutex<LoadTerms>,
}

/// What setting up needs to know; never changes.
struct Plan {
    label: String,
    lifecycle: Option<LifecycleDecl>,
}

enum State {
    Empty,
    SettingUp(Shared<BoxFuture<'static, Result<Instance>>>),
    Ready(Ready),
    Moving(Shared<BoxFuture<'static, ()>>),
    ShuttingDown(Shared<BoxFuture<'static, ()>>),
}

struct Ready {
    value: InstanceValue,
    slots: Slots,
    leases: Leases,
    /// When somebody last borrowed it.
    lent: Instant,
    /// How long setup and warm-up took.
    times: SetupTimes,
    /// It waits in host memory, where it takes so much.
    parked_bytes: Option<u64>,
}

impl InstanceCell {
    /// Whether anything of its models is loaded to set it up: a function that only takes their directories reads them itself.
    pub(crate) fn sets_up(&self) -> bool {
        self.plan.lifecycle.is_some()
    }

    /// A cell for the endpoint called `label` in diagnostics. Without `lifecycle` it only holds local models.
    #[must_use]
    pub(crate) fn new(label: String, slots: BTreeMap<String, Binding>, lifecycle: Option<LifecycleDecl>) -> Self {
        Self {
            bound: Bound::new(slots),
            plan: Arc::new(Plan { label, lifecycle }),
            state: Arc::new(Mutex::new(State::Empty)),
            scope: Scope::new("instance"),
            host: OnceLock::new(),
            movable: None,
            components: OnceLock::new(),
            terms: Mutex::default(),
        }
    }

    /// The same, with instances that can move.
    pub(crate) fn moved_by(self, movable: Option<MovableFn>) -> Self {
        Self { movable, ..self }
    }

    /// From here on the host that `make` gives keeps its instances: called with the name of the endpoint, before
    /// anybody asked for an instance. A host that is there stays.
    pub(crate) fn host_with(&self, make: impl FnOnce(&str) -> Arc<dyn InstanceHost>) {
        self.host.get_or_init(|| make(&self.plan.label));
    }

    /// From here on instances share `components` with others. Those that were given first stay.
    pub(crate) fn share(&self, components: SharedComponents) {
        self.components.get_or_init(|| components);
    }

    /// From here on set-ups load on these terms.
    pub(crate) fn load_on(&self, terms: LoadTerms) {
        *self.terms.lock() = terms;
    }

    /// Whether the instance uses what others may use, too.
    pub(crate) fn uses_shared(&self) -> bool {
        match &*self.state.lock() {
            State::Ready(ready) => ready.slots.taken().bytes > 0,
            _ => false,
        }
    }

    /// What keeps its instances, if they live elsewhere.
    pub(crate) fn host(&self) -> Option<&Arc<dyn InstanceHost>> {
        self.host.get()
    }

    /// From here on instances are made from what `resolve` gives for each declared binding, or from that itself. An
    /// instance that is there stays what it is.
    pub(crate) fn resolve(&self, resolve: impl Fn(&Binding) -> Option<Binding>) {
        self.bound.resolve(resolve);
    }

    /// What the next instance is made from.
    pub(crate) fn next_models(&self) -> Models {
        self.bound.next()
    }

    /// The instance, set up first if there is none: models fetched from `models`, pinned by `snapshots` (by wire
    /// ref), then setup, then warm-up. One caller's set-up is everybody's; its failure too, after which the next
    /// call tries again. Needs a runtime.
    ///
    /// # Errors
    /// When a model cannot be had, or setup or warm-up fails.
    ///
    /// # Cancel safety
    /// May be dropped; a set-up under way goes on.
    pub async fn get(
        &self,
        models: &Arc<dyn ModelSource>,
        snapshots: &HashMap<String, pb::Snapshot>,
    ) -> Result<Instance> {
        self.get_on(Device::Cpu, models, snapshots).await
    }

    /// As [`InstanceCell::get`], with the models of a new instance loaded to `device`.
    pub(crate) async fn get_on(
        &self,
        device: Device,
        models: &Arc<dyn ModelSource>,
        snapshots: &HashMap<String, pb::Snapshot>,
    ) -> Result<Instance> {
        let made = self.next_models();
        if let Some(host) = self.host.get() {
            return match host.place().await? {
                Place::Ready(instance) => Ok(instance),
                Place::Empty(place) => {
                    let order = self.order(&made, device, snapshots, Memory::default());
                    Ok(place.fill(models.clone(), order).await?.0)
                }
            };
        }
        self.make(&made, device, models, snapshots).await
    }

    /// As [`InstanceCell::get_on`], with a new instance made from exactly `made`, and in this process.
    pub(crate) async fn make(
        &self,
        made: &Models,
        device: Device,
        source: &Arc<dyn ModelSource>,
        snapshots: &HashMap<String, pb::Snapshot>,
    ) -> Result<Instance> {
        loop {
            let ending = match self.look(made, device, source, snapshots) {
                Look::Ready(instance) => return Ok(instance),
                Look::SettingUp(pending) => return pending.await,
                Look::Ending(ending) => ending,
            };
            ending.await;
        }
    }

    /// The models of the instance, by slot; without one, those that the next one is made from. Of several instances,
    /// those of the newest.
    #[must_use]
    pub fn models(&self) -> Arc<BTreeMap<String, Binding>> {
        match self.host.get() {
            Some(host) => host.models().pop().unwrap_or_else(|| self.bound.next()),
            None if matches!(&*self.state.lock(), State::Empty) => self.bound.next(),
            None => self.bound.latest(),
        }
    }

    /// As [`InstanceCell::models`], of every instance: those that live elsewhere may differ.
    pub(crate) fn all_models(&self) -> Vec<Models> {
        let hosted = self.host.get().map(|host| host.models()).filter(|models| !models.is_empty());
        hosted.unwrap_or_else(|| vec![self.models()])
    }

    /// What a host makes an instance of `models` from.
    pub(crate) fn order(
        &self,
        models: &Models,
        device: Device,
        snapshots: &HashMap<String, pb::Snapshot>,
        footprint: Memory,
    ) -> Order {
        Order {
            declared: self.bound.declared(),
            snapshots: pinned(models, snapshots),
            models: models.clone(),
            device,
            footprint,
        }
    }

    /// Whether somebody uses the instance, or it is being set up.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        if let Some(host) = self.host.get() {
            return host.is_in_use();
        }
        match &*self.state.lock() {
            State::Ready(ready) => ready.leases.is_held(),
            State::SettingUp(_) | State::Moving(_) => true,
            State::Empty | State::ShuttingDown(_) => false,
        }
    }

    /// As [`InstanceCell::shutdown`], unless somebody uses the instance: then nothing happens and this is `false`.
    ///
    /// # Cancel safety
    /// As [`InstanceCell::shutdown`].
    pub async fn shutdown_if_idle(&self) -> bool {
        if let Some(host) = self.host.get() {
            let idle = !host.is_in_use();
            if idle {
                host.shutdown().await;
            }
            return idle;
        }
        let closing = match &mut *self.state.lock() {
            State::Empty => return true,
            State::SettingUp(_) | State::Moving(_) => return false,
            State::ShuttingDown(closing) => closing.clone(),
            State::Ready(ready) if ready.leases.is_held() => return false,
            state @ State::Ready(_) => {
                let State::Ready(ready) = std::mem::replace(state, State::Empty) else { return true };
                let closing = self.start_shutdown(ready);
                *state = State::ShuttingDown(closing.clone());
                closing
            }
        };
        closing.await;
        true
    }

    /// The instance if it is set up and where jobs use it.
    #[must_use]
    pub fn ready(&self) -> Option<Instance> {
        if let Some(host) = self.host.get() {
            return host.ready();
        }
        match &mut *self.state.lock() {
            State::Ready(ready) if ready.parked_bytes.is_none() => Some(ready.lend()),
            _ => None,
        }
    }

    /// How long the author's setup and warm-up of the instance took; zero without one, or where it lives elsewhere.
    pub(crate) fn setup_times(&self) -> SetupTimes {
        match &*self.state.lock() {
            State::Ready(ready) => ready.times,
            _ => SetupTimes::default(),
        }
    }

    /// Time since somebody last borrowed the instance; zero without one.
    #[must_use]
    pub fn idle(&self) -> Duration {
        match &*self.state.lock() {
            State::Ready(ready) => ready.lent.elapsed(),
            _ => Duration::ZERO,
        }
    }

    /// Whether an instance is set up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        if let Some(host) = self.host.get() {
            return host.is_loaded();
        }
        matches!(&*self.state.lock(), State::Ready(_) | State::Moving(_))
    }

    /// Lets the instance go: waits for a set-up under way and for every borrowed [`Instance`], then runs the
    /// author's shutdown, once. Does nothing without an instance. The caller bounds the wait.
    ///
    /// # Cancel safety
    /// May be dropped; a shutdown under way goes on.
    pub async fn shutdown(&self) {
        if let Some(host) = self.host.get() {
            return host.shutdown().await;
        }
        loop {
            let pending = match &mut *self.state.lock() {
                State::Empty => return,
                State::SettingUp(pending) => pending.clone().map(drop).boxed(),
                State::ShuttingDown(ending) | State::Moving(ending) => ending.clone().boxed(),
                state @ State::Ready(_) => {
                    let State::Ready(ready) = std::mem::replace(state, State::Empty) else { return };
                    let closing = self.start_shutdown(ready);
                    *state = State::ShuttingDown(closing.clone());
                    closing.boxed()
                }
            };
            pending.await;
        }
    }

    fn look(
        &self,
        made: &Models,
        device: Device,
        source: &Arc<dyn ModelSource>,
        snapshots: &HashMap<String, pb::Snapshot>,
    ) -> Look {
        let mut state = self.state.lock();
        match &mut *state {
            State::Ready(ready) => Look::Ready(ready.lend()),
            State::SettingUp(pending) => Look::SettingUp(pending.clone()),
            State::ShuttingDown(ending) | State::Moving(ending) => Look::Ending(ending.clone()),
            State::Empty => {
                self.bound.made(made.clone());
                let pending = self.start_setup(made, device, source, snapshots);
                *state = State::SettingUp(pending.clone());
                Look::SettingUp(pending)
            }
        }
    }

    fn start_setup(
        &self,
        models: &Models,
        device: Device,
        source: &Arc<dyn ModelSource>,
        snapshots: &HashMap<String, pb::Snapshot>,
    ) -> Shared<BoxFuture<'static, Result<Instance>>> {
        let (sender, receiver) = oneshot::channel();
        let (plan, state) = (self.plan.clone(), self.state.clone());
        let snapshots = pinned(models, snapshots);
        let components = self.components.get().cloned().unwrap_or_default();
        let terms = self.terms.lock().clone();
        let materials =
            Materials { models: models.clone(), source: source.clone(), snapshots, device, components, terms };
        let cancel = self.scope.cancel().clone();
        self.scope.spawn("setup", async move {
            // A cell whose task is lost would stay in this state: whatever panics is a failed set-up.
            let outcome = AssertUnwindSafe(setup::run(&plan, &materials, &cancel)).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|panic| Err(WorkerError::from_panic(&*panic)));
            let mut outcome = outcome.map(|(value, slots, times)| Ready {
                value,
                slots,
                leases: Leases::default(),
                lent: Instant::now(),
                times,
                parked_bytes: None,
            });
            let lent = outcome.as_mut().map(Ready::lend).map_err(|error| error.clone());
            *state.lock() = outcome.map_or(State::Empty, State::Ready);
            // Nobody may be waiting any more.
            drop(sender.send(lent));
        });
        let label = self.plan.label.clone();
        let interrupted = move |_| Err(WorkerError::retryable(format!("setup of {label} was interrupted")));
        receiver.map(move |outcome| outcome.unwrap_or_else(interrupted)).boxed().shared()
    }

    fn start_shutdown(&self, ready: Ready) -> Shared<BoxFuture<'static, ()>> {
        let (sender, receiver) = oneshot::channel::<()>();
        let (plan, state) = (self.plan.clone(), self.state.clone());
        let cancel = self.scope.cancel().clone();
        self.scope.spawn("shutdown", async move {
            let Ready { value, slots: _, leases, .. } = ready;
            leases.wait_idle().await;
            if let Err(panic) = AssertUnwindSafe(setup::close(&plan, value, &cancel)).catch_unwind().await {
                let error = WorkerError::from_panic(&*panic);
                warn!(endpoint = plan.label, cause = %sanitize(&error.to_string()), "an instance panicked when it was dropped");
            }
            *state.lock() = State::Empty;
            drop(sender);
        });
        receiver.map(drop).boxed().shared()
    }
}

enum Look {
    Ready(Instance),
    SettingUp(Shared<BoxFuture<'static, Result<Instance>>>),
    /// Something that ends by itself.
    Ending(Shared<BoxFuture<'static, ()>>),
}

impl Ready {
    fn lend(&mut self) -> Instance {
        self.lent = Instant::now();
        Instance { value: self.value.clone(), slots: self.slots.clone(), remote: None, _lease: self.leases.take() }
    }
}

impl fmt::Debug for InstanceCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceCell")
            .field("endpoint", &self.plan.label)
            .field("ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
