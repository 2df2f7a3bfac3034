//! Setting instances up, one at a time, after making room: loading two models at once would need the memory of both
//! peaks. Owns the order of loads and what each instance was measured to take.

mod hosted;
mod ladder;
mod room;
mod tiers;
mod way;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use gen_worker_proto::pb;
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::{
    Binding, FetchedModel, Instance, InstanceCell, LoadPolicy, ModelSource, WorkerError,
    adapters::{self, Adapters},
    bytes_on_disk,
    context::Device,
    instance::{Models, SetupTimes, fetch},
    job_source::{self, JobSource},
    ledger::ColdStart,
    memory::MemoryProbe,
    memory_ladder::OffloadMode,
    residency::{Memory, NoRoom, VramLimits},
    shared_components::SharedComponents,
};

pub(crate) use way::NoWay;

/// How long one setup keeps others from theirs. Large models take minutes; what takes longer has probably hung.
const TURN_MAX: Duration = Duration::from_secs(30 * 60);

/// Loads and unloads every instance of a worker.
pub(crate) struct Loader {
    models: Arc<dyn ModelSource>,
    memory: Arc<dyn MemoryProbe>,
    total: Memory,
    vram: VramLimits,
    entries: Vec<Entry>,
    /// What instances of this process have in common.
    components: SharedComponents,
    policy: LoadPolicy,
    /// The most that each model was ever measured to take of an accelerator as a whole, by wire ref.
    hints: Mutex<HashMap<String, u64>>,
    turn: tokio::sync::Mutex<()>,
    /// Called for each instance that had to go or to move, with its models.
    left: Left,
}

/// Loads take turns.
type Turn<'t> = tokio::sync::MutexGuard<'t, ()>;

type Left = Box<dyn Fn(Arc<InstanceCell>, Models) + Send + Sync>;

/// An endpoint whose instances are to be loaded.
pub(crate) struct Wanted {
    pub(crate) cell: Arc<InstanceCell>,
    /// Its models go to an accelerator.
    pub(crate) on_gpu: bool,
    /// They can be loaded with parts elsewhere.
    pub(crate) offloads: bool,
    /// What its functions declare that they need of an accelerator.
    pub(crate) declared_bytes: Option<u64>,
}

struct Entry {
    cell: Arc<InstanceCell>,
    /// Its models go to an accelerator.
    on_gpu: bool,
    offloads: bool,
    declared_bytes: Option<u64>,
    /// Which parts of its instance stay on the accelerator.
    offload: Mutex<OffloadMode>,
    /// The models of its instance, each with what it was measured to take.
    booked: Mutex<Vec<(String, Option<u64>)>>,
    /// What its instance takes where jobs use it, also while it waits in host memory.
    footprint: Mutex<Memory>,
    /// Its instance came back to its accelerator, and nobody was told yet.
    promoted: AtomicBool,
    /// One load at a time of this instance, and how the last one failed.
    failed: tokio::sync::Mutex<Option<Failed>>,
    /// Loads that failed so far: whoever began before the last of them waited for it.
    failures: AtomicU64,
}

/// A load that failed.
struct Failed {
    error: WorkerError,
    /// What it was told its models are: digests by wire ref.
    told: BTreeMap<String, String>,
}

impl From<(bool, Arc<InstanceCell>)> for Wanted {
    /// Only whether its models go to an accelerator is known.
    fn from((on_gpu, cell): (bool, Arc<InstanceCell>)) -> Self {
        Self { cell, on_gpu, offloads: false, declared_bytes: None }
    }
}

impl Failed {
    /// Whether a load that is told this would only repeat it. A snapshot is authoritative (model contract, 3.1): what failed
    /// without it, or with another, says nothing of it.
    fn speaks_for(&self, told: &BTreeMap<String, String>) -> bool {
        told.iter().all(|(reference, digest)| self.told.get(reference) == Some(digest))
    }
}

impl Loader {
    /// A loader within `vram` for `cells`.
    pub(crate) fn new(
        models: Arc<dyn ModelSource>,
        memory: Arc<dyn MemoryProbe>,
        vram: VramLimits,
        cells: impl IntoIterator<Item = impl Into<Wanted>>,
        left: impl Fn(Arc<InstanceCell>, Models) + Send + Sync + 'static,
    ) -> Self {
        let entries =
            cells.into_iter().map(Into::into).map(|Wanted { cell, on_gpu, offloads, declared_bytes }| Entry {
                cell,
                on_gpu,
                offloads,
                declared_bytes,
                offload: Mutex::default(),
                booked: Mutex::default(),
                footprint: Mutex::default(),
                promoted: AtomicBool::new(false),
                failed: tokio::sync::Mutex::default(),
                failures: AtomicU64::new(0),
            });
        let (entries, mut total): (Vec<Entry>, _) = (entries.collect(), memory.total());
        let components = SharedComponents::default();
        entries.iter().for_each(|entry| entry.cell.share(components.clone()));
        for bytes in &mut total.vram_bytes {
            *bytes = (*bytes).min(vram.models_bytes_max.unwrap_or(u64::MAX));
        }
        Self {
            models,
            memory,
            total,
            vram,
            entries,
            components,
            policy: LoadPolicy::default(),
            hints: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
            left: Box::new(left),
        }
    }

