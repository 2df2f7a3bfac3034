//! What the orchestrator hears of transfers, whoever asked for them: a decorator of the model source. Owns when each
//! transfer was last told.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use gen_worker_proto::pb::{self, ModelState};
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};
use tracing::warn;

use super::setup::SetupEvent;
use crate::{Binding, FetchProgress, FetchedModel, ModelError, ModelResidency, ModelSource, TellEvicted};

/// Between two reports of one transfer (11.4).
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Tells of every transfer of the source it wraps.
pub(super) struct ReportingModels {
    source: Arc<dyn ModelSource>,
    events: mpsc::Sender<SetupEvent>,
}

/// Tells of one transfer.
struct Reporter<'a> {
    reference: String,
    events: &'a mpsc::Sender<SetupEvent>,
    /// Whoever asked hears it too.
    asked: &'a dyn FetchProgress,
    told: Mutex<Option<Instant>>,
}

impl ReportingModels {
    pub(super) fn new(source: Arc<dyn ModelSource>, events: mpsc::Sender<SetupEvent>) -> Self {
        let evicted = events.clone();
        source.on_evicted(Arc::new(move |reference| {
            let state = ModelState::Evicted.into();
            let event = pb::ModelEvent { r#ref: reference.to_owned(), state, ..Default::default() };
            if evicted.try_send(SetupEvent::Model(Box::new(event))).is_err() {
                warn!(model = reference, "the worker is too busy to tell that a model was evicted");
            }
        }));
        Self { source, events }
    }
}

impl ModelSource for ReportingModels {
    fn fetch<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
        progress: &'a dyn FetchProgress,
    ) -> BoxFuture<'a, Result<FetchedModel, ModelError>> {
        Box::pin(async move {
            let reference = binding.wire_ref();
            let reporter = Reporter {
                reference: reference.clone(),
                events: &self.events,
                asked: progress,
                told: Mutex::default(),
            };
            let model = self.source.fetch(binding, snapshot, &reporter).await?;
            if reporter.told.lock().is_some() {
                let event = pb::ModelEvent { r#ref: reference, state: ModelState::OnDisk.into(), ..Default::default() };
                // The receiver goes away only with the worker.
                drop(self.events.send(SetupEvent::Model(Box::new(event))).await);
            }
            Ok(model)
        })
    }

    fn is_sound<'a>(
        &'a self,
        binding: &'a Binding,
        snapshot: Option<&'a pb::Snapshot>,
    ) -> BoxFuture<'a, Result<bool, ModelError>> {
        self.source.is_sound(binding, snapshot)
    }

    fn tries(&self) -> u32 {
        self.source.tries()
    }

    fn residency(&self) -> Vec<ModelResidency> {
        self.source.residency()
    }

    fn spare(&self, keep: &[String]) {
        self.source.spare(keep);
    }

    fn on_evicted(&self, tell: TellEvicted) {
        self.source.on_evicted(tell);
    }
}

impl FetchProgress for Reporter<'_> {
    fn fetched(&self, bytes_done: u64, bytes_total: u64) {
        self.asked.fetched(bytes_done, bytes_total);
        let now = Instant::now();
        let mut told = self.told.lock();
        if told.is_some_and(|told| now.saturating_duration_since(told) < REPORT_EVERY) {
            return;
        }
        let count = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let event = pb::ModelEvent {
            r#ref: self.reference.clone(),
            state: ModelState::Downloading.into(),
            bytes_done: count(bytes_done),
            bytes_total: count(bytes_total),
            ..Default::default()
        };
        // A worker too busy to take it in hears the next one.
        if self.events.try_send(SetupEvent::Model(Box::new(event))).is_ok() {
            *told = Some(now);
        }
    }

    fn resolving_again(&self) {
        self.asked.resolving_again();
    }
}
