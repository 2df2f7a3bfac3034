//! Setting instances up while the stream opens, and shutting them down at the end. Owns the startup task; what its
//! results mean for availability is decided here, on the event loop.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::future::join_all;
use gen_worker_proto::pb::{self, worker_message::Msg};
use gen_worker_tasks::Cancel;
use tracing::{info, warn};

use super::{roster::distinct_cells, serving::Serving};
use crate::{
    FailureClass, InstanceCell, ModelResidency, Registry, Tier, WorkerError, availability::Unavailable,
    sanitize::sanitize,
};

/// How long instances may take to shut down, all of them together. The process ends anyway after it.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// What happened to instances outside the event loop.
pub(super) enum SetupEvent {
    /// A set-up ended.
    Instance { cell: Arc<InstanceCell>, result: Result<(), WorkerError> },
    /// Startup is over, whatever came of it.
    Started,
    /// A model operation ended: what to tell, about which ref.
    Operation { reference: String, event: Box<pb::ModelEvent>, unloaded: Vec<Arc<InstanceCell>> },
}

/// Sets every instance up, one after the other: loading two models at once would need the memory of both peaks.
pub(super) fn start(serving: &mut Serving) {
    let cells = serving.roster.cells();
    if !cells.is_empty() {
        serving.availability.advance(pb::WorkerPhase::LoadingPipelines);
    }
    let (models, events) = (serving.models.clone(), serving.setups.clone());
    serving.scope.spawn("startup", async move {
        for cell in cells {
            let result = cell.get(&models, &HashMap::new()).await.map(drop);
            // The receiver goes away only with the worker.
            drop(events.send(SetupEvent::Instance { cell, result }).await);
        }
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
        match event {
            SetupEvent::Instance { cell, result } => self.instance_event(&cell, result.as_ref().copied()),
            SetupEvent::Started => {
                info!("started");
                self.availability.advance(pb::WorkerPhase::Ready);
            }
            SetupEvent::Operation { reference, event, unloaded } => {
                self.operation_ended(&reference, *event, &unloaded);
            }
        }
    }

    /// A set-up of `cell` ended: its functions are offered or disabled. What may pass (a model that could not be had,
    /// memory, whatever the author calls retryable) leaves them loading, since the next job tries again (12.6).
    pub(super) fn instance_event(&mut self, cell: &Arc<InstanceCell>, result: Result<(), &WorkerError>) {
        let names: Vec<_> = self.roster.sharing(cell).map(|function| function.name().clone()).collect();
        for name in names {
            match result {
                Ok(()) => self.availability.ready(&name),
                Err(error) if error.class() == FailureClass::Retryable => {
                    warn!(function = %name, cause = %sanitize(&error.to_string()), "not set up yet, the next job tries again");
                }
                Err(error) => {
                    warn!(function = %name, cause = %sanitize(&error.to_string()), "setup failed");
                    let why = Unavailable {
                        reason: "setup_failed".to_owned(),
                        detail: sanitize(&error.client_message()),
                        axes: Default::default(),
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

/// The wire form of a held model.
pub(super) fn residency(held: ModelResidency) -> pb::ModelResidency {
    let tier = match held.tier {
        Tier::Disk => pb::ResidencyTier::Disk,
        Tier::Ram => pb::ResidencyTier::Ram,
        Tier::Vram => pb::ResidencyTier::Vram,
    };
    let vram_bytes = i64::try_from(held.vram_bytes).unwrap_or(i64::MAX);
    pb::ModelResidency { r#ref: held.reference, tier: tier.into(), vram_bytes }
}