    /// The same, for loads that an operator decided about.
    pub(crate) fn under(self, policy: LoadPolicy) -> Self {
        Self { policy, ..self }
    }

    /// The instance of `cell`, set up first if there is none, and what that took. Models that go to an accelerator go
    /// to the one with the ordinal `device`; an instance that is there stays where it is.
    ///
    /// # Errors
    /// As [`InstanceCell::get`], and retryable when there is no room for it.
    ///
    /// # Cancel safety
    /// As [`InstanceCell::get`].
    pub(crate) async fn load(
        &self,
        cell: &Arc<InstanceCell>,
        snapshots: &HashMap<String, pb::Snapshot>,
        device: usize,
    ) -> Result<(Instance, ColdStart), WorkerError> {
        let (instance, cold) = self.bring(cell, snapshots, device, true).await?;
        // It is lent before anybody can let it go.
        let lent = instance.ok_or_else(|| WorkerError::retryable("the instance went away again"))?;
        Ok((lent, cold))
    }

    /// The same for whoever does not use the instance: it is at nobody's disposal in between, so that it is in nobody's way.
    ///
    /// # Errors
    /// As [`Loader::load`].
    ///
    /// # Cancel safety
    /// As [`Loader::load`].
    pub(crate) async fn warm(
        &self,
        cell: &Arc<InstanceCell>,
        snapshots: &HashMap<String, pb::Snapshot>,
        device: usize,
    ) -> Result<(), WorkerError> {
        self.bring(cell, snapshots, device, false).await.map(drop)
    }

    async fn bring(
        &self,
        cell: &Arc<InstanceCell>,
        snapshots: &HashMap<String, pb::Snapshot>,
        device: usize,
        lend: bool,
    ) -> Result<(Option<Instance>, ColdStart), WorkerError> {
        let began = Instant::now();
        let entry = self.entry(cell);
        let Some(entry) = entry.filter(|_| cell.host().is_some() || !cell.models().is_empty()) else {
            let device = entry.map_or(Device::Cpu, |entry| entry.device(device));
            let instance = cell.get_on(device, &self.models, snapshots).await?;
            return Ok((Some(instance), split(began.elapsed(), Duration::ZERO, cell.setup_times())));
        };
        if let Some(host) = cell.host() {
            return self.load_hosted(entry, host, snapshots, device).await.map(|(made, cold)| (Some(made), cold));
        }
        if let Some(instance) = cell.ready() {
            return Ok((Some(instance), ColdStart::default()));
        }
        let failures = entry.failures.load(Ordering::Acquire);
        let mut failed = entry.failed.lock().await;
        if let Some(instance) = cell.ready() {
            // Somebody else's load, which this one waited for.
            return Ok((Some(instance), ColdStart { waited: began.elapsed(), ..ColdStart::default() }));
        }
        let told: BTreeMap<_, _> = snapshots.iter().map(|(name, files)| (name.clone(), files.digest.clone())).collect();
        let waited_for = failed.as_ref().filter(|_| entry.failures.load(Ordering::Acquire) > failures);
        if let Some(failed) = waited_for.filter(|failed| failed.speaks_for(&told)) {
            // And so is its failure: everybody who waited for it would only repeat it, one after the other.
            return Err(failed.error.clone());
        }
        let loaded = self.load_entry(entry, snapshots, device, lend).await;
        *failed = loaded.as_ref().err().map(|error| Failed { error: error.clone(), told });
        entry.failures.fetch_add(u64::from(failed.is_some()), Ordering::Release);
        let (instance, download, times) = loaded?;
        Ok((instance, split(began.elapsed(), download, times)))
    }

    /// Makes the adapters present that a dispatch names.
    ///
    /// # Errors
    /// As [`adapters::bring`].
    pub(crate) async fn bring_adapters(
        &self,
        models: &[pb::ModelBinding],
        snapshots: &HashMap<String, pb::Snapshot>,
    ) -> Result<Adapters, WorkerError> {
        adapters::bring(&*self.models, models, snapshots).await
    }

    /// Makes the source of a job present.
    ///
    /// # Errors
    /// As [`job_source::bring`].
    pub(crate) async fn bring_source(
        &self,
        reference: &str,
        snapshots: &HashMap<String, pb::Snapshot>,
    ) -> Result<JobSource, WorkerError> {
        job_source::bring(&*self.models, reference, snapshots).await
    }

    /// Tells of accelerators, if there are any.
    pub(crate) fn accelerators(&self) -> Option<Arc<dyn MemoryProbe>> {
        (self.total.vram_sum() > 0).then(|| self.memory.clone())
    }

