//! Setting instances up while the stream opens, and shutting them down at the end. Owns the startup task; what its
//! results mean for availability is decided here, on the event loop.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::future::join_all;
use gen_worker_proto::pb::{self, worker_message::Msg};
use gen_worker_tasks::Cancel;
use tracing::{info, warn};

use super::{roster::distinct_cells, serving::Serving};
use crate::{
    FailureClass, InstanceCell, Registry, WorkerError, availability::Unavailable, instance::Models, sanitize::sanitize,
};

/// How long instances may take to shut down, all of them together. The process ends anyway after it.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// The accelerator of instances that no job asked for: where jobs run whose dispatch names none (12.5).
pub(super) const FIRST_DEVICE: usize = 0;

/// What happened to instances outside the event loop.
pub(super) enum SetupEvent {
    /// A set-up ended. Of the model `operation` names, the end of that operation will tell.
    Instance { cell: Arc<InstanceCell>, result: Result<(), WorkerError>, operation: Option<String> },
    /// An instance of these models was let go, to make room or by the operation on this model.
    Gone { cell: Arc<InstanceCell>, models: Models, operation: Option<String> },
    /// A model moved.
    Model(Box<pb::ModelEvent>),
    /// Nobody waits for the transfer of this model any more: where it is now is to be told.
    Left(String),
    /// So much accelerator memory is free.
    FreeVram(u64),
    /// Startup is over, whatever came of it.
    Started,
    /// A model operation ended: what to tell about which ref; nothing = where the model is now.
    Operation { reference: String, event: Option<Box<pb::ModelEvent>> },
}

/// Sets every instance up, each as soon as its models are there (model contract, 13.5): downloads go side by side, and what
/// needs memory takes turns in the loader.
pub(super) fn start(serving: &mut Serving) {
    let mut cells = serving.roster.cells();
    cells.retain(|cell| serving.can_run(cell));
    if !cells.is_empty() {
        serving.availability.advance(pb::WorkerPhase::LoadingPipelines);
    }
    let (loader, events) = (serving.loader.clone(), serving.setups.clone());
    serving.scope.spawn("startup", async move {
        join_all(cells.into_iter().map(async |cell| {
            let result = loader.warm(&cell, &HashMap::new(), FIRST_DEVICE).await;
            // The receiver goes away only with the worker.
            drop(events.send(SetupEvent::Instance { cell, result, operation: None }).await);
        }))
        .await;
        drop(events.send(SetupEvent::Started).await);
    });
}

/// Shuts every instance down that was set up; a kill ends the wait.
pub(super) async fn shut_down(registry: &Registry, cancel: &Cancel) {
    let cells = distinct_cells(registry.functions().iter());
    let closing = join_all(cells.iter().map(|cell| cell.shutdown()));
    tokio::select! {
        _ = closing => {}
        () = tokio::time::sleep(SHUTDOWN_LIMIT) => warn!("instances took too long to shut down"),
        () = cancel.killed() => {}
    }
}

impl Serving {
    pub(super) fn setup_event(&mut self, event: SetupEvent) {
        for reference in self.late_reports.take() {
            self.tell_model(self.position(reference));
        }
        match event {
            SetupEvent::Instance { cell, result, operation } => {
                self.instance_event(&cell, result.as_ref().copied(), operation.as_deref());
            }
            SetupEvent::Gone { cell, models, operation } => self.gone(&cell, &models, operation.as_deref()),
            SetupEvent::FreeVram(free) => return self.sampled(free),
            SetupEvent::Model(event) => self.transferred(*event),
            SetupEvent::Left(reference) => self.tell_model(self.position(reference)),
            SetupEvent::Started => {
                info!("started");
                self.availability.advance(pb::WorkerPhase::Ready);
            }
            SetupEvent::Operation { reference, event } => {
                let event = event.map_or_else(|| self.position(reference.clone()), |event| *event);
                self.operation_ended(&reference, event);
            }
        }
        self.sample_memory();
    }

    /// A transfer went on or ended, or the disk lost a model. One that is loaded stays so.
    fn transferred(&mut self, event: pb::ModelEvent) {
        if event.state() == pb::ModelState::Evicted {
            self.tell_model(event)
        } else {
            self.outbox.push(Msg::ModelEvent(event))
        }
    }

    /// A set-up of `cell` ended: its functions are offered or disabled. What may pass (a model that could not be had,
    /// memory, whatever the author calls retryable) leaves them loading, since the next job tries again (12.6).
    pub(super) fn instance_event(
        &mut self,
        cell: &Arc<InstanceCell>,
        result: Result<(), &WorkerError>,
        operation: Option<&str>,
    ) {
        let names: Vec<_> = self.roster.sharing(cell).map(|function| function.name().clone()).collect();
        let was_loading = names.iter().any(|name| !self.availability.is_ready(name));
        if result.is_ok() && (self.loader.take_promoted(cell) || was_loading) {
            self.loaded(cell, operation);
        }
        if let Err(error) = result {
            self.model_failed(error, operation);
        }
        for name in names {
            match result {
                Ok(()) => self.availability.ready(&name),
                // What one job brings as its model says nothing of the next, and memory comes and goes.
                Err(error)
                    if error.class() == FailureClass::Retryable
                        || error.unavailable_model().is_some()
                        || error.is_out_of_memory() =>
                {
                    warn!(function = %name, cause = %sanitize(&error.to_string()), "not set up yet, the next job tries again");
                }
                Err(error) => {
                    warn!(function = %name, cause = %sanitize(&error.to_string()), "setup failed");
                    let why = Unavailable {
                        reason: "setup_failed".to_owned(),
                        detail: sanitize(&error.client_message()),
                        axes: Default::default(),
                        permanent: false,
                    };
                    // Without a connection the next acknowledgement is answered with it.
                    if let Some(message) = self.availability.disable(&name, why)
                        && self.is_connected()
                    {
                        self.outbox.push(Msg::FnUnavailable(message));
                    }
                }
            }
        }
    }
}
