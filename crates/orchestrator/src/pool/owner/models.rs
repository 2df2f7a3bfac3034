//! Model refs of attempts on their way to a worker become snapshots (O24). The hub is a future that the loop polls.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::FutureExt as _;
use gen_worker_proto::pb;

use super::{Owner, store::Done};
use crate::{
    hub::{HubUnavailable, Resolved},
    pool::{
        clock::Tick,
        live::{Live, Sequence},
        snapshots::{Asked, ModelKey, Snapshots},
    },
    request::ModelChoice,
};

/// How long an answer is believed: a tag that moved is seen after it.
const FRESH: Duration = Duration::from_secs(30);

/// The same when the hub has no such thing or cannot say: whoever pushes a model does not wait long for it.
const FRESH_WITHOUT: Duration = Duration::from_secs(2);

/// How long the hub may take; the attempt then goes without, and its worker gives it back.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);

/// What workers say when the addresses of a model are over, or when they got none.
const EXPIRED: &str = "model download url expired";
const MISSING: &str = "MissingSnapshotError";

impl Owner {
    /// Whether the attempt has to wait for what its refs stand for. It is sent once the hub has answered.
    pub(super) fn awaits_models(&mut self, sequence: Sequence) -> bool {
        let Some(live) = self.table.get(sequence) else { return false };
        if live.request.submitted.options.models.is_empty() || !self.options.hub.is_present() {
            return false;
        }
        let attempt = live.life.attempt();
        for key in keys(live) {
            match self.snapshots.want(&key, sequence, attempt, self.now) {
                Asked::Known => continue,
                Asked::Wait => {}
                Asked::Ask => self.ask_hub(key),
            }
            return true;
        }
        false
    }

    fn ask_hub(&mut self, key: ModelKey) {
        let hub = Arc::clone(&self.options.hub);
        let ask = async move {
            let answer = tokio::time::timeout(RESOLVE_LIMIT, hub.resolve(&key.tenant, &key.reference)).await;
            Done::Resolved(key, answer.unwrap_or(Err(HubUnavailable)))
        };
        self.ops.push(ask.boxed());
    }

    /// The hub has answered: who waited goes on, if it is still wanted.
    pub(super) fn resolved(&mut self, key: ModelKey, answer: Result<Option<Resolved>, HubUnavailable>) {
        let answer = answer.unwrap_or_default();
        let fresh_until = self.now.after(if answer.is_some() { FRESH } else { FRESH_WITHOUT });
        for (sequence, attempt) in self.snapshots.answered(key, answer, fresh_until, self.now) {
            self.recorded(sequence, attempt);
        }
    }

    /// Asks anew for the models of an attempt whose worker could not fetch them.
    pub(super) fn distrust_models(&mut self, sequence: Sequence, message: &str) {
        if message != EXPIRED && !message.contains(MISSING) {
            return;
        }
        let Some(live) = self.table.get(sequence) else { return };
        for key in keys(live) {
            self.snapshots.forget(&key.reference);
        }
    }
}

/// What the hub said of the refs of an attempt; refs that it does not know are left out.
pub(super) fn snapshots(live: &Live, known: &Snapshots, now: Tick) -> BTreeMap<String, pb::Snapshot> {
    let found = |key: ModelKey| Some((key.reference.clone(), known.get(&key, now)?.clone()));
    keys(live).into_iter().filter_map(found).collect()
}

/// The refs of slots and adapters, as they stand in the request: workers compare them byte for byte.
fn keys(live: &Live) -> Vec<ModelKey> {
    let submitted = &live.request.submitted;
    let of_model = |model: &ModelChoice| {
        let adapters = model.loras.iter().map(|adapter| adapter.r#ref.clone());
        std::iter::once(model.r#ref.clone()).chain(adapters).collect::<Vec<_>>()
    };
    let references = submitted.options.models.iter().flat_map(of_model);
    references.map(|reference| ModelKey { tenant: submitted.tenant.clone(), reference }).collect()
}
