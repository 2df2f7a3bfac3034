//! Setting instances up, one at a time, after making room: loading two models at once would need the memory of both
//! peaks. Owns the order of loads and what each instance was measured to take.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gen_worker_proto::pb;
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::{
    Binding, Instance, InstanceCell, ModelSource, WorkerError,
    instance::{SetupTimes, fetch},
    ledger::ColdStart,
    memory::MemoryProbe,
    residency::{self, Held, Memory, Room},
};

/// How long one setup keeps others from theirs. Large models take minutes; what takes longer has probably hung.
const TURN_MAX: Duration = Duration::from_secs(30 * 60);

/// How long an idle instance may take to make room. After that it goes on beside the load.
const SHUTDOWN_MAX: Duration = Duration::from_secs(30);

/// Files of one model that are counted; a model of more files is estimated by these.
const FILES_MAX: usize = 100_000;

/// Loads and unloads every instance of a worker.
pub(crate) struct Loader {
    models: Arc<dyn ModelSource>,
    memory: Arc<dyn MemoryProbe>,
    entries: Vec<Entry>,
    turn: tokio::sync::Mutex<()>,
    /// Called for each instance that had to go.
    evicted: Box<dyn Fn(Arc<InstanceCell>) + Send + Sync>,
}

struct Entry {
    cell: Arc<InstanceCell>,
    /// Its models go to an accelerator.
    on_gpu: bool,
    footprint: Mutex<Memory>,
    /// One load at a time of this instance, and how the last one failed.
    failed: tokio::sync::Mutex<Option<WorkerError>>,
    /// Loads that failed so far: whoever began before the last of them waited for it.
    failures: AtomicU64,
}

impl Loader {
    /// A loader for `cells`, each after whether its models go to an accelerator.
    pub(crate) fn new(
        models: Arc<dyn ModelSource>,
        memory: Arc<dyn MemoryProbe>,
        cells: impl IntoIterator<Item = (bool, Arc<InstanceCell>)>,
        evicted: impl Fn(Arc<InstanceCell>) + Send + Sync + 'static,
    ) -> Self {
        let entries = cells.into_iter().map(|(on_gpu, cell)| Entry {
            cell,
            on_gpu,
            footprint: Mutex::default(),
            failed: tokio::sync::Mutex::default(),
            failures: AtomicU64::new(0),
        });
        let entries = entries.collect();
        Self { models, memory, entries, turn: tokio::sync::Mutex::new(()), evicted: Box::new(evicted) }
    }

