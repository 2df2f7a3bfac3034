//! Making space: who could leave, and acting on [`crate::evict`]'s plan. Runs alone: whoever calls holds the lock `gc`. Blocks.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use tracing::warn;

use crate::{
    assemble, builds,
    evict::{Candidate, plan},
    layout::Layout,
    leaving::{self, Leaving},
    lock::{Hold, StoreLock},
    ref_index::{Models, RefIndex, now_s, seconds_of},
    sweep,
    unfinished::{self, Unfinished},
};

/// A file that nobody has added to for so long is not waited for any more.
const PART_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

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
        let models = self.index.read()?;
        let (old, unfinished) = by_age(unfinished::idle(self.layout, &needed, &models));
        old.iter().for_each(|part| self.remove_part(&part.path));
        let missing = target_bytes.saturating_sub((self.available)()?);
        let mut left = Vec::new();
        if missing == 0 {
            return Ok(left);
        }
        let candidates = candidates(self.layout, &models, &unfinished, self.reference)?;
        for candidate in plan(&candidates, self.keep, now_s(), missing) {
            if (self.available)()? >= target_bytes {
                break;
            }
            // What cannot be removed does not keep the others.
            let Some(reference) = &candidate.reference else {
                self.remove_part(&candidate.unit);
                continue;
            };
            match self.evict(reference, &candidate.unit) {
                Ok(true) => left.push(reference.clone()),
                Ok(false) => {}
                Err(error) => warn!(reference, %error, "a model cannot be evicted"),
            }
            sweep::sweep_blobs(self.layout, &needed)?;
        }
        Ok(left)
    }

    fn remove_part(&self, path: &Path) {
        // Who used a directory may have noted it meanwhile.
        let noted = || Ok(path.is_dir() && unfinished::is_named(&self.named()?, path));
        let removed =
            noted().and_then(|noted: bool| if noted { Ok(false) } else { unfinished::remove(self.layout, path) });
        if let Err(error) = removed {
            warn!(path = %path.display(), %error, "a file that came in part cannot be removed");
        }
    }

    /// Evicts one ref, and with the last ref of a unit the unit. False when that is not to be any more: the index is looked at
    /// again, because refs can be pinned meanwhile.
    fn evict(&self, reference: &str, unit: &Path) -> io::Result<bool> {
        let leaving = self.index.change(true, |models| {
            let is_here = |path: &Path| self.layout.eviction_unit(path).as_deref() == Some(unit);
            let held = models.values().any(|model| model.pinned && is_here(&model.path));
            if held || !models.get(reference).is_some_and(|model| is_here(&model.path)) {
                return Ok(None);
            }
            let others = models.iter().filter(|(other, _)| *other != reference);
            let last = !others.into_iter().any(|(_, model)| is_here(&model.path));
            let leaving = if last { Some(Leaving::begin(self.layout, unit)?) } else { None };
            models.remove(reference);
            Ok::<_, io::Error>(Some(leaving))
        })??;
        let Some(leaving) = leaving else { return Ok(false) };
        (self.evicted)(reference);
        if let Some(leaving) = leaving {
            (self.removed)(unit);
            if let Err(error) = leaving.end() {
                warn!(reference, %error, "an evicted model cannot be removed yet");
            }
        }
        Ok(true)
    }

    /// What the refs name.
    fn named(&self) -> io::Result<HashSet<PathBuf>> {
        Ok(unfinished::units(self.layout, &self.index.read()?))
    }

    /// Removes trees that no ref names: the last one went on to another, or was never noted.
    fn remove_unnamed(&self) -> io::Result<()> {
        let named = self.named()?;
        for entry in fs::read_dir(self.layout.snapshots())? {
            let entry = entry?;
            let path = entry.path();
            let is_tree = entry.file_type()?.is_dir() && self.layout.snapshot_at(&path).is_some();
            // Looked at once more when nobody uses it: who did may have noted it meanwhile.
            if is_tree && !named.contains(&path) && !in_use(self.layout, &path)? && !self.named()?.contains(&path) {
                (self.removed)(&path);
                if let Err(error) = Leaving::begin(self.layout, &path).and_then(Leaving::end) {
                    warn!(path = %path.display(), %error, "a tree that no model has cannot be removed");
                }
            }
        }
        Ok(())
    }
}

/// Those of `unfinished` that nobody waits for any more, and the others.
pub(crate) fn by_age(unfinished: Vec<Unfinished>) -> (Vec<Unfinished>, Vec<Unfinished>) {
    let age = |part: &Unfinished| SystemTime::now().duration_since(part.modified);
    unfinished.into_iter().partition(|part| age(part).is_ok_and(|age| age > PART_AGE_MAX))
}

/// All that the store may delete: models that `models` has, but for the one of `reference`, and what is `unfinished`. Those that
/// cannot leave now are held.
pub(crate) fn candidates(
    layout: &Layout,
    models: &Models,
    unfinished: &[Unfinished],
    reference: Option<&str>,
) -> io::Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for (name, model) in models {
        let Some(unit) = layout.eviction_unit(&model.path) else { continue };
        let held = model.pinned || reference == Some(name) || in_use(layout, &unit)?;
        let (bytes, last_used_s) = (model.bytes, model.last_used);
        candidates.push(Candidate { reference: Some(name.clone()), unit, bytes, last_used_s, held });
    }
    candidates.extend(unfinished.iter().map(|part| {
        let (unit, bytes, last_used_s) = (part.path.clone(), part.bytes, seconds_of(part.modified));
        Candidate { reference: None, unit, bytes, last_used_s, held: false }
    }));
    Ok(candidates)
}

/// Whether any process uses or builds what is at `unit`. Who holds the lock `gc` alone knows that nobody begins to.
fn in_use(layout: &Layout, unit: &Path) -> io::Result<bool> {
    let build = layout.snapshot_at(unit).map(|id| layout.snapshot_lock(&id));
    for lock in build.into_iter().chain([layout.use_lock(unit)]) {
        if StoreLock::try_take(&lock, Hold::Alone)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
