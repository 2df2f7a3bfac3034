//! Which ref is where: `ref-index.json` (rules 8.1, 8.2). The file is the state; processes take turns at it.
//!
//! Written by this version and by peers: `{ref: {path, bytes, last_used}}`. Ours may say `pinned` besides, which peers skip. A pin
//! is somebody's word: it outlives a model that turned out to be damaged, as an entry that says `missing`.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{durable, layout::Layout, lock::StoreLock};

/// Largest file: 100,000 refs with long paths.
const INDEX_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A model on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredModel {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes; a file with several names counts once.
    #[serde(default)]
    pub bytes: u64,
    /// When it was used last, in seconds of the wall clock.
    #[serde(default)]
    pub last_used: f64,
    /// Whether somebody wants it to stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// It is pinned and not there: only the pin waits for it to come again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) missing: bool,
}

/// The file. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct RefIndex {
    path: PathBuf,
    lock: PathBuf,
}

/// All models by ref.
pub(crate) type Models = BTreeMap<String, StoredModel>;

impl StoredModel {
    /// Whether it is at `path`, as far as this says.
    fn is_at(&self, path: &Path) -> bool {
        !self.missing && self.path == path
    }
}

/// Takes those out of `models` of which `is_gone`; of pinned ones the pin stays. Gives what was there of them.
pub(crate) fn take_gone(models: &mut Models, is_gone: impl Fn(&Path) -> bool) -> Models {
    let mut gone = Models::new();
    models.retain(|reference, model| {
        if model.missing || !is_gone(&model.path) {
            return true;
        }
        gone.insert(reference.clone(), model.clone());
        model.missing = true;
        model.pinned
    });
    gone
}

impl RefIndex {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self { path: layout.index(), lock: layout.index_lock() }
    }

    /// What is there, and pins of what is missing. Blocks.
    pub(crate) fn read(&self) -> io::Result<Models> {
        let Some(bytes) = durable::read_bounded(&self.path, INDEX_BYTES_MAX).or_else(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Ok(None),
            _ => Err(error),
        })?
        else {
            return Ok(Models::new());
        };
        // What cannot be read is as good as nothing: the models come again.
        let entries: BTreeMap<String, Value> = serde_json::from_slice(&bytes).unwrap_or_default();
        let model = |(reference, entry)| Some((reference, serde_json::from_value(entry).ok()?));
        Ok(entries.into_iter().filter_map(model).collect())
    }

    /// Changes what is there. What `change` returns is given back. Durable on return when `sync` is set. Blocks.
    pub(crate) fn change<T>(&self, sync: bool, change: impl FnOnce(&mut Models) -> T) -> io::Result<T> {
        let _alone = StoreLock::take_briefly(&self.lock)?;
        let before = self.read()?;
        let mut models = before.clone();
        let result = change(&mut models);
        if models != before {
            durable::replace(&self.path, &serde_json::to_vec(&models)?, sync)?;
        }
        Ok(result)
    }

    /// Notes that `reference` is at `path` and in use now. True when that is news. Blocks.
    pub(crate) fn record(&self, reference: &str, path: &Path) -> io::Result<bool> {
        let known = self.read()?.get(reference).is_some_and(|model| model.is_at(path));
        let bytes = if known { 0 } else { durable::bytes_below(path)? };
        self.note(reference, path, bytes)
    }

    /// The same for a model whose bytes are known, since links lead to them. Blocks.
    pub(crate) fn note(&self, reference: &str, path: &Path, bytes: u64) -> io::Result<bool> {
        let known = self.read()?.get(reference).is_some_and(|model| model.is_at(path));
        self.change(!known, |models| match models.get_mut(reference) {
            Some(model) if model.is_at(path) => model.last_used = now_s(),
            other => {
                let pinned = other.is_some_and(|model| model.pinned);
                let model = StoredModel { path: path.to_owned(), bytes, last_used: now_s(), pinned, missing: false };
                models.insert(reference.to_owned(), model);
            }
        })?;
        Ok(!known)
    }

    /// Notes that the models at `path` are in use now, and that they have `bytes` when that is said. Blocks.
    pub(crate) fn touch(&self, path: &Path, bytes: Option<u64>) -> io::Result<()> {
        self.change(bytes.is_some(), |models| {
            for model in models.values_mut().filter(|model| model.path == path) {
                model.last_used = now_s();
                model.bytes = bytes.unwrap_or(model.bytes);
            }
        })
    }
}

/// Now, in seconds of the wall clock.
pub(crate) fn now_s() -> f64 {
    seconds_of(SystemTime::now())
}

/// A time as the index has it.
pub(crate) fn seconds_of(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