    /// The instance of `cell`, set up first if there is none, and what that took.
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
    ) -> Result<(Instance, ColdStart), WorkerError> {
        let began = Instant::now();
        let entry = self.entries.iter().find(|entry| Arc::ptr_eq(&entry.cell, cell));
        // Slots load side by side: a job that waits for a free one must not hold up the loads of others.
        let Some(entry) = entry.filter(|entry| !entry.cell.models().is_empty() && !entry.cell.is_hosted()) else {
            let instance = cell.get(&self.models, snapshots).await?;
            // A job that waits for a slot to be free waits for a place, not for a load.
            let all = if cell.is_hosted() { Duration::ZERO } else { began.elapsed() };
            return Ok((instance, split(all, Duration::ZERO, cell.setup_times())));
        };
        if let Some(instance) = cell.ready() {
            return Ok((instance, ColdStart::default()));
        }
        let failures = entry.failures.load(Ordering::Acquire);
        let mut failed = entry.failed.lock().await;
        if let Some(instance) = cell.ready() {
            // Somebody else's load, which this one waited for.
            return Ok((instance, ColdStart { waited: began.elapsed(), ..ColdStart::default() }));
        }
        if let Some(error) = failed.as_ref().filter(|_| entry.failures.load(Ordering::Acquire) > failures) {
            // And so is its failure: everybody who waited for it would only repeat it, one after the other.
            return Err(error.clone());
        }
        let loaded = self.load_entry(entry, snapshots).await;
        *failed = loaded.as_ref().err().cloned();
        entry.failures.fetch_add(u64::from(failed.is_some()), Ordering::Release);
        let (instance, download) = loaded?;
        Ok((instance, split(began.elapsed(), download, cell.setup_times())))
    }

    /// Fetches, makes room, sets up. Gives the time of the first, too.
    async fn load_entry(
        &self,
        entry: &Entry,
        snapshots: &HashMap<String, pb::Snapshot>,
    ) -> Result<(Instance, Duration), WorkerError> {
        let fetching = Instant::now();
        // Transfers go side by side: only what needs memory waits for its turn.
        let bytes = self.fetch(entry, snapshots).await?;
        let download = fetching.elapsed();
        let turn = self.turn.lock().await;
        self.make_room(entry, bytes).await?;
        let before = self.memory.free();
        let instance = match timeout(TURN_MAX, entry.cell.get(&self.models, snapshots)).await {
            Ok(instance) => instance?,
            Err(_) => {
                let models: Vec<_> = entry.cell.models().values().map(Binding::wire_ref).collect();
                warn!(?models, "a setup takes very long; others load beside it");
                drop(turn);
                entry.cell.get(&self.models, snapshots).await?
            }
        };
        let after = self.memory.free();
        let taken = before.vram_bytes.saturating_sub(after.vram_bytes);
        *entry.footprint.lock() = Memory {
            ram_bytes: before.ram_bytes.saturating_sub(after.ram_bytes),
            // Others may have given memory back meanwhile; the weights are there in any case.
            vram_bytes: if entry.on_gpu { taken.max(bytes) } else { taken },
        };
        Ok((instance, download))
    }

    /// What an instance was measured to take when it was loaded.
    pub(crate) fn footprint(&self, cell: &Arc<InstanceCell>) -> Memory {
        let entry = self.entries.iter().find(|entry| Arc::ptr_eq(&entry.cell, cell));
        entry.map(|entry| *entry.footprint.lock()).unwrap_or_default()
    }

    /// Instances that are set up now.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = &Arc<InstanceCell>> {
        self.entries.iter().map(|entry| &entry.cell).filter(|cell| cell.is_ready())
    }

    /// Makes the models of an instance present. Returns their size on disk.
    async fn fetch(&self, entry: &Entry, snapshots: &HashMap<String, pb::Snapshot>) -> Result<u64, WorkerError> {
        let dirs: BTreeSet<_> = fetch(entry.cell.models(), &*self.models, snapshots).await?.into_values().collect();
        // A directory that cannot be read is setup's to complain about.
        let sizes = Scope::new("load").spawn_blocking(move || dirs.iter().map(|dir| size(dir)).sum());
        Ok(sizes.await.unwrap_or(0))
    }

    /// Lets idle instances go until `bytes` of models fit.
    async fn make_room(&self, entry: &Entry, bytes: u64) -> Result<(), WorkerError> {
        let needs = match entry.on_gpu {
            true => Memory { ram_bytes: 0, vram_bytes: bytes },
            false => Memory { ram_bytes: bytes, vram_bytes: 0 },
        };
        let room = Room { free: self.memory.free(), total: self.memory.total() };
        let others: Vec<_> = self.entries.iter().filter(|other| other.cell.is_ready()).collect();
        let held: Vec<_> = others
            .iter()
            .map(|other| Held {
                footprint: *other.footprint.lock(),
                idle: other.cell.idle(),
                pinned: other.cell.is_in_use(),
            })
            .collect();
        let going = residency::plan(needs, room, &held).map_err(|error| {
            warn!(%error, "no room for a model");
            WorkerError::retryable(format!("no room to load the model: {error}"))
        })?;
        for other in going.into_iter().filter_map(|index| others.get(index)) {
            // One that a job took meanwhile stays; the load then meets what is there.
            let gone = timeout(SHUTDOWN_MAX, other.cell.shutdown_if_idle()).await;
            if gone == Ok(true) {
                info!(models = ?other.cell.models().values().map(|binding| binding.wire_ref()).collect::<Vec<_>>(), "unloaded to make room");
                (self.evicted)(other.cell.clone());
            }
        }
        Ok(())
    }
}

/// A load that took `all` in parts: what nothing else explains was waiting.
fn split(all: Duration, download: Duration, times: SetupTimes) -> ColdStart {
    let SetupTimes { setup, warmup } = times;
    // Another caller's set-up may have begun before this one asked.
    let (setup, warmup) =
        if setup + warmup + download > all { (all.saturating_sub(download), Duration::ZERO) } else { (setup, warmup) };
    ColdStart { waited: all.saturating_sub(download + setup + warmup), download, setup, warmup }
}

/// Bytes of the files below `dir`.
fn size(dir: &Path) -> u64 {
    let (mut total, mut files) = (0_u64, 0);
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(metadata) = path.metadata() else { continue };
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            // Links are not followed into other directories: they could lead round in circles.
            open.extend(
                entries.filter(|entry| !entry.path().is_dir() || !entry.path().is_symlink()).map(|entry| entry.path()),
            );
        } else {
            total = total.saturating_add(metadata.len());
            files += 1;
        }
        if files >= FILES_MAX {
            break;
        }
    }
    total
}
