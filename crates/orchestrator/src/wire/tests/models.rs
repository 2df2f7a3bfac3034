//! Snapshots of model refs on their way to workers (O24), as a hub gives them.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use gen_worker_proto::{
    Pair,
    pb::{self, JobStatus},
};
use tokio::sync::watch;

use super::harness::{Pool, hello, holding, request_with};
use crate::{
    hub::{Hub, HubUnavailable, JobGrant, Lookup, NoHub, NotItsToken, Renewed, Resolved},
    pool::Options,
    queue::memory::MemoryQueue,
    request::{self, LoraChoice, ModelChoice, NewRequest},
    session::OpenGate,
};

/// Knows `acme/…`, in the version that it is told; says nothing before it is told one.
#[derive(Debug)]
struct Models {
    version: watch::Receiver<u32>,
    tokens: NoHub,
}

impl Hub for Models {
    fn token(&self, job: &JobGrant<'_>) -> String {
        self.tokens.token(job)
    }

    fn renew(&self, pair: &Pair, token: &str) -> Result<Renewed, NotItsToken> {
        self.tokens.renew(pair, token)
    }

    fn resolve(&self, tenant: &str, reference: &str) -> BoxFuture<'static, Result<Lookup, HubUnavailable>> {
        let (mut version, known) = (self.version.clone(), reference.starts_with("acme/"));
        let name = format!("{tenant}:{reference}");
        async move {
            let version = *version.wait_for(|version| *version > 0).await.map_err(|_| HubUnavailable)?;
            let snapshot = pb::Snapshot { digest: format!("{name}@{version}"), files: Vec::new() };
            let found = Lookup::Found(Resolved { snapshot, valid: Duration::from_secs(3600) });
            Ok(if known { found } else { Lookup::Absent })
        }
        .boxed()
    }

    fn output(&self, tenant: &str, reference: &str) -> BoxFuture<'static, Result<Option<String>, HubUnavailable>> {
        self.tokens.output(tenant, reference)
    }

    fn is_present(&self) -> bool {
        true
    }
}

async fn pool(version: u32) -> (Pool, watch::Sender<u32>) {
    let (told, version) = watch::channel(version);
    let hub = Arc::new(Models { version, tokens: NoHub::default() });
    let options = Options { hub, ..Options::default() };
    (Pool::start_with(options, Arc::new(MemoryQueue::default()), Arc::new(OpenGate)).await, told)
}

fn with_model(id: &str, reference: &str, adapter: Option<&str>) -> NewRequest {
    let loras = adapter.map(|adapter| LoraChoice { r#ref: adapter.into(), weight: 1.0 });
    let model = ModelChoice { slot: "base".into(), r#ref: reference.into(), loras: loras.into_iter().collect() };
    request_with(id, "echo", request::Options { models: vec![model], ..request::Options::default() })
}

fn digests(run: &pb::RunJob) -> Vec<(&str, &str)> {
    run.snapshots.iter().map(|(reference, snapshot)| (reference.as_str(), snapshot.digest.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn o24_snapshots_of_models_and_adapters_go_with_the_job_under_their_refs() {
    let (pool, _told) = pool(1).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(with_model("r", "acme/paint:v1#bf16", Some("acme/style"))).await;
    let run = worker.expect_run("r", 1).await;
    let expected = [("acme/paint:v1#bf16", "dev:acme/paint:v1#bf16@1"), ("acme/style", "dev:acme/style@1")];
    assert_eq!(digests(&run), expected);
    pool.submit(with_model("s", "hf-owner/repo", None)).await;
    let run = worker.expect_run("s", 1).await;
    assert!(run.snapshots.is_empty(), "what the hub does not know is the worker's matter");
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_slow_holds_up_nobody_else_and_is_asked_until_it_answers() {
    let (pool, told) = pool(0).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(with_model("slow", "acme/paint", None)).await;
    pool.submit(request_with("quick", "echo", request::Options::default())).await;
    worker.expect_run("quick", 1).await;
    worker.finish("quick", 1, JobStatus::Ok, "").await;
    worker.silent_for(Duration::from_secs(3)).await;
    told.send(7).expect("the hub is there");
    assert_eq!(digests(&worker.expect_run("slow", 1).await), [("acme/paint", "dev:acme/paint@7")]);
}

#[tokio::test(start_paused = true)]
async fn what_a_silent_hub_may_keep_from_a_tenant_is_not_run_meanwhile() {
    let (pool, told) = pool(0).await;
    let mut worker = pool.worker(holding("w", &["echo"], &["acme/paint"])).await;
    pool.submit(with_model("r", "acme/paint", None)).await;
    // Its place is given back again and again; nothing of that counts as failed.
    worker.silent_for(Duration::from_secs(60)).await;
    told.send(1).expect("the hub is there");
    let super::harness::down::Msg::RunJob(run) = worker.next().await else { panic!("a job") };
    assert_eq!(digests(&run), [("acme/paint", "dev:acme/paint@1")]);
    assert_eq!(pool.get("r").await.attempts.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn o24_a_worker_whose_addresses_are_over_gets_new_ones() {
    let (pool, told) = pool(1).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(with_model("r", "acme/paint", None)).await;
    worker.expect_run("r", 1).await;
    told.send(2).expect("the hub is there");
    worker.accept("r", 1).await;
    worker.finish("r", 1, JobStatus::Retryable, "model download url expired").await;
    assert_eq!(digests(&worker.expect_run("r", 2).await), [("acme/paint", "dev:acme/paint@2")]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_canceled_while_its_models_are_looked_up_is_never_sent() {
    let (pool, told) = pool(0).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    let id = pool.submit(with_model("r", "acme/paint", None)).await.submitted.id.clone();
    pool.reaches("r", request::State::Assigned).await;
    pool.handle.cancel(&id).await.expect("pool is open");
    // At once: nobody waits for a hub that says nothing, nor for a worker that never had it.
    let ended = pool.ended("r").await;
    assert_eq!(ended.state, request::State::Canceled);
    assert!(ended.ending.as_ref().is_some_and(|ending| ending.timings.total_ms < 1_000.0), "{ended:?}");
    told.send(1).expect("the hub is there");
    if let Ok(Ok(Some(message))) = tokio::time::timeout(Duration::from_secs(10), worker.inbound.message()).await {
        assert!(!matches!(message.msg, Some(super::harness::down::Msg::RunJob(_))), "{message:?}");
    }
}
