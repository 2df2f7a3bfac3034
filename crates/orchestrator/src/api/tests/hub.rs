//! What goes through a hub: outputs that are files (P-9), tokens of jobs (Hub contract, section 9), and routes beside ours.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, http::StatusCode, routing::get};
use futures::{FutureExt as _, future, future::BoxFuture};
use gen_worker_proto::Pair;
use serde_json::json;

use super::harness::{Service, dev};
use crate::{
    api,
    hub::{Hub, HubUnavailable, JobGrant, Lookup, NotItsToken, Renewed},
    session::{Identity, OpenGate, TokenRefused, WorkerVerifier},
};

/// Says what it is told to: it has no file the first `missing` times, and cannot say at all when `away`.
#[derive(Debug, Default)]
struct Said {
    missing: usize,
    asked: AtomicUsize,
    away: bool,
}

impl Hub for Said {
    fn token(&self, job: &JobGrant<'_>) -> String {
        format!("{}/{}", job.pair.request_id, job.pair.attempt.0)
    }

    fn renew(&self, pair: &Pair, token: &str) -> Result<Renewed, NotItsToken> {
        let own = format!("{}/{}", pair.request_id, pair.attempt.0);
        if token != own {
            return Err(NotItsToken);
        }
        Ok(Renewed { token: format!("{own}/again"), expires_at_unix: 7 })
    }

    fn resolve(&self, _tenant: &str, _reference: &str) -> BoxFuture<'static, Result<Lookup, HubUnavailable>> {
        future::ready(Ok(Lookup::Absent)).boxed()
    }

    fn output(&self, tenant: &str, reference: &str) -> BoxFuture<'static, Result<Option<String>, HubUnavailable>> {
        let is_there = self.asked.fetch_add(1, Ordering::SeqCst) >= self.missing;
        let url = is_there.then(|| format!("http://hub.test/{tenant}/{reference}?signed"));
        future::ready(if self.away { Err(HubUnavailable) } else { Ok(url) }).boxed()
    }

    fn is_present(&self) -> bool {
        true
    }
}

/// Bearers are ids of workers.
#[derive(Debug)]
struct ByName;

impl WorkerVerifier for ByName {
    fn verify(&self, bearer: Option<&str>) -> Result<Identity, TokenRefused> {
        let worker_id = Some(bearer.ok_or(TokenRefused)?.to_owned());
        Ok(Identity { worker_id, release_id: None })
    }
}

async fn service(hub: Said, workers: Arc<dyn WorkerVerifier>) -> Service {
    let service = Service::with_hub(Arc::new(hub), api::Options { workers, ..dev() }).await;
    service.worker("w1", &["stored", "hold"]).await;
    service
}

#[tokio::test]
async fn p9_an_output_that_is_a_file_is_behind_its_address() {
    let service = service(Said::default(), Arc::new(OpenGate)).await;
    let object = service.post("/v1/run/stored", "{}").await.json();
    let id = object["id"].as_str().unwrap();
    assert_eq!((&object["state"], &object["output"]), (&json!("succeeded"), &json!(null)));
    let reply = service.get(object["output_url"].as_str().unwrap()).await;
    let location = format!("http://hub.test/dev/results/{id}.msgpack?signed");
    assert_eq!((reply.status, reply.header("location")), (StatusCode::SEE_OTHER, location.as_str()));
    let alone = service.post_with("/v1/run/stored", &[("prefer", "return=minimal")], "{}").await;
    assert_eq!(alone.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn h9_10_an_output_that_is_not_there_is_no_result() {
    let service = service(Said { missing: 1, ..Said::default() }, Arc::new(OpenGate)).await;
    let object = service.post("/v1/run/stored", "{}").await.json();
    assert_eq!((&object["state"], &object["attempt"]), (&json!("succeeded"), &json!(2)), "{object}");
    let never = self::service(Said { missing: usize::MAX, ..Said::default() }, Arc::new(OpenGate)).await;
    let reply = never.post("/v1/run/stored", "{}").await;
    assert_eq!(reply.error(), (503, "retries_exhausted".to_owned()));
    assert_eq!(reply.message(), "output was not stored");
}

#[tokio::test]
async fn h9_10_a_hub_that_cannot_say_costs_no_attempt() {
    let service = service(Said { away: true, ..Said::default() }, Arc::new(OpenGate)).await;
    let object = service.post("/v1/run/stored", "{}").await.json();
    assert_eq!((&object["state"], &object["attempt"]), (&json!("succeeded"), &json!(1)));
    let reply = service.get(object["output_url"].as_str().unwrap()).await;
    assert_eq!(reply.error(), (503, "unavailable".to_owned()));
}

#[tokio::test]
async fn h9_3_h9_6_a_token_is_renewed_for_the_job_that_runs() {
    let service = service(Said::default(), Arc::new(ByName)).await;
    let id = service.submit("hold").await;
    service.reaches(&id, "running").await;
    let renew = async |bearer: Option<&str>, id: &str, attempt: i64, token: &str| {
        let body = json!({"request_id": id, "attempt": attempt, "capability_token": token}).to_string();
        let bearer = bearer.map(|bearer| format!("Bearer {bearer}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        service.post_with("/v1/worker/capability/renew", &headers, body).await
    };
    let token = format!("{id}/1");
    let good = renew(Some("w1"), &id, 1, &token).await;
    assert_eq!(good.json(), json!({"capability_token": format!("{id}/1/again"), "expires_at_unix": 7}));
    let refused = async |bearer, id: &str, attempt, token: &str| renew(bearer, id, attempt, token).await.error();
    assert_eq!(refused(None, &id, 1, &token).await, (401, "unauthenticated".to_owned()));
    assert_eq!(refused(Some("w1"), &id, 1, "of another").await, (401, "unauthenticated".to_owned()));
    assert_eq!(refused(Some("w2"), &id, 1, &token).await, (403, "forbidden".to_owned()));
    assert_eq!(refused(Some("w1"), "nobody", 1, &token).await, (404, "not_found".to_owned()));
    assert_eq!(refused(Some("w1"), &id, 2, &token).await, (409, "attempt_mismatch".to_owned()));
    let bad = service.post_with("/v1/worker/capability/renew", &[("authorization", "Bearer w1")], "{}").await;
    assert_eq!(bad.error(), (400, "invalid".to_owned()));
    assert_eq!(service.post(&format!("/v1/requests/{id}/cancel"), "").await.status, StatusCode::ACCEPTED);
    service.get(&format!("/v1/requests/{id}?wait_ms=60000")).await;
    assert_eq!(refused(Some("w1"), &id, 1, &token).await, (409, "not_running".to_owned()));
}

#[tokio::test]
async fn what_is_beside_answers_below_its_paths_and_nowhere_else() {
    let beside = Router::new().route("/api/v1/{one}/{two}", get(async || "beside"));
    let service = Service::with(api::Options { beside: Some(beside), ..dev() }).await;
    assert_eq!(service.get("/api/v1/a/b").await.text(), "beside");
    assert_eq!(service.get("/api/v1/a").await.status, StatusCode::NOT_FOUND);
    assert_eq!(service.get("/other/v1/a/b").await.error(), (404, "not_found".to_owned()));
    assert_eq!(Service::start().await.get("/api/v1/a/b").await.error(), (404, "not_found".to_owned()));
}
