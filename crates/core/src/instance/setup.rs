//! What happens between an empty cell and a ready one, and back. Knows nothing of the cell's state.

use std::{
    collections::{BTreeMap, HashMap},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, future::try_join_all};
use gen_worker_proto::pb;
use gen_worker_tasks::{Cancel, Scope};
use tokio::time::Instant;
use tracing::warn;

use super::{LoadOptions, Models, Plan, Ready, Relocation, Slots, State, damage};
use crate::{
    binding::Binding,
    context::Device,
    endpoint::{InstanceValue, Work},
    load_plan::{self, LoadTerms},
    model_fetch,
    model_source::{FetchedModel, ModelSource, NoProgress},
    sanitize::sanitize,
    shared_components::SharedComponents,
    worker_error::{Result, WorkerError},
};

/// How long the parts of a set-up took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SetupTimes {
    /// Until there was a process for it; zero in this one.
    pub(crate) spawn: Duration,
    /// The author's setup.
    pub(crate) setup: Duration,
    /// The author's warm-up.
    pub(crate) warmup: Duration,
}

/// What a set-up makes.
type Made = (InstanceValue, Slots, SetupTimes);

/// What one set-up works on.
pub(super) struct Materials {
    pub(super) models: Models,
    pub(super) source: Arc<dyn ModelSource>,
    pub(super) snapshots: HashMap<String, pb::Snapshot>,
    pub(super) device: Device,
    pub(super) components: SharedComponents,
    pub(super) terms: LoadTerms,
}

/// Fetches the models, makes an instance, warms it up. When that fails as if files were damaged, and they are, they are
/// fetched anew and it is tried once more (model contract, 6.26).
pub(super) async fn run(plan: &Plan, materials: &Materials, cancel: &Cancel) -> Result<Made> {
    let failed = match run_once(plan, materials, cancel).await {
        Err(error) => error,
        made => return made,
    };
    let Materials { models, source, snapshots, .. } = materials;
    match damage::explains(&failed, models, &**source, snapshots).await {
        true => run_once(plan, materials, cancel).await,
        false => Err(failed),
    }
}

/// An instance whose warm-up fails is shut down again, since its setup succeeded.
async fn run_once(plan: &Plan, materials: &Materials, cancel: &Cancel) -> Result<Made> {
    let Materials { models, source, snapshots, device, components, terms } = materials;
    let held = fetch(models, &**source, snapshots).await?;
    let planned = plan_loads(models, &held, *device, terms, cancel).await?;
    let slots = Slots::new(held).on(*device).sharing(components.clone()).planned(planned, terms.memory.clone());
    let Some(lifecycle) = &plan.lifecycle else {
        return Ok((Arc::new(()), slots, SetupTimes::default()));
    };
    let began = Instant::now();
    let value = perform((lifecycle.setup)(slots.clone()), cancel).await?;
    let set_up = Instant::now();
    if let Some(warmup) = &lifecycle.warmup
        && let Err(error) = perform(warmup(value.clone()), cancel).await
    {
        close(plan, value, cancel).await;
        return Err(error);
    }
    let times = SetupTimes { spawn: Duration::ZERO, setup: set_up - began, warmup: set_up.elapsed() };
    Ok((value, slots, times))
}

/// How each model is to be loaded.
async fn plan_loads(
    models: &Models,
    held: &BTreeMap<String, FetchedModel>,
    device: Device,
    terms: &LoadTerms,
    cancel: &Cancel,
) -> Result<BTreeMap<String, LoadOptions>> {
    if held.is_empty() {
        return Ok(BTreeMap::new());
    }
    let dirs: BTreeMap<_, _> = held.iter().map(|(slot, model)| (slot.clone(), model.dir().to_owned())).collect();
    let (models, terms) = (models.clone(), terms.clone());
    let work = Scope::under("plan", cancel).spawn_blocking(move || load_plan::plan(&models, &dirs, device, &terms));
    work.await.unwrap_or_else(|_| Err(WorkerError::retryable("the runtime is shutting down")))
}

/// Makes every model present, by slot. They stay for as long as what this gives.
pub(crate) async fn fetch(
    bindings: &BTreeMap<String, Binding>,
    models: &dyn ModelSource,
    snapshots: &HashMap<String, pb::Snapshot>,
) -> Result<BTreeMap<String, FetchedModel>> {
    let fetches = bindings.iter().map(|(slot, binding)| async move {
        let name = binding.wire_ref();
        let fetched = model_fetch::fetch(models, binding, snapshots.get(&name), &NoProgress).await;
        let model = fetched.map_err(|error| WorkerError::model_unavailable(&name, error))?;
        Ok((slot.clone(), model))
    });
    Ok(try_join_all(fetches).await?.into_iter().collect())
}

/// Runs the author's shutdown. Its failure is logged: there is nobody left to tell.
pub(super) async fn close(plan: &Plan, value: InstanceValue, cancel: &Cancel) {
    let Some(shutdown) = plan.lifecycle.as_ref().and_then(|lifecycle| lifecycle.shutdown.as_ref()) else {
        return;
    };
    if let Err(error) = perform(shutdown(value), cancel).await {
        warn!(endpoint = plan.label, cause = %sanitize(&error.to_string()), "shutdown of an endpoint failed");
    }
}

/// What becomes of an instance that was to move to `device`. One that is torn between two is let go.
pub(super) async fn settle(
    plan: &Plan,
    mut ready: Ready,
    moved: Relocation,
    device: Device,
    cancel: &Cancel,
) -> (State, Relocation) {
    match &moved {
        Relocation::Moved(bytes) => {
            ready.parked_bytes = (device == Device::Cpu).then_some(*bytes);
            ready.slots = ready.slots.on(device);
        }
        Relocation::Refused | Relocation::Stayed(_) => {}
        Relocation::Lost(error) => {
            warn!(endpoint = plan.label, cause = %sanitize(&error.to_string()), "an instance was lost on its way between devices");
            let closing = AssertUnwindSafe(close(plan, ready.value, cancel)).catch_unwind();
            if closing.await.is_err() {
                warn!(endpoint = plan.label, "an instance panicked when it was dropped");
            }
            return (State::Empty, moved);
        }
    }
    (State::Ready(ready), moved)
}

async fn perform<T: Send + 'static>(work: Work<T>, cancel: &Cancel) -> Result<T> {
    match work {
        // What a panic left behind is dropped with the future.
        Work::Async(future) => match AssertUnwindSafe(future).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(panic) => Err(WorkerError::from_panic(&*panic)),
        },
        Work::Blocking(work) => match Scope::under("setup", cancel).spawn_blocking(work).await {
            Ok(outcome) => outcome,
            Err(lost) => Err(match lost.try_into_panic() {
                Ok(panic) => WorkerError::from_panic(&*panic),
                Err(_) => WorkerError::retryable("the runtime is shutting down"),
            }),
        },
    }
}
