//! What the owner loop publishes for readers that must not wait for it: admission checks, listings, counters.
//! Written by the owner, except for manifests.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use gen_worker_proto::FunctionName;
use parking_lot::{Mutex, RwLock};

use super::{
    lanes::FUNCTIONS_MAX,
    near::near,
    views::{Counters, FunctionManifest, FunctionView, ModelPlaceView, ModelView, SubmitError, WorkerView},
};

/// The published state of a pool.
#[derive(Debug)]
pub(crate) struct View {
    functions: RwLock<HashMap<FunctionName, Arc<FunctionCell>>>,
    /// What endpoints say about functions, whether a worker has offered them or not. Told from outside.
    manifests: RwLock<HashMap<FunctionName, Arc<FunctionManifest>>>,
    workers: RwLock<BTreeMap<String, Arc<WorkerCell>>>,
    /// Totals and gauges.
    pub(crate) totals: Totals,
    /// Requests on their way to the disk.
    pub(crate) incoming: AtomicU64,
    /// Most unfinished requests.
    unfinished_max: usize,
}

/// Live numbers of one function.
#[derive(Debug, Default)]
pub(crate) struct FunctionCell {
    /// Connected workers that take it now.
    pub(crate) available: AtomicUsize,
    /// Connected workers that load for it.
    pub(crate) loading: AtomicUsize,
    /// Connected workers that run it degraded.
    pub(crate) degraded: AtomicUsize,
    /// Connected workers that disabled it.
    pub(crate) disabled: AtomicUsize,
    /// Requests in the queue.
    pub(crate) queued: AtomicUsize,
    /// Requests on workers.
    pub(crate) running: AtomicUsize,
}

/// Live numbers of one worker, and the rest of its view as of its last message that changed it.
#[derive(Debug)]
pub(crate) struct WorkerCell {
    /// Everything but `jobs`.
    pub(crate) info: Mutex<WorkerView>,
    /// Requests on it.
    pub(crate) jobs: AtomicUsize,
}

impl FunctionCell {
    fn view(&self, name: &FunctionName, manifest: Option<Arc<FunctionManifest>>) -> FunctionView {
        FunctionView {
            name: name.to_string(),
            manifest,
            workers_available: self.available.load(Relaxed),
            workers_loading: self.loading.load(Relaxed),
            workers_degraded: self.degraded.load(Relaxed),
            workers_disabled: self.disabled.load(Relaxed),
            queued: self.queued.load(Relaxed),
            running: self.running.load(Relaxed),
        }
    }
}

fn unknown(name: &FunctionName, functions: &HashMap<FunctionName, Arc<FunctionCell>>) -> SubmitError {
    SubmitError::UnknownFunction { near: near(name.as_str(), functions.keys().map(FunctionName::as_str)) }
}

/// Counts one.
pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

macro_rules! totals {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// Counters behind [`Counters`].
        #[derive(Debug, Default)]
        pub(crate) struct Totals { $($(#[$doc])* pub(crate) $name: AtomicU64),+ }

        impl Totals {
            fn read(&self) -> Counters {
                Counters { $($name: self.$name.load(Relaxed)),+ }
            }
        }
    };
}

totals!(
    submitted,
    succeeded,
    failed,
    canceled,
    dispatched,
    resent,
    requeued,
    stale,
    frames,
    superseded,
    refused,
    store_retries,
    queued,
    running,
    workers,
);

impl View {
    /// An empty view.
    pub(crate) fn new(unfinished_max: usize) -> Self {
        Self {
            functions: RwLock::default(),
            manifests: RwLock::default(),
            workers: RwLock::default(),
            totals: Totals::default(),
            incoming: AtomicU64::new(0),
            unfinished_max,
        }
    }

    /// Whether a request for `function` may be taken in, beside `others` of the same submit.
    pub(crate) fn admission(
        &self,
        function: &FunctionName,
        require_worker: bool,
        others: usize,
    ) -> Result<(), SubmitError> {
        let functions = self.functions.read();
        let Some(cell) = functions.get(function) else {
            // What an endpoint of this pool declares is no mistake of the client: its worker is on the way, or cannot.
            let declared = self.manifests.read().contains_key(function);
            return Err(if declared { SubmitError::NoWorker } else { unknown(function, &functions) });
        };
        let eligible = cell.available.load(Relaxed) + cell.loading.load(Relaxed);
        if eligible == 0 && (require_worker || cell.disabled.load(Relaxed) > 0) {
            return Err(SubmitError::NoWorker);
        }
        let unfinished = self.totals.queued.load(Relaxed) + self.totals.running.load(Relaxed);
        let unfinished = unfinished + self.incoming.load(Relaxed);
        if usize::try_from(unfinished).unwrap_or(usize::MAX).saturating_add(others) >= self.unfinished_max {
            return Err(SubmitError::QueueFull { limit: self.unfinished_max });
        }
        Ok(())
    }

    /// The cell of a function, made when there is none yet.
    pub(crate) fn function(&self, name: &FunctionName) -> Arc<FunctionCell> {
        if let Some(cell) = self.functions.read().get(name) {
            return Arc::clone(cell);
        }
        Arc::clone(self.functions.write().entry(name.clone()).or_default())
    }

    /// What an endpoint said about a function.
    pub(crate) fn manifest(&self, name: &FunctionName) -> Option<Arc<FunctionManifest>> {
        self.manifests.read().get(name).cloned()
    }

    /// Remembers what endpoints say about functions.
    pub(crate) fn put_manifests(&self, manifests: Vec<FunctionManifest>) {
        let mut known = self.manifests.write();
        for manifest in manifests {
            if known.len() < FUNCTIONS_MAX || known.contains_key(&manifest.name) {
                known.insert(manifest.name.clone(), Arc::new(manifest));
            }
        }
    }

    /// Publishes a worker.
    pub(crate) fn put_worker(&self, cell: Arc<WorkerCell>) {
        let id = cell.info.lock().worker_id.clone();
        self.workers.write().insert(id, cell);
    }

    /// Takes a worker off.
    pub(crate) fn remove_worker(&self, worker_id: &str) {
        self.workers.write().remove(worker_id);
    }

    /// One function, or names that look alike.
    pub(crate) fn find_function(&self, name: &FunctionName) -> Result<FunctionView, SubmitError> {
        let functions = self.functions.read();
        match functions.get(name) {
            Some(cell) => Ok(cell.view(name, self.manifests.read().get(name).cloned())),
            None => Err(unknown(name, &functions)),
        }
    }

    pub(crate) fn functions(&self) -> Vec<FunctionView> {
        let (functions, manifests) = (self.functions.read(), self.manifests.read());
        let views = functions.iter().map(|(name, cell)| cell.view(name, manifests.get(name).cloned()));
        let mut all: Vec<FunctionView> = views.collect();
        all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub(crate) fn workers(&self) -> Vec<WorkerView> {
        self.workers
            .read()
            .values()
            .map(|cell| WorkerView { jobs: cell.jobs.load(Relaxed), ..cell.info.lock().clone() })
            .collect()
    }

    pub(crate) fn models(&self) -> Vec<ModelView> {
        let mut models: BTreeMap<String, Vec<ModelPlaceView>> = BTreeMap::new();
        for worker in self.workers() {
            for model in worker.models {
                models.entry(model.r#ref).or_default().push(ModelPlaceView {
                    worker_id: worker.worker_id.clone(),
                    tier: model.tier,
                    vram_bytes: model.vram_bytes,
                    download: model.download,
                });
            }
        }
        models.into_iter().map(|(r#ref, workers)| ModelView { r#ref, workers }).collect()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.totals.read()
    }
}
