//! Setting instances up, one at a time, after making room: loading two models at once would need the memory of both
//! peaks. Owns the order of loads and what each instance was measured to take.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use gen_worker_proto::pb;
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use tracing::{info, warn};

use crate::{
    Instance, InstanceCell, ModelSource, NoProgress, WorkerError,
    memory::MemoryProbe,
    model_fetch,
    residency::{self, Held, Memory, Room},
};

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
}

impl Loader {
    /// A loader for `cells`, each after whether its models go to an accelerator.
    pub(crate) fn new(
        models: Arc<dyn ModelSource>,
        memory: Arc<dyn MemoryProbe>,
        cells: impl IntoIterator<Item = (bool, Arc<InstanceCell>)>,
        evicted: impl Fn(Arc<InstanceCell>) + Send + Sync + 'static,
    ) -> Self {
        let entries = cells.into_iter().map(|(on_gpu, cell)| Entry { cell, on_gpu, footprint: Mutex::default() });
        let entries = entries.collect();
        Self { models, memory, entries, turn: tokio::sync::Mutex::new(()), evicted: Box::new(evicted) }
    }

    /// The instance of `cell`, set up first if there is none.
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
    ) -> Result<Instance, WorkerError> {
        let entry = self.entries.iter().find(|entry| Arc::ptr_eq(&entry.cell, cell));
        // Children load what is theirs; waiting for one of them to be free must not hold up the loads here.
        let Some(entry) = entry.filter(|entry| !entry.cell.models().is_empty() && !entry.cell.is_hosted()) else {
            return cell.get(&self.models, snapshots).await;
        };
        if let Some(instance) = cell.ready() {
            return Ok(instance);
        }
        let _turn = self.turn.lock().await;
        if let Some(instance) = cell.ready() {
            return Ok(instance);
        }
        let bytes = self.fetch(entry, snapshots).await?;
        self.make_room(entry, bytes).await?;
        let before = self.memory.free();
        let instance = cell.get(&self.models, snapshots).await?;
        let after = self.memory.free();
        *entry.footprint.lock() = Memory {
            ram_bytes: before.ram_bytes.saturating_sub(after.ram_bytes),
            vram_bytes: before.vram_bytes.saturating_sub(after.vram_bytes),
        };
        Ok(instance)
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
        let mut dirs = Vec::new();
        for binding in entry.cell.models().values() {
            let name = binding.wire_ref();
            let fetched = model_fetch::fetch(&*self.models, binding, snapshots.get(&name), &NoProgress).await;
            dirs.push(fetched.map_err(|error| WorkerError::model_unavailable(&name, error))?);
        }
        dirs.dedup();
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
            if other.cell.shutdown_if_idle().await {
                info!(models = ?other.cell.models().values().map(|binding| binding.wire_ref()).collect::<Vec<_>>(), "unloaded to make room");
                (self.evicted)(other.cell.clone());
            }
        }
        Ok(())
    }
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
