//! Files that came in part and that nobody brings now, and directories of providers' models that no ref names any more: found, and
//! removed when the disk is short. What is kept of them only spares a transfer, so they leave like models do. Owns no state; blocks.
//!
//! Only what is below the root of the store: in a cache elsewhere other programs have theirs.

use std::{
    collections::HashSet,
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use gen_worker_hub::Blake3Hash;

use crate::{
    builds::Needed,
    durable,
    layout::{CIVITAI_DIR, Layout, MODEL_SCOPE_DIR, PART_SUFFIX},
    leaving::Leaving,
    lock::{Hold, StoreLock},
    providers::{HUB_CACHE_PART_SUFFIX, hub_cache_lock},
    ref_index::Models,
};

/// A file that came in part, or a directory that nobody names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// When something of it came last.
    pub(crate) modified: SystemTime,
}

/// Where models of providers have directories in the store, and how far below each: `civitai/<version>`,
/// `modelscope/<owner>/<repo>/<content>`.
const DIRECTORIES: [(&str, usize); 2] = [(CIVITAI_DIR, 1), (MODEL_SCOPE_DIR, 3)];

/// All of them, whoever is at them. What cannot be looked into is passed over: other programs may write below the root, too.
pub(crate) fn all(layout: &Layout, models: &Models) -> Vec<Unfinished> {
    let mut found = Vec::new();
    walk(layout.blobs(), PART_SUFFIX, &mut found);
    for (dir, _) in DIRECTORIES {
        walk(layout.root().join(dir), PART_SUFFIX, &mut found);
    }
    if let Some(hub) = layout.hub_cache_within() {
        for repo in entries(hub).map(|entry| entry.path()) {
            // The cache has data sets too, which are no models of the store.
            if layout.eviction_unit(&repo).is_some() {
                walk(repo.join("blobs"), HUB_CACHE_PART_SUFFIX, &mut found);
            }
        }
    }
    let unnamed = unnamed(layout, &units(layout, models));
    found.retain(|part| !unnamed.iter().any(|dir| part.path.starts_with(&dir.path)));
    found.extend(unnamed);
    found
}

/// Those of them that nobody brings, of any process. Files of whole models are none, whatever they are called. Who calls holds the
/// lock `gc` alone, so nobody begins to.
pub(crate) fn idle(layout: &Layout, needed: &Needed, models: &Models) -> Vec<Unfinished> {
    let units = units(layout, models);
    let is_idle = |unfinished: &Unfinished| {
        let path = &unfinished.path;
        let (is_needed, is_whole) = match blob_of(layout, path) {
            Some(hash) => (needed.has(&hash), false),
            None => (false, path.extension() == Some("part".as_ref()) && path.ancestors().any(|at| units.contains(at))),
        };
        // One that cannot be locked stays.
        !is_needed && !is_whole && locks(layout, path).is_ok_and(|locks| locks.is_some())
    };
    let mut idle = all(layout, models);
    idle.retain(is_idle);
    idle
}

/// What is deleted with each of `models`.
pub(crate) fn units(layout: &Layout, models: &Models) -> HashSet<PathBuf> {
    models.values().filter_map(|model| layout.eviction_unit(&model.path)).collect()
}

/// Removes one, unless somebody is at it. False when it stays.
pub(crate) fn remove(layout: &Layout, path: &Path) -> io::Result<bool> {
    let Some(_locks) = locks(layout, path)? else { return Ok(false) };
    match path.is_dir() {
        true => Leaving::begin(layout, path)?.end()?,
        false => durable::remove_file(path)?,
    }
    Ok(true)
}

/// Whether one of `units` is `dir`, or in it.
pub(crate) fn is_named(units: &HashSet<PathBuf>, dir: &Path) -> bool {
    units.iter().any(|unit| unit.starts_with(dir))
}

/// Directories of providers' models that are none of `units`: their refs went on to another version, or they never were whole.
fn unnamed(layout: &Layout, units: &HashSet<PathBuf>) -> Vec<Unfinished> {
    let mut found = Vec::new();
    for (top, depth) in DIRECTORIES {
        let mut dirs = vec![layout.root().join(top)];
        for _ in 0..depth {
            let below = dirs.iter().flat_map(|dir| entries(dir));
            dirs =
                below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|at| at.path()).collect();
        }
        for dir in dirs.into_iter().filter(|dir| !is_named(units, dir)) {
            let mut files = Vec::new();
            walk(dir.clone(), "", &mut files);
            let own = fs::metadata(&dir).and_then(|metadata| metadata.modified());
            let modified = files.iter().map(|file| file.modified).chain(own).max();
            let bytes = files.iter().map(|file| file.bytes).sum();
            found.extend(modified.map(|modified| Unfinished { path: dir, bytes, modified }));
        }
    }
    found
}

/// What ends with `suffix` in `dir` and below. Links are not followed.
fn walk(dir: PathBuf, suffix: &str, found: &mut Vec<Unfinished>) {
    let mut open = vec![dir];
    while let Some(dir) = open.pop() {
        for entry in entries(&dir) {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() && entry.file_name().to_str().is_some_and(|name| name.ends_with(suffix)) {
                let Ok(metadata) = entry.metadata() else { continue };
                let Ok(modified) = metadata.modified() else { continue };
                found.push(Unfinished { path: entry.path(), bytes: metadata.len(), modified });
            }
        }
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(dir).into_iter().flatten().flatten()
}

/// The locks of all who may be at the file; none when somebody is.
fn locks(layout: &Layout, path: &Path) -> io::Result<Option<Vec<StoreLock>>> {
    let mut taken = Vec::new();
    for lock in lock_paths(layout, path) {
        // Where the directory of a lock is not, nobody holds it.
        match durable::there(StoreLock::try_take(&lock, Hold::Alone))? {
            Some(Some(lock)) => taken.push(lock),
            Some(None) => return Ok(None),
            None => {}
        }
    }
    Ok(Some(taken))
}

fn lock_paths(layout: &Layout, path: &Path) -> Vec<PathBuf> {
    if let Some(hash) = blob_of(layout, path) {
        return vec![layout.blob_lock(hash)];
    }
    let mut parts = Vec::new();
    walk(path.to_owned(), PART_SUFFIX, &mut parts);
    let parts = parts.into_iter().map(|part| layout.file_lock(&part.path.with_extension("")));
    // Who brings a model of a provider uses its directory, which is one of these, for as long as that takes.
    let dirs = path.ancestors().take_while(|dir| *dir != layout.root());
    let place = path.with_extension("");
    let cached = layout.hub_cache_within().and_then(|hub| hub_cache_lock(hub, &place));
    dirs.map(|dir| layout.use_lock(dir))
        .chain(parts)
        .chain([cached.unwrap_or_else(|| layout.file_lock(&place))])
        .collect()
}

/// Which blob it is a part of.
fn blob_of(layout: &Layout, path: &Path) -> Option<Blake3Hash> {
    path.strip_prefix(layout.blobs()).ok()?;
    path.file_name()?.to_str()?.strip_suffix(PART_SUFFIX)?.parse().ok()
}

#[cfg(test)]
mod tests;
