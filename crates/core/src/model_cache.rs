//! Models that a program loads and keeps by itself, under names of its own: the interface of early versions, with one
//! order of use over everything that is held. Owns the table; never touches files, and measures nothing.

mod budget;
mod stats;
mod table;

use std::{
    any::Any,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

pub use budget::VramBudget;
pub use stats::CacheStats;
use table::{Entry, Place, Table};

/// What a name stands for once it is loaded.
pub type CachedModel = Arc<dyn Any + Send + Sync>;

/// The models of one program. Cheap to share: all methods take `&self` and never wait for anything.
#[derive(Debug)]
pub struct ModelCache(Arc<Mutex<Table>>);

/// Models that are in use while this is alive: nothing evicts them.
#[derive(Debug)]
pub struct Executing {
    table: Arc<Mutex<Table>>,
    ids: Vec<String>,
}

impl ModelCache {
    /// A cache whose models may take so much accelerator memory.
    #[must_use]
    pub fn new(vram_bytes_max: u64) -> Self {
        Self(Arc::new(Mutex::new(Table::new(vram_bytes_max))))
    }

    /// `model` is loaded and takes `vram_bytes`. Others that were used longer ago leave the accelerator until it fits
    /// beside the rest, as far as they may: this never fails. An earlier object of this name is replaced.
    pub fn mark_loaded_to_vram(&self, id: &str, model: CachedModel, vram_bytes: u64) {
        let mut table = self.0.lock();
        // What it took before is not in its own way.
        table.leave_vram(id);
        table.make_room(vram_bytes);
        let entry = table.touch(id);
        entry.place = Place::Vram { model, bytes: vram_bytes };
    }

    /// The files of this model are in `dir`; what was loaded of it is let go.
    pub fn mark_cached_to_disk(&self, id: &str, dir: impl Into<PathBuf>) {
        let mut table = self.0.lock();
        let entry = table.touch(id);
        entry.dir = Some(dir.into());
        entry.place = Place::Disk;
    }

    /// The files of this model are on disk, where they were if that was said; what was loaded of it is let go.
    pub fn mark_on_disk(&self, id: &str) {
        self.0.lock().touch(id).place = Place::Disk;
    }

    /// The files of this model are on their way: so much of them is there, from 0 to 1. What was loaded of it is let go.
    pub fn mark_downloading(&self, id: &str, progress: f64) {
        let progress = if progress.is_nan() { 0.0 } else { progress.clamp(0.0, 1.0) };
        self.0.lock().touch(id).place = Place::Downloading { progress };
    }

    /// How much of a download is there; none while there is none.
    #[must_use]
    pub fn download_progress(&self, id: &str) -> Option<f64> {
        match self.0.lock().get(id)?.place {
            Place::Downloading { progress } => Some(progress),
            _ => None,
        }
    }

    /// Whether it is loaded.
    #[must_use]
    pub fn is_in_vram(&self, id: &str) -> bool {
        self.0.lock().get(id).is_some_and(Entry::is_in_vram)
    }

    /// Whether it is on disk and not loaded.
    #[must_use]
    pub fn is_on_disk(&self, id: &str) -> bool {
        self.0.lock().get(id).is_some_and(|entry| matches!(entry.place, Place::Disk))
    }

    /// Whether anything is known of it.
    #[must_use]
    pub fn has_model(&self, id: &str) -> bool {
        self.0.lock().get(id).is_some()
    }

    /// The directory of its files, if they are on disk.
    #[must_use]
    pub fn model_dir(&self, id: &str) -> Option<PathBuf> {
        self.0.lock().get(id)?.dir.as_deref().map(Path::to_owned)
    }

    /// The loaded model, which counts as a use; none unless it is loaded.
    #[must_use]
    pub fn get_pipeline(&self, id: &str) -> Option<CachedModel> {
        let mut table = self.0.lock();
        table.get(id).filter(|entry| entry.is_in_vram())?;
        match &table.touch(id).place {
            Place::Vram { model, .. } => Some(model.clone()),
            _ => None,
        }
    }

    /// The model is used now, wherever it is. Nothing happens for one that is not known.
    pub fn mark_used(&self, id: &str) {
        let mut table = self.0.lock();
        if table.get(id).is_some() {
            table.touch(id);
        }
    }

    /// Whether all of these are there, none of them still downloading.
    #[must_use]
    pub fn are_models_available(&self, ids: &[&str]) -> bool {
        let table = self.0.lock();
        ids.iter().all(|id| table.get(id).is_some_and(|entry| !matches!(entry.place, Place::Downloading { .. })))
    }

    /// Those that are loaded or on disk, the one used longest ago first.
    #[must_use]
    pub fn available_models(&self) -> Vec<String> {
        let table = self.0.lock();
        let there = table.iter().filter(|entry| !matches!(entry.place, Place::Downloading { .. }));
        there.map(|entry| entry.id.clone()).collect()
    }

    /// Whether so much more could be loaded after everything that may go went.
    #[must_use]
    pub fn can_fit_in_vram(&self, vram_bytes: u64) -> bool {
        let table = self.0.lock();
        table.free_bytes().saturating_add(table.evictable_bytes()) >= vram_bytes
    }

    /// Has the models used longest ago leave the accelerator until at most `count` are loaded. Gives those that left.
    pub fn evict_lru_vram_until_count(&self, count: usize) -> Vec<String> {
        self.0.lock().evict_until(|table| table.iter().filter(|entry| entry.is_in_vram()).count() <= count)
    }

    /// Forgets a model altogether, unless it is in use: then this is `false`. Its files stay.
    pub fn unload_model(&self, id: &str) -> bool {
        self.0.lock().remove(id)
    }

    /// A pinned model is not evicted. Nothing happens for one that is not known.
    pub fn set_pinned(&self, id: &str, pinned: bool) {
        if let Some(entry) = self.0.lock().get_mut(id) {
            entry.pinned = pinned;
        }
    }

    /// These are in use from here on; names that are not known are left out.
    #[must_use]
    pub fn executing(&self, ids: &[&str]) -> Executing {
        let mut table = self.0.lock();
        let mut used = Vec::new();
        for id in ids {
            if table.get(id).is_some() {
                table.touch(id).users += 1;
                used.push((*id).to_owned());
            }
        }
        Executing { table: self.0.clone(), ids: used }
    }

    /// What a heartbeat tells of this cache.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        CacheStats::of(&self.0.lock())
    }
}

impl Drop for Executing {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        for id in &self.ids {
            if let Some(entry) = table.get_mut(id) {
                entry.users = entry.users.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
