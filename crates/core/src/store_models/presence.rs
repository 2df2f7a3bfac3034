//! Which models are on disk, as the store tells it by its keys, and who hears by wire refs when one leaves. Owns the list.

use std::collections::{BTreeMap, BTreeSet};

use gen_worker_store::StoreObserver;
use parking_lot::Mutex;

use super::name::{Name, keys_of, wire_of};
use crate::model_source::TellEvicted;

/// Wire refs that are known beside those of models that are there, at most.
const WIRES_MAX: usize = 1_024;

#[derive(Default)]
pub(super) struct Presence {
    models: Mutex<Models>,
    evicted: Mutex<Option<TellEvicted>>,
}

#[derive(Default)]
struct Models {
    /// Keys of those that are there.
    present: BTreeSet<String>,
    /// Wire refs of keys that do not tell them.
    wires: BTreeMap<String, String>,
}

impl Models {
    fn wire<'a>(&'a self, key: &'a str) -> &'a str {
        self.wires.get(key).map_or_else(|| wire_of(key), String::as_str)
    }

    fn refs(&self) -> BTreeSet<&str> {
        self.present.iter().map(|key| self.wire(key)).collect()
    }
}

impl Presence {
    /// Wire refs of what is there.
    pub(super) fn refs(&self) -> Vec<String> {
        self.models.lock().refs().into_iter().map(str::to_owned).collect()
    }

    /// How a model is called, where its key does not tell.
    pub(super) fn learn(&self, name: &Name) {
        if wire_of(&name.key) == name.wire {
            return;
        }
        let Models { present, wires } = &mut *self.models.lock();
        if wires.len() >= WIRES_MAX {
            // Those of others are learned again before they come.
            wires.retain(|key, _| present.contains(key));
        }
        wires.entry(name.key.clone()).or_insert_with(|| name.wire.clone());
    }

    /// The keys of models that are called `wire`.
    pub(super) fn keys(&self, wire: &str) -> Vec<String> {
        let models = self.models.lock();
        let learned = models.wires.iter().filter(|(_, other)| *other == wire).map(|(key, _)| key.clone());
        keys_of(wire).chain(learned).collect()
    }

    /// From here on `tell` hears what leaves.
    pub(super) fn tell(&self, tell: TellEvicted) {
        *self.evicted.lock() = Some(tell);
    }
}

impl StoreObserver for Presence {
    fn on_disk(&self, key: &str) {
        self.models.lock().present.insert(key.to_owned());
    }

    fn evicted(&self, key: &str) {
        let wire = {
            let mut models = self.models.lock();
            models.present.remove(key);
            let wire = models.wire(key).to_owned();
            // Another model of that ref is still there.
            if models.refs().contains(wire.as_str()) {
                return;
            }
            wire
        };
        let tell = self.evicted.lock().clone();
        if let Some(tell) = tell {
            tell(&wire);
        }
    }
}
