//! The entries of a cache in their order of use. Sizes are those of the entries: there is no sum beside them that could
//! be wrong.

use std::{fmt, path::PathBuf};

use super::CachedModel;

/// The entries, the one used longest ago first.
#[derive(Debug)]
pub(super) struct Table {
    vram_bytes_max: u64,
    entries: Vec<Entry>,
}

/// One model.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) place: Place,
    /// Its files, if they are on disk.
    pub(super) dir: Option<PathBuf>,
    pub(super) pinned: bool,
    pub(super) users: usize,
}

/// Where a model is.
pub(super) enum Place {
    Vram { model: CachedModel, bytes: u64 },
    Disk,
    Downloading { progress: f64 },
}

impl Table {
    pub(super) fn new(vram_bytes_max: u64) -> Self {
        Self { vram_bytes_max, entries: Vec::new() }
    }

    pub(super) fn vram_bytes_max(&self) -> u64 {
        self.vram_bytes_max
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// The entry, now the one used last; a new one is on disk until somebody says otherwise.
    pub(super) fn touch(&mut self, id: &str) -> &mut Entry {
        let at = self.entries.iter().position(|entry| entry.id == id);
        let new = || Entry { id: id.to_owned(), place: Place::Disk, dir: None, pinned: false, users: 0 };
        let entry = at.map_or_else(new, |at| self.entries.remove(at));
        self.entries.push(entry);
        self.entries.last_mut().expect("one was just added")
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.entries.iter().fold(0, |sum, entry| sum.saturating_add(entry.vram_bytes()))
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.vram_bytes_max.saturating_sub(self.used_bytes())
    }

    pub(super) fn evictable_bytes(&self) -> u64 {
        self.entries.iter().filter(|entry| entry.is_evictable()).map(Entry::vram_bytes).sum()
    }

    /// Has models leave the accelerator until so much is free, as far as they may.
    pub(super) fn make_room(&mut self, bytes: u64) {
        self.evict_until(|table| table.free_bytes() >= bytes);
    }

    /// Has models leave the accelerator until `enough`, the one used longest ago first. Gives those that left.
    pub(super) fn evict_until(&mut self, enough: impl Fn(&Self) -> bool) -> Vec<String> {
        let mut left = Vec::new();
        while !enough(self) {
            let Some(id) = self.entries.iter().find(|entry| entry.is_evictable()).map(|entry| entry.id.clone()) else {
                break;
            };
            self.leave_vram(&id);
            left.push(id);
        }
        left
    }

    /// A loaded model is what it was before: on disk where it has files, else unknown. Users and pins of one that is
    /// loaded again right away are kept.
    pub(super) fn leave_vram(&mut self, id: &str) {
        let Some(entry) = self.get_mut(id).filter(|entry| entry.is_in_vram()) else { return };
        entry.place = Place::Disk;
        if entry.dir.is_none() && entry.is_idle() {
            self.entries.retain(|entry| entry.id != id);
        }
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        if self.get(id).is_some_and(|entry| entry.users > 0) {
            return false;
        }
        self.entries.retain(|entry| entry.id != id);
        true
    }
}

impl Entry {
    pub(super) fn is_in_vram(&self) -> bool {
        matches!(self.place, Place::Vram { .. })
    }

    fn vram_bytes(&self) -> u64 {
        match self.place {
            Place::Vram { bytes, .. } => bytes,
            _ => 0,
        }
    }

    fn is_idle(&self) -> bool {
        !self.pinned && self.users == 0
    }

    fn is_evictable(&self) -> bool {
        self.is_in_vram() && self.is_idle()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vram { bytes, .. } => f.debug_struct("Vram").field("bytes", bytes).finish_non_exhaustive(),
            Self::Disk => f.write_str("Disk"),
            Self::Downloading { progress } => f.debug_struct("Downloading").field("progress", progress).finish(),
        }
    }
}
