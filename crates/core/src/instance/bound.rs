//! What the slots of an endpoint are bound to: as declared, or in the flavor that the orchestrator wants. Owns both
//! what the instance was made from and what the next one is made from.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use gen_worker_proto::pb;
use parking_lot::Mutex;

use crate::binding::Binding;

/// The models of an instance, by slot.
pub(crate) type Models = Arc<BTreeMap<String, Binding>>;

/// The models of one endpoint.
pub(super) struct Bound {
    declared: Models,
    now: Mutex<Now>,
}

struct Now {
    /// Of the latest instance.
    latest: Models,
    /// Of the next one.
    next: Models,
}

impl Bound {
    pub(super) fn new(declared: BTreeMap<String, Binding>) -> Self {
        let declared = Arc::new(declared);
        let now = Now { latest: declared.clone(), next: declared.clone() };
        Self { declared, now: Mutex::new(now) }
    }

    /// What the endpoint names itself.
    pub(super) fn declared(&self) -> Models {
        self.declared.clone()
    }

    /// What the latest instance was made from.
    pub(super) fn latest(&self) -> Models {
        self.now.lock().latest.clone()
    }

    /// What the next instance is made from.
    pub(super) fn next(&self) -> Models {
        self.now.lock().next.clone()
    }

    /// An instance is being made from these.
    pub(super) fn made(&self, models: Models) {
        self.now.lock().latest = models;
    }

    /// From here on instances are made from what `resolve` gives for each declared binding, or from that itself.
    pub(super) fn resolve(&self, resolve: impl Fn(&Binding) -> Option<Binding>) {
        let resolved = |(slot, declared): (&String, &Binding)| {
            (slot.clone(), resolve(declared).unwrap_or_else(|| declared.clone()))
        };
        self.now.lock().next = Arc::new(self.declared.iter().map(resolved).collect());
    }
}

/// The files of these models, out of those that came with a job.
pub(super) fn pinned(models: &Models, snapshots: &HashMap<String, pb::Snapshot>) -> HashMap<String, pb::Snapshot> {
    let wanted = models.values().map(Binding::wire_ref);
    wanted.filter_map(|name| snapshots.get(&name).cloned().map(|snapshot| (name, snapshot))).collect()
}
