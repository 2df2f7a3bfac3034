//! Making space: acts on [`crate::evict`]'s plan. Runs alone: whoever calls holds the lock `gc`. Blocks.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use tracing::warn;

use crate::{
    assemble, builds,
    evict::{Candidate, plan},
    layout::Layout,
    leaving::{self, Leaving},
    lock::{Hold, StoreLock},
    ref_index::{RefIndex, now_s},
    sweep,
};

/// Makes space in one store.
pub(crate) struct Collector<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) index: &'a RefIndex,
    /// The ref that space is made for.
    pub(crate) reference: Option<&'a str>,
    /// Refs that leave last.
    pub(crate) keep: &'a BTreeSet<String>,
    /// Bytes that fit.
    pub(crate) available: &'a dyn Fn() -> io::Result<u64>,
    /// Hears which trees leave.
    pub(crate) removed: &'a dyn Fn(&Path),
    /// Hears which refs leave.
    pub(crate) evicted: &'a dyn Fn(&str),
}

impl Collector<'_> {
    /// Removes what nobody needs, and evicts models until `target_bytes` fit. Gives the refs that left.
    pub(crate) fn collect(&self, target_bytes: u64) -> io::Result<Vec<String>> {
        leaving::clear(self.layout)?;
        assemble::clear_unfinished(self.layout)?;
        let needed = builds::needed(self.layout)?;
        self.remove_unnamed()?;
        sweep::sweep(self.layout, &needed)?;
        let missing = target_bytes.saturating_sub((self.available)()?);
        let mut left = Vec::new();
        if missing == 0 {
            return Ok(left);
        }
        let candidates = self.candidates()?;
        for candidate in plan(&candidates, self.keep, now_s(), missing) {
            if (self.available)()? >= target_bytes {
                break;
            }
            match self.evict(candidate) {
                Ok(true) => left.push(candidate.reference.clone()),
                Ok(false) => {}
                // One model that cannot be removed does not keep the others.
                Err(error) => warn!(reference = %candidate.reference, %error, "a model cannot be evicted"),
            }
            sweep::sweep_blobs(self.layout, &needed)?;
        }
        Ok(left)
    }

    /// All models that the index knows and the store may delete.
    fn candidates(&self) -> io::Result<Vec<Candidate>> {
        let mut candidates = Vec::new();
        for (reference, model) in self.index.read()? {
            let Some(unit) = self.layout.eviction_unit(&model.path) else { continue };
            let held = model.pinned || self.reference == Some(reference.as_str()) || self.in_use(&unit)?;
            candidates.push(Candidate { reference, unit, bytes: model.bytes, last_used_s: model.last_used, held });
        }
        Ok(candidates)
    }

    /// Whether any process uses or builds what is at `unit`. Nobody can begin to: that takes the lock `gc`.
    fn in_use(&self, unit: &Path) -> io::Result<bool> {
        let build = self.layout.snapshot_at(unit).map(|id| self.layout.snapshot_lock(&id));
        for lock in build.into_iter().chain([self.layout.use_lock(unit)]) {
            if StoreLock::try_take(&lock, Hold::Alone)?.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Evicts one ref, and with the last ref of a unit the unit. False when that is not to be any more: the index is looked at
    /// again, because refs can be pinned meanwhile.
    fn evict(&self, candidate: &Candidate) -> io::Result<bool> {
        let leaving = self.index.change(true, |models| {
            let is_here = |path: &Path| self.layout.eviction_unit(path).as_ref() == Some(&candidate.unit);
            let held = models.values().any(|model| model.pinned && is_here(&model.path));
            if held || !models.get(&candidate.reference).is_some_and(|model| is_here(&model.path)) {
                return Ok(None);
            }
            let others = models.iter().filter(|(reference, _)| **reference != candidate.reference);
            let last = !others.into_iter().any(|(_, model)| is_here(&model.path));
            let leaving = if last { Some(Leaving::begin(self.layout, &candidate.unit)?) } else { None };
            models.remove(&candidate.reference);
            Ok::<_, io::Error>(Some(leaving))
        })??;
        let Some(leaving) = leaving else { return Ok(false) };
        (self.evicted)(&candidate.reference);
        if let Some(leaving) = leaving {
            (self.removed)(&candidate.unit);
            if let Err(error) = leaving.end() {
                warn!(reference = %candidate.reference, %error, "an evicted model cannot be removed yet");
            }
        }
        Ok(true)
    }

    /// Removes trees that no ref names: the last one went on to another, or was never noted.
    fn remove_unnamed(&self) -> io::Result<()> {
        let units = self.index.read()?.into_values().filter_map(|model| self.layout.eviction_unit(&model.path));
        let named: HashSet<PathBuf> = units.collect();
        for entry in fs::read_dir(self.layout.snapshots())? {
            let entry = entry?;
            let path = entry.path();
            let is_tree = entry.file_type()?.is_dir() && self.layout.snapshot_at(&path).is_some();
            if is_tree && !named.contains(&path) && !self.in_use(&path)? {
                (self.removed)(&path);
                if let Err(error) = Leaving::begin(self.layout, &path).and_then(Leaving::end) {
                    warn!(path = %path.display(), %error, "a tree that no model has cannot be removed");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
