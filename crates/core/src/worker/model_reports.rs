//! What the orchestrator hears of transfers, whoever asked for them: a decorator of the model source. Owns when each
//! transfer was last told.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use gen_worker_proto::pb::{self, ModelState};
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

use super::{cache_feed::CacheFeed, setup::SetupEvent};
use crate::{Binding, FetchProgress, FetchedModel, ModelError, ModelResidency, ModelSource, TellEvicted};

/// Between two reports of one transfer (11.4).
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Tells of every transfer of the source it wraps.
pub(super) struct ReportingModels {
    source: Arc<dyn ModelSource>,
    events: mpsc::Sender<SetupEvent>,
    cache: CacheFeed,
    late: LateReports,
}

/// Models of which something is to be told that the worker was too busy to take in. It does so before anything that comes later.
#[derive(Clone, Default)]
pub(super) struct LateReports(Arc<Mutex<BTreeSet<String>>>);

/// Tells of one transfer.
struct Reporter<'a> {
    reference: String,
    events: &'a mpsc::Sender<SetupEvent>,
    cache: &'a CacheFeed,
    late: &'a LateReports,
    /// Whoever asked hears it too.
    asked: &'a dyn FetchProgress,
    told: Mutex<Option<Instant>>,
    /// It came, or failed, which somebody else tells.
    ended: bool,
}

impl ReportingModels {
    pub(super) fn new(source: Arc<dyn ModelSource>, events: mpsc::Sender<SetupEvent>, cache: CacheFeed) -> Self {
        let (evicted, late) = (events.clone(), LateReports::default());
        let waiting = late.clone();
        source.on_evicted(Arc::new(move |reference| {
            let state = ModelState::Evicted.into();
            let event = pb::ModelEvent { r#ref: reference.to_owned(), state, ..Default::default() };
            waiting.send(&evicted, reference, SetupEvent::Model(Box::new(event)));
        }));
        Self { source, events, cache, late }
    }

    /// What could not be told at once.
    pub(super) fn late(&self) -> LateReports {
        self.late.clone()
    }
}

impl LateReports {
    /// Sends `event` of the model `reference`. Where there is no place for it there are others in front of it, and with the first
    /// of them the worker looks for what came late.
    fn send(&self, events: &mpsc::Sender<SetupEvent>, reference: &str, event: SetupEvent) {
        if events.try_send(event).is_err() {
            self.0.lock().insert(reference.to_owned());
        }
    }

    /// The models whose place is to be told now.
    pub(super) fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.0.lock())
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
            let mut reporter = Reporter {
                reference: reference.clone(),
                events: &self.events,
                cache: &self.cache,
                late: &self.late,
                asked: progress,
                told: Mutex::default(),
                ended: false,
            };
            let fetched = self.source.fetch(binding, snapshot, &reporter).await;
            reporter.ended = true;
            match &fetched {
                Ok(model) => self.cache.fetched(&reporter.reference, model.dir()),
                Err(_) => self.cache.not_fetched(&reporter.reference),
            }
            let model = fetched?;
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

/// Whoever wanted it has left in the middle: what was told of the transfer is not true any more.
impl Drop for Reporter<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.cache.not_fetched(&self.reference);
        if self.told.get_mut().is_some() {
            self.late.send(self.events, &self.reference, SetupEvent::Left(self.reference.clone()));
        }
    }
}

impl FetchProgress for Reporter<'_> {
    fn fetched(&self, bytes_done: u64, bytes_total: u64) {
        self.asked.fetched(bytes_done, bytes_total);
        self.cache.downloading(&self.reference, bytes_done, bytes_total);
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
