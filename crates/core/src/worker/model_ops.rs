//! Residency commands: those on one ref run in arrival order, others side by side, none on the event loop (W22), and
//! each ends with one event that names the state (W23, 11.5). Owns the line of every ref.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use gen_worker_proto::pb::{self, ModelOpKind, ModelState, worker_message::Msg};

use super::{serving::Serving, setup::SetupEvent};
use crate::{Binding, InstanceCell, ModelError, ModelSource};

/// Commands that may wait for one ref. An orchestrator sends few; past this it repeats itself.
const WAITING_MAX: usize = 64;

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
    /// A binding of this ref, if a function declares one.
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
                waiting.push_back(op);
            }
            return;
        }
        self.model_ops.waiting.insert(op.r#ref.clone(), VecDeque::new());
        self.start_operation(op);
    }

    pub(super) fn operation_ended(&mut self, reference: &str, event: pb::ModelEvent, unloaded: &[Arc<InstanceCell>]) {
        for cell in unloaded {
            let names: Vec<_> = self.roster.sharing(cell).map(|function| function.name().clone()).collect();
            names.iter().for_each(|name| self.availability.unloaded(name));
        }
        self.outbox.push(Msg::ModelEvent(event));
        match self.model_ops.waiting.get_mut(reference).and_then(VecDeque::pop_front) {
            Some(next) => self.start_operation(next),
            None => drop(self.model_ops.waiting.remove(reference)),
        }
    }

    fn start_operation(&self, op: pb::ModelOp) {
        let uses = |binding: &&Binding| binding.wire_ref() == op.r#ref;
        let binding = self.roster.iter().flat_map(|function| function.slots().values()).find(uses).cloned();
        let mut cells: Vec<Arc<InstanceCell>> = Vec::new();
        for function in self.roster.iter().filter(|function| function.slots().values().any(|slot| uses(&slot))) {
            if let Some(cell) = function.instance()
                && !cells.iter().any(|known| Arc::ptr_eq(known, cell))
            {
                cells.push(cell.clone());
            }
        }
        let operation = Operation { kind: op.op(), reference: op.r#ref, snapshot: op.snapshot, binding, cells };
        let (models, events) = (self.models.clone(), self.setups.clone());
        self.scope.spawn("model-op", async move {
            let reference = operation.reference.clone();
            let (event, unloaded) = operation.run(&models, &events).await;
            // The receiver goes away only with the worker.
            drop(events.send(SetupEvent::Operation { reference, event: Box::new(event), unloaded }).await);
        });
    }
}

impl Operation {
    async fn run(
        self,
        models: &Arc<dyn ModelSource>,
        events: &tokio::sync::mpsc::Sender<SetupEvent>,
    ) -> (pb::ModelEvent, Vec<Arc<InstanceCell>>) {
        let mut unloaded = Vec::new();
        let outcome = match self.kind {
            ModelOpKind::Download => self.download(&**models).await,
            ModelOpKind::Load => self.load(models, events).await,
            ModelOpKind::Unload => {
                unloaded.clone_from(&self.cells);
                self.unload(&**models).await
            }
            // The compile caches of the peer mean nothing here; its refs have one form.
            _ if self.reference.starts_with("_system/family-") && self.reference.contains('#') => {
                Err("adopt_failed:no_endpoint")
            }
            _ => Err("adopt_failed:bad_ref"),
        };
        let (state, error) = match outcome {
            Ok(state) => (state, String::new()),
            Err(error) => (ModelState::Failed, error.to_owned()),
        };
        (pb::ModelEvent { r#ref: self.reference, state: state.into(), error, ..Default::default() }, unloaded)
    }

    async fn download(&self, models: &dyn ModelSource) -> Result<ModelState, &'static str> {
        let binding = self.binding.as_ref().ok_or("download_failed")?;
        match models.fetch(binding, self.snapshot.as_ref()).await {
            Ok(_) => Ok(ModelState::OnDisk),
            Err(ModelError::Unknown(_)) if self.snapshot.is_none() => Err("missing_snapshot"),
            Err(_) => Err("download_failed"),
        }
    }

    async fn load(
        &self,
        models: &Arc<dyn ModelSource>,
        events: &tokio::sync::mpsc::Sender<SetupEvent>,
    ) -> Result<ModelState, &'static str> {
        if self.cells.is_empty() {
            return Err("load_failed");
        }
        let snapshots: HashMap<_, _> = self.snapshot.iter().map(|s| (self.reference.clone(), s.clone())).collect();
        let mut loaded = Ok(ModelState::InRam);
        for cell in &self.cells {
            let result = cell.get(models, &snapshots).await.map(drop);
            if let Err(error) = &result {
                let missing = error.unavailable_model().is_some() && self.snapshot.is_none();
                loaded = Err(match () {
                    () if missing => "missing_snapshot",
                    () if error.is_out_of_memory() => "oom",
                    () => "load_failed",
                });
            }
            drop(events.send(SetupEvent::Instance { cell: cell.clone(), result }).await);
        }
        loaded
    }

    async fn unload(&self, models: &dyn ModelSource) -> Result<ModelState, &'static str> {
        for cell in &self.cells {
            cell.shutdown().await;
        }
        let on_disk = models.residency().iter().any(|held| held.reference == self.reference);
        Ok(if on_disk { ModelState::OnDisk } else { ModelState::Evicted })
    }
}
