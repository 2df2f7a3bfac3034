//! A hub under the control of the test: what it has, of whom, and whether it answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt as _, future, future::BoxFuture};
use gen_worker_proto::{FunctionName, Pair, pb};
use parking_lot::Mutex;

use super::harness::Pool;
use crate::{
    hub::{Hub, HubUnavailable, JobGrant, Lookup, NoHub, NotItsToken, Renewed, Resolved},
    pool::{DeclaredModel, FunctionManifest, Options},
    queue::memory::MemoryQueue,
    session::OpenGate,
};

/// Has models of 1 KiB.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    state: Mutex<State>,
    tokens: NoHub,
}

#[derive(Debug, Default)]
struct State {
    /// Digest by ref.
    models: BTreeMap<String, String>,
    /// Refs that only their owner may see.
    private: Vec<String>,
    is_away: bool,
    asked: usize,
}

impl Shelf {
    pub(super) async fn pool() -> (Pool, Arc<Self>) {
        let shelf = Arc::new(Self::default());
        let options = Options { hub: Arc::<Self>::clone(&shelf), ..Options::default() };
        (Pool::start_with(options, Arc::new(MemoryQueue::default()), Arc::new(OpenGate)).await, shelf)
    }

    pub(super) fn push(&self, reference: &str, digest: &str) {
        self.state.lock().models.insert(reference.to_owned(), digest.to_owned());
    }

    /// A model that only the tenant before the slash may see.
    pub(super) fn push_private(&self, reference: &str, digest: &str) {
        self.push(reference, digest);
        self.state.lock().private.push(reference.to_owned());
    }

    pub(super) fn go_away(&self, is_away: bool) {
        self.state.lock().is_away = is_away;
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.state.lock().asked
    }
}

impl Hub for Shelf {
    fn token(&self, job: &JobGrant<'_>) -> String {
        self.tokens.token(job)
    }

    fn renew(&self, pair: &Pair, token: &str) -> Result<Renewed, NotItsToken> {
        self.tokens.renew(pair, token)
    }

    fn resolve(&self, tenant: &str, reference: &str) -> BoxFuture<'static, Result<Lookup, HubUnavailable>> {
        let mut state = self.state.lock();
        state.asked += 1;
        let is_hidden = state.private.iter().any(|private| private == reference)
            && reference.split('/').next().is_some_and(|owner| owner != tenant);
        let answer = match state.models.get(reference) {
            _ if state.is_away => Err(HubUnavailable),
            Some(_) if is_hidden => Ok(Lookup::Hidden),
            Some(digest) => {
                let file = pb::SnapshotFile { size_bytes: 1_024, ..Default::default() };
                let snapshot = pb::Snapshot { digest: digest.clone(), files: vec![file] };
                Ok(Lookup::Found(Resolved { snapshot, valid: Duration::from_secs(3_600) }))
            }
            None => Ok(Lookup::Absent),
        };
        future::ready(answer).boxed()
    }

    fn output(&self, tenant: &str, reference: &str) -> BoxFuture<'static, Result<Option<String>, HubUnavailable>> {
        self.tokens.output(tenant, reference)
    }

    fn is_present(&self) -> bool {
        true
    }
}

/// What the endpoint of `owner` says of a function with these models of the hub, whose wire refs leave the tag out.
pub(super) fn described(function: &str, kind: &str, owner: &str, models: &[&str]) -> FunctionManifest {
    let model = |reference: &&str| DeclaredModel {
        slot: reference.split('/').next_back().unwrap_or_default().to_owned(),
        r#ref: (*reference).to_owned(),
        hub_ref: Some(format!("{reference}:prod")),
    };
    FunctionManifest {
        name: FunctionName::parse(function).expect("valid name"),
        kind: kind.to_owned(),
        input_schema: serde_json::json!({}),
        output_schema: serde_json::json!({}),
        owner: owner.to_owned(),
        models: models.iter().map(model).collect(),
    }
}
