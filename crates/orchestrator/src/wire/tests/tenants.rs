//! As whom models are looked up: what a request names as its tenant, what an endpoint declares as its owner.

use std::time::Duration;

use gen_worker_proto::pb::{self, JobStatus};

use super::{
    harness::{Pool, hello, holding, request_with},
    shelf::{Shelf, described},
};
use crate::request::{self, ModelChoice, NewRequest, RequestError};

fn of(tenant: &str, id: &str, function: &str, models: &[(&str, &str)]) -> NewRequest {
    let choice = |(slot, reference): &(&str, &str)| ModelChoice {
        slot: (*slot).to_owned(),
        r#ref: (*reference).to_owned(),
        loras: Vec::new(),
    };
    let options = request::Options { models: models.iter().map(choice).collect(), ..request::Options::default() };
    NewRequest { tenant: tenant.to_owned(), ..request_with(id, function, options) }
}

async fn error(pool: &Pool, id: &str) -> RequestError {
    pool.ended(id).await.ending.clone().and_then(|ending| ending.error).expect("it failed")
}

fn digests(run: &pb::RunJob) -> Vec<(&str, &str)> {
    run.snapshots.iter().map(|(reference, snapshot)| (reference.as_str(), snapshot.digest.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn h3_5_a_private_model_of_one_tenant_is_not_served_to_another_even_where_a_worker_has_it() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.push_private("alice/secret", "d1");
    let mut worker = pool.worker(holding("w", &["echo"], &["alice/secret"])).await;
    pool.submit(of("alice", "hers", "echo", &[("base", "alice/secret")])).await;
    assert_eq!(digests(&worker.expect_run("hers", 1).await), [("alice/secret", "d1")]);
    pool.submit(of("bob", "his", "echo", &[("base", "alice/secret")])).await;
    let refused = error(&pool, "his").await;
    assert_eq!((refused.code.as_str(), refused.attempts.len()), ("invalid", 1));
    assert_eq!(refused.message, "slot `base`: the hub has no model alice/secret for this tenant");
    // Neither sent, nor known to the worker.
    while let Ok(Ok(Some(message))) = tokio::time::timeout(Duration::from_secs(4), worker.inbound.message()).await {
        assert!(!matches!(message.msg, Some(super::harness::down::Msg::RunJob(_))), "{message:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_uses_the_private_models_of_its_owner_for_everybody() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.push_private("alice/secret:prod", "d1");
    pool.handle.describe(vec![described("paint", "inference", "alice", &["alice/secret"])]).await.expect("open");
    let mut worker = pool.worker(hello("w", &["paint"])).await;
    assert!(matches!(worker.next().await, super::harness::down::Msg::ModelOp(_)));
    pool.submit(of("bob", "his", "paint", &[])).await;
    assert_eq!(digests(&worker.expect_run("his", 1).await), [("alice/secret", "d1")]);
    // To name what is declared anyway changes nothing; to name another version of it does.
    pool.submit(of("bob", "same", "paint", &[("secret", "alice/secret")])).await;
    worker.expect_run("same", 1).await;
    shelf.push_private("alice/secret:v0", "d0");
    pool.submit(of("bob", "other", "paint", &[("secret", "alice/secret:v0")])).await;
    assert_eq!(error(&pool, "other").await.code, "invalid");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_cannot_declare_what_its_owner_may_not_read() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.push_private("alice/secret:prod", "d1");
    pool.handle.describe(vec![described("paint", "inference", "mallory", &["alice/secret"])]).await.expect("open");
    let mut worker = pool.worker(hello("w", &["paint"])).await;
    pool.submit(of("alice", "r", "paint", &[])).await;
    let refused = error(&pool, "r").await;
    assert_eq!(refused.code, "no_worker");
    assert_eq!(refused.message, "the hub does not have model alice/secret, which this function declares");
    while let Ok(Ok(Some(message))) = tokio::time::timeout(Duration::from_secs(4), worker.inbound.message()).await {
        assert!(matches!(message.msg, Some(super::harness::down::Msg::CancelJob(_))), "{message:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn m3_2_a_model_that_the_hub_lacks_is_the_clients_mistake_where_the_slot_takes_models_of_the_hub() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.push("acme/paint:prod", "d1");
    pool.handle.describe(vec![described("paint", "inference", "dev", &["acme/paint"])]).await.expect("open");
    let _worker = pool.worker(holding("w", &["paint"], &["acme/paint"])).await;
    pool.submit(of("dev", "r", "paint", &[("paint", "acme/typo")])).await;
    let refused = error(&pool, "r").await;
    assert_eq!(refused.code, "invalid");
    assert_eq!(refused.message, "slot `paint`: the hub has no model acme/typo for this tenant");
}

#[tokio::test(start_paused = true)]
async fn m3_10_w9_8_a_source_is_looked_up_as_the_tenant_of_the_request() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.push_private("alice/base:v1", "d1");
    let kinds = [("convert", "conversion"), ("echo", "inference")];
    let manifests = kinds.iter().map(|(function, kind)| described(function, kind, "dev", &[]));
    pool.handle.describe(manifests.collect()).await.expect("open");
    let mut worker = pool.worker(hello("w", &["convert", "echo"])).await;
    let with_source = |tenant: &str, id: &str, function: &str| {
        let payload = rmp_serde::to_vec_named(&serde_json::json!({"source": {"ref": "alice/base:v1"}})).expect("packs");
        NewRequest { payload: payload.into(), ..of(tenant, id, function, &[]) }
    };
    pool.submit(with_source("alice", "hers", "convert")).await;
    assert_eq!(digests(&worker.expect_run("hers", 1).await), [("alice/base:v1", "d1")]);
    pool.submit(with_source("bob", "inference", "echo")).await;
    assert!(worker.expect_run("inference", 1).await.snapshots.is_empty(), "ignored for inference");
    pool.submit(with_source("bob", "his", "convert")).await;
    let refused = error(&pool, "his").await;
    assert_eq!(refused.code, "invalid");
    assert_eq!(refused.message, "payload.source: the hub has no model alice/base:v1 for this tenant");
}

#[tokio::test(start_paused = true)]
async fn m3_10_w9_8_the_files_of_a_source_come_with_every_job_whatever_the_worker_has() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.push_private("alice/base:v1", "d1");
    pool.handle.describe(vec![described("convert", "conversion", "dev", &[])]).await.expect("open");
    let mut worker = pool.worker(holding("w", &["convert"], &["alice/base:v1"])).await;
    for id in ["first", "second"] {
        let payload = rmp_serde::to_vec_named(&serde_json::json!({"source": {"ref": "alice/base:v1"}})).expect("packs");
        pool.submit(NewRequest { payload: payload.into(), ..of("alice", id, "convert", &[]) }).await;
        assert_eq!(digests(&worker.expect_run(id, 1).await), [("alice/base:v1", "d1")], "{id}");
        // What it was given is what it has from now on.
        worker.finish(id, 1, JobStatus::Ok, "").await;
        pool.ended(id).await;
    }
}

#[tokio::test(start_paused = true)]
async fn w10_a_peer_that_lacks_the_files_after_all_gets_them_once_more() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.push("acme/paint:prod", "d1");
    pool.handle.describe(vec![described("paint", "inference", "dev", &["acme/paint"])]).await.expect("open");
    let mut worker = pool.worker(holding("w", &["paint"], &["acme/paint"])).await;
    pool.submit(of("dev", "first", "paint", &[])).await;
    assert_eq!(digests(&worker.expect_run("first", 1).await), [("acme/paint", "d1")], "of what version is not known");
    worker.finish("first", 1, JobStatus::Ok, "").await;
    pool.ended("first").await;
    pool.submit(of("dev", "r", "paint", &[])).await;
    assert!(digests(&worker.expect_run("r", 1).await).is_empty());
    let missing = "MissingSnapshotError: no snapshot for acme/paint";
    worker.finish("r", 1, JobStatus::Fatal, missing).await;
    assert_eq!(digests(&worker.expect_run("r", 2).await), [("acme/paint", "d1")]);
    worker.finish("r", 2, JobStatus::Fatal, missing).await;
    assert_eq!(error(&pool, "r").await.code, "failed", "with its files it is what it says");
}
