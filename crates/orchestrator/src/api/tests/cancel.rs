//! Cancelling: section 5.

use axum::http::{Method, StatusCode};

use super::harness::{Service, request};

#[tokio::test]
async fn p14_a_queued_request_is_canceled_at_once() {
    let service = Service::start().await;
    let id = service.submit("embed").await;
    let reply = service.post(&format!("/v1/requests/{id}/cancel"), "").await;
    assert_eq!((reply.status, &reply.json()["state"]), (StatusCode::OK, &"canceled".into()));
    assert_eq!(reply.json()["error"]["code"], "canceled");
    let again = service.post(&format!("/v1/requests/{id}/cancel"), "").await;
    assert_eq!(again.error(), (409, "already_finished".to_owned()));
    assert_eq!(again.json()["error"]["details"]["request"]["id"], *id);
}

#[tokio::test]
async fn p14_a_running_request_is_canceled_by_its_worker() {
    let service = Service::with_worker().await;
    let id = service.submit("hold").await;
    service.reaches(&id, "running").await;
    let reply = service.post(&format!("/v1/requests/{id}/cancel"), "").await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let ended = service.get(&format!("/v1/requests/{id}?wait_ms=60000")).await.json();
    assert_eq!(ended["state"], "canceled");
}

#[tokio::test]
async fn p14_a_finished_request_is_a_conflict() {
    let service = Service::with_worker().await;
    let id = service.post("/v1/run/echo", "{}").await.json()["id"].as_str().unwrap().to_owned();
    let reply = service.post(&format!("/v1/requests/{id}/cancel"), "").await;
    assert_eq!(reply.error(), (409, "already_finished".to_owned()));
    assert_eq!(reply.json()["error"]["details"]["request"]["state"], "succeeded");
    assert_eq!(service.post("/v1/requests/nobody/cancel", "").await.error(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_caller_that_waits_for_a_canceled_request_gets_a_499() {
    let service = Service::with_worker().await;
    let router = service.router.clone();
    let waiting = service.scope.spawn_bare(async move {
        use tower::ServiceExt as _;
        let request = request(Method::POST, "/v1/run/hold", &[], "{}".into());
        let reply: axum::response::Response = router.oneshot(request).await.unwrap();
        reply.status()
    });
    let id = loop {
        let listed = service.get("/v1/requests?state=running").await.json();
        if let Some(id) = listed["items"][0]["id"].as_str() {
            break id.to_owned();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(service.post(&format!("/v1/requests/{id}/cancel"), "").await.status, StatusCode::ACCEPTED);
    assert_eq!(waiting.await.unwrap().as_u16(), 499);
}
