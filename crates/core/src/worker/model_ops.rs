//! Residency commands: those on one ref run in arrival order, others side by side, none on the event loop (W22), and
//! each ends with one event that names the state (W23, 11.5). Owns the line of every ref.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use gen_worker_proto::pb::{self, ModelOpKind, ModelState, worker_message::Msg};

use tokio::sync::mpsc;

use super::{
    held::{loaded_event, uses},
    serving::Serving,
    setup::{FIRST_DEVICE, SetupEvent},
};
use crate::{
    Binding, InstanceCell, ModelSource, NoProgress, WorkerError,
    instance::Models,
    loader::{Loader, NoWay},
    model_fetch,
};

/// Commands that may wait for one ref. An orchestrator sends few; past this it repeats itself.
const WAITING_MAX: usize = 64;

/// Times that a load is tried whose instance turns out to be of another flavor: one set-up may have been under way, and
/// the next begins after it.
const LOAD_TRIES: usize = 2;

/// The lines: a ref is here while one of its operations runs.
#[derive(Default)]
pub(super) struct ModelOps {
    waiting: HashMap<String, VecDeque<pb::ModelOp>>,
}

/// What an operation needs, gathered on the event loop.
struct Operation {
    kind: ModelOpKind,
    reference: String,
    snapshot: Option<pb::Snapshot>,
    /// A binding of this ref, if a function declares one or instances take it instead of that.
    binding: Option<Binding>,
    /// The instances that use it.
    cells: Vec<Arc<InstanceCell>>,
}