    /// Instances that are set up now.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = &Arc<InstanceCell>> {
        self.entries.iter().map(|entry| &entry.cell).filter(|cell| cell.is_ready())
    }

    /// Has an instance that waits in host memory move back; without one: fetches, makes room, sets up. Gives the times
    /// of fetching and of the author's part, too.
    async fn load_entry(
        &self,
        entry: &Entry,
        snapshots: &HashMap<String, pb::Snapshot>,
        device: usize,
        lend: bool,
    ) -> Result<(Option<Instance>, Duration, SetupTimes), WorkerError> {
        if let Some(instance) = self.promote(entry, device, lend).await? {
            return Ok((instance, Duration::ZERO, SetupTimes::default()));
        }
        let fetching = Instant::now();
        // Transfers go side by side: only what needs memory waits for its turn.
        // What is fetched, what room is made for and what is set up are the same, whatever is resolved meanwhile.
        let models = entry.cell.next_models();
        let (bytes, _held) = self.fetch(&models, snapshots).await?;
        let download = fetching.elapsed();
        let turn = self.turn.lock().await;
        let needs = self.needs(entry, &models, bytes, device);
        let offload = self.make_room_or_spread(needs, entry, bytes).await.map_err(no_room)?;
        // What an earlier instance took is no part of this one, and where nobody can be asked it would be counted
        // as still in use as soon as this one is there.
        *entry.footprint.lock() = Memory::default();
        let before = self.free().await;
        let setting_up = self.set_up(entry, &models, snapshots, (device, offload, before.vram_on(device)));
        // Who comes next looks at what this one takes, so its turn lasts until that is known.
        let (instance, _turn) = self.in_turn(&models, turn, setting_up).await?;
        let mut taken = before;
        taken.sub(&self.free().await);
        // What is shared is booked once, and by itself.
        let shared = instance.slots().taken();
        // Only the accelerator of the load: jobs take memory of the others meanwhile.
        taken.vram_bytes = if entry.on_gpu {
            let own = taken.vram_on(device).saturating_sub(shared.loaded_bytes);
            // Where nobody can be asked, its files are all that is known of it.
            let own = if own == 0 && !entry.is_spread() { bytes.saturating_sub(shared.bytes) } else { own };
            Memory::of_device(device, own).vram_bytes
        } else {
            taken.ram_bytes = taken.ram_bytes.saturating_sub(shared.loaded_bytes);
            Vec::new()
        };
        self.book(entry, &models, &instance, &taken);
        *entry.footprint.lock() = taken;
        // Whoever is next may need its room: it is nobody's before the turn ends.
        let instance = lend.then_some(instance);
        Ok((instance, download, entry.cell.setup_times()))
    }

    /// Sets up while nobody else does, unless it takes very long: then the turn is over before.
    async fn in_turn<'a, T>(
        &self,
        models: &Models,
        turn: Turn<'a>,
        setting_up: impl Future<Output = Result<T, WorkerError>>,
    ) -> Result<(T, Option<Turn<'a>>), WorkerError> {
        let mut setting_up = std::pin::pin!(setting_up);
        if let Ok(done) = timeout(TURN_MAX, &mut setting_up).await {
            return Ok((done?, Some(turn)));
        }
        let models: Vec<_> = models.values().map(Binding::wire_ref).collect();
        warn!(?models, "a setup takes very long; others load beside it");
        drop(turn);
        Ok((setting_up.await?, None))
    }

    fn entry(&self, cell: &Arc<InstanceCell>) -> Option<&Entry> {
        self.entries.iter().find(|entry| Arc::ptr_eq(&entry.cell, cell))
    }

    /// Makes these models present. Returns their size on disk, and what keeps them there until they are loaded.
    async fn fetch(
        &self,
        models: &Models,
        snapshots: &HashMap<String, pb::Snapshot>,
    ) -> Result<(u64, BTreeMap<String, FetchedModel>), WorkerError> {
        if models.is_empty() {
            return Ok((0, BTreeMap::new()));
        }
        let held = fetch(models, &*self.models, snapshots).await?;
        let dirs: BTreeSet<_> = held.values().map(|model| model.dir().to_owned()).collect();
        // A directory that cannot be read is setup's to complain about.
        let sizes = Scope::new("load").spawn_blocking(move || dirs.iter().map(|dir| bytes_on_disk::size(dir)).sum());
        Ok((sizes.await.unwrap_or(0), held))
    }
}

fn no_room(error: NoRoom) -> WorkerError {
    WorkerError::retryable(format!("no room to load the model: {error}"))
}

/// A load that took `all` in parts: what nothing else explains was waiting.
fn split(all: Duration, download: Duration, times: SetupTimes) -> ColdStart {
    let SetupTimes { spawn, setup, warmup } = times;
    // Another caller's set-up may have begun before this one asked.
    let (setup, warmup) = if spawn + setup + warmup + download > all {
        (all.saturating_sub(download + spawn), Duration::ZERO)
    } else {
        (setup, warmup)
    };
    let waited = all.saturating_sub(download + spawn + setup + warmup);
    ColdStart { waited, download, spawn, setup, warmup, ..ColdStart::default() }
}

#[cfg(test)]
mod tests;
