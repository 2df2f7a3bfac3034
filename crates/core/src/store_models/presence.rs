//! Which models are on disk, as the store tells it, and who hears when one leaves. Owns the list.

use std::collections::BTreeSet;

use gen_worker_store::StoreObserver;
use parking_lot::Mutex;

use crate::model_source::TellEvicted;

#[derive(Default)]
pub(super) struct Presence {
    refs: Mutex<BTreeSet<String>>,
    evicted: Mutex<Option<TellEvicted>>,
}

impl Presence {
    pub(super) fn refs(&self) -> Vec<String> {
        self.refs.lock().iter().cloned().collect()
    }

    /// From here on `tell` hears what leaves.
    pub(super) fn tell(&self, tell: TellEvicted) {
        *self.evicted.lock() = Some(tell);
    }
}

impl StoreObserver for Presence {
    fn on_disk(&self, reference: &str) {
        self.refs.lock().insert(reference.to_owned());
    }

    fn evicted(&self, reference: &str) {
        self.refs.lock().remove(reference);
        let tell = self.evicted.lock().clone();
        if let Some(tell) = tell {
            tell(reference);
        }
    }
}