impl Serving {
    /// A command arrived. One of an unknown kind is ignored (W4).
    pub(super) fn model_op(&mut self, op: pb::ModelOp) {
        if matches!(op.op(), ModelOpKind::Unspecified) {
            return;
        }
        if let Some(waiting) = self.model_ops.waiting.get_mut(&op.r#ref) {
            if waiting.len() < WAITING_MAX {
                return waiting.push_back(op);
            }
            let error = "too_many_operations".to_owned();
            let event =
                pb::ModelEvent { r#ref: op.r#ref, state: ModelState::Failed.into(), error, ..Default::default() };
            return self.outbox.push(Msg::ModelEvent(event));
        }
        self.model_ops.waiting.insert(op.r#ref.clone(), VecDeque::new());
        self.start_operation(op);
    }

    pub(super) fn operation_ended(&mut self, reference: &str, event: pb::ModelEvent) {
        self.tell_model(event);
        match self.model_ops.waiting.get_mut(reference).and_then(VecDeque::pop_front) {
            Some(next) => self.start_operation(next),
            None => drop(self.model_ops.waiting.remove(reference)),
        }
    }

    fn start_operation(&self, op: pb::ModelOp) {
        let named = |models: &Models| models.values().find(|binding| binding.wire_ref() == op.r#ref).cloned();
        let mut cells = self.roster.cells();
        let of_instances = cells
            .iter()
            .find_map(|cell| cell.all_models().iter().find_map(named).or_else(|| named(&cell.next_models())));
        let declared = || {
            let mut declared = self.roster.iter().flat_map(|function| function.slots().values());
            declared.find(|binding| binding.wire_ref() == op.r#ref).cloned()
        };
        let binding = of_instances.or_else(declared);
        // A load is about what instances will be made from, everything else about what they are.
        let loads = op.op() == ModelOpKind::Load;
        cells.retain(|cell| {
            let concerned = if loads { named(&cell.next_models()).is_some() } else { uses(cell, &op.r#ref) };
            concerned && self.can_run(cell)
        });
        let operation = Operation { kind: op.op(), reference: op.r#ref, snapshot: op.snapshot, binding, cells };
        let (models, loader, events) = (self.models.clone(), self.loader.clone(), self.setups.clone());
        self.scope.spawn("model-op", async move {
            let reference = operation.reference.clone();
            let event = operation.run(&*models, &loader, &events).await.map(Box::new);
            // The receiver goes away only with the worker.
            drop(events.send(SetupEvent::Operation { reference, event }).await);
        });
    }
}

impl Operation {
    /// Performs the command. Gives the event that ends it; none = wherever the model is by then.
    async fn run(
        self,
        models: &dyn ModelSource,
        loader: &Loader,
        events: &mpsc::Sender<SetupEvent>,
    ) -> Option<pb::ModelEvent> {
        let outcome = match self.kind {
            ModelOpKind::Download => self.download(models, loader).await,
            ModelOpKind::Load => match self.load(loader, events).await {
                Ok(Some(event)) => Ok(event),
                Ok(None) => return None,
                Err(error) => Err(error),
            },
            ModelOpKind::Unload => match self.unload(loader, events).await {
                Ok(()) => return None,
                Err(error) => Err(error),
            },
            // The compile caches of the peer mean nothing here; its refs have one form.
            _ if self.reference.starts_with("_system/family-") && self.reference.contains('#') => {
                Err("adopt_failed:no_endpoint")
            }
            _ => Err("adopt_failed:bad_ref"),
        };
        let failed = |error: &str| pb::ModelEvent { error: error.to_owned(), ..self.event(ModelState::Failed) };
        Some(outcome.unwrap_or_else(failed))
    }

    /// Makes the files present. A model that is loaded stays so, and the event says that.
    async fn download(&self, models: &dyn ModelSource, loader: &Loader) -> Result<pb::ModelEvent, &'static str> {
        let binding = self.binding.as_ref().ok_or("download_failed")?;
        let snapshot = self.snapshot.as_ref();
        model_fetch::fetch(models, binding, snapshot, &NoProgress).await.map_err(|error| match error.reason() {
            // With files to fetch from, it is not the files that are missing.
            "missing_snapshot" if snapshot.is_some() => "download_failed",
            reason => reason,
        })?;
        // By now: much may have been loaded and resolved during a long transfer.
        let is_loaded = loader.loaded().any(|cell| uses(cell, &self.reference));
        let on_disk = || self.event(ModelState::OnDisk);
        Ok(if is_loaded { loaded_event(self.reference.clone(), loader) } else { on_disk() })
    }

    /// Sets up every instance that uses the model. None when another flavor of it is wanted by then.
    async fn load(
        &self,
        loader: &Loader,
        events: &mpsc::Sender<SetupEvent>,
    ) -> Result<Option<pb::ModelEvent>, &'static str> {
        let mut outcome = Err("load_failed");
        for cell in &self.cells {
            let result = self.load_cell(cell, loader, events).await?;
            outcome = match &result {
                // Only what is there is told of.
                Ok(()) if !uses(cell, &self.reference) => Ok(None),
                Ok(()) => Ok(Some(loaded_event(self.reference.clone(), loader))),
                Err(error) => Err(word(error)),
            };
            let failed = outcome.is_err();
            // Should a later one fail, the end of the operation says nothing of this one.
            let last = self.cells.last().is_some_and(|last| Arc::ptr_eq(last, cell));
            let operation = (last || failed).then(|| self.reference.clone());
            drop(events.send(SetupEvent::Instance { cell: cell.clone(), result, operation }).await);
            if failed {
                break;
            }
        }
        outcome
    }

    /// Sets one instance up, after one of another flavor made way. A set-up that was under way, or what was resolved
    /// meanwhile, may bring that flavor all the same: then once more.
    async fn load_cell(
        &self,
        cell: &Arc<InstanceCell>,
        loader: &Loader,
        events: &mpsc::Sender<SetupEvent>,
    ) -> Result<Result<(), WorkerError>, &'static str> {
        let snapshots: HashMap<_, _> = self.snapshot.iter().map(|s| (self.reference.clone(), s.clone())).collect();
        let mut result = Ok(());
        for _ in 0..LOAD_TRIES {
            let gone = match loader.make_way(cell, &snapshots, FIRST_DEVICE).await {
                Ok(gone) => gone,
                Err(NoWay::InUse) => return Err("model_in_use"),
                Err(NoWay::Next(error)) => return Err(word(&error)),
            };
            for models in gone {
                drop(events.send(SetupEvent::Gone { cell: cell.clone(), models, operation: None }).await);
            }
            result = loader.warm(cell, &snapshots, FIRST_DEVICE).await;
            if result.is_err() || uses(cell, &self.reference) {
                break;
            }
        }
        Ok(result)
    }

    /// Moves every instance that uses the model to host memory, or lets it go where it cannot move or is there already.
    /// None of that if one of them is in use.
    async fn unload(&self, loader: &Loader, events: &mpsc::Sender<SetupEvent>) -> Result<(), &'static str> {
        if self.cells.iter().any(|cell| cell.is_in_use()) {
            return Err("model_in_use");
        }
        for cell in &self.cells {
            let all = cell.all_models();
            // A job may have come between the look and now.
            if !loader.demote(cell).await && !cell.shutdown_if_idle().await {
                return Err("model_in_use");
            }
            // At once: the next one may take its time, and jobs may bring this one back meanwhile.
            for models in all {
                let gone = SetupEvent::Gone { cell: cell.clone(), models, operation: Some(self.reference.clone()) };
                drop(events.send(gone).await);
            }
        }
        Ok(())
    }

    fn event(&self, state: ModelState) -> pb::ModelEvent {
        pb::ModelEvent { r#ref: self.reference.clone(), state: state.into(), ..Default::default() }
    }
}

/// How the end of an operation calls a load that failed.
fn word(error: &WorkerError) -> &'static str {
    if error.is_out_of_memory() { "oom" } else { error.unavailable_reason().unwrap_or("load_failed") }
}
