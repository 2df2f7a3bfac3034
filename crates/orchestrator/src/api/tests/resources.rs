//! The pool's own routes: section 8.

use axum::http::StatusCode;
use serde_json::json;

use gen_worker_proto::FunctionName;

use super::harness::Service;
use crate::pool::FunctionManifest;

#[tokio::test]
async fn functions_tell_who_has_them() {
    let service = Service::with_worker().await;
    let echo = service.get("/v1/functions/Echo").await;
    assert_eq!(echo.status, StatusCode::OK);
    assert_eq!(
        echo.json(),
        json!({"name": "echo", "kind": null, "input_schema": null, "output_schema": null,
            "workers": {"available": 1, "loading": 0, "degraded": 0, "disabled": 0}, "queued": 0, "running": 0})
    );
    assert_eq!(service.get("/v1/functions/embed").await.json()["workers"]["available"], 0);
    assert_eq!(service.get("/v1/functions/nobody").await.error(), (404, "unknown_function".to_owned()));
}

#[tokio::test]
async fn workers_and_models_are_listed() {
    let service = Service::with_worker().await;
    service.worker("w2", &["echo"]).await;
    let list = service.get("/v1/workers?limit=1").await.json();
    assert_eq!((&list["items"][0]["id"], list["items"].as_array().unwrap().len()), (&json!("w1"), 1));
    let cursor = list["next_cursor"].as_str().unwrap();
    let rest = service.get(&format!("/v1/workers?cursor={cursor}")).await.json();
    assert_eq!((&rest["items"][0]["id"], &rest["next_cursor"]), (&json!("w2"), &json!(null)));
    let worker = service.get("/v1/workers/w2").await.json();
    assert_eq!(worker["functions"]["available"], json!(["echo"]));
    assert_eq!((&worker["phase"], &worker["connected"], &worker["jobs"]), (&json!("ready"), &json!(true), &json!(0)));
    assert_eq!(service.get("/v1/workers/nobody").await.error(), (404, "not_found".to_owned()));
    let models = service.get("/v1/models").await.json();
    assert_eq!(models["items"][0]["ref"], "acme/paint");
    assert_eq!(
        models["items"][0]["workers"][1],
        json!({"worker_id": "w2", "tier": "ram", "vram_bytes": 0, "download": null})
    );
}

#[tokio::test]
async fn a_drained_worker_gets_no_more_work() {
    let service = Service::with_worker().await;
    let held = service.submit("hold").await;
    service.reaches(&held, "running").await;
    let reply = service.post("/v1/workers/w1/drain?deadline_ms=1000", "").await;
    assert_eq!((reply.status, &reply.json()["draining"]), (StatusCode::ACCEPTED, &json!(true)));
    assert_eq!(service.post("/v1/workers/nobody/drain", "").await.error(), (404, "not_found".to_owned()));
    let refused = service.post("/v1/run/echo?require_worker=true", "{}").await;
    assert_eq!(refused.error(), (424, "no_worker".to_owned()));
}

#[tokio::test]
async fn outputs_are_given_alone() {
    let service = Service::with_worker().await;
    let id = service.post("/v1/run/echo", r#"{"n":1}"#).await.header("x-request-id").to_owned();
    let output = service.get(&format!("/v1/requests/{id}/output")).await;
    assert_eq!((output.status, output.json()), (StatusCode::OK, json!({"n": 1})));
    let packed = service.get_with(&format!("/v1/requests/{id}/output"), &[("accept", "application/msgpack")]).await;
    assert_eq!(packed.body.as_ref(), &[0x81, 0xa1, b'n', 1]);
    let queued = service.submit("embed").await;
    let none = service.get(&format!("/v1/requests/{queued}/output")).await;
    assert_eq!(
        (none.error(), none.message().as_str()),
        ((404, "not_found".to_owned()), "the request has not ended yet")
    );
    let id = service.post("/v1/run/stream", "{}").await.header("x-request-id").to_owned();
    assert_eq!(service.get(&format!("/v1/requests/{id}/output")).await.text(), "null");
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let service = Service::with_worker().await;
    service.post("/v1/run/echo", "{}").await;
    assert_eq!(service.get("/healthz").await.json(), json!({"status": "ok"}));
    assert_eq!(service.get("/readyz").await.status, StatusCode::OK);
    let metrics = service.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert!(metrics.text().contains("\ngen_worker_requests_succeeded_total 1\n"), "{}", metrics.text());
    service.store.close().await.unwrap();
    assert_eq!(service.get("/readyz").await.error(), (503, "unavailable".to_owned()));
    assert_eq!(service.get("/healthz").await.status, StatusCode::OK);
    let submit = service.post("/v1/requests", r#"{"function":"embed","payload":{}}"#).await;
    assert_eq!((submit.error(), submit.header("retry-after")), ((503, "unavailable".to_owned()), "1"));
}

#[tokio::test]
async fn p5_an_unknown_function_is_answered_with_names_that_look_alike() {
    let service = Service::start().await;
    let reply = service.get("/v1/functions/embde").await;
    assert_eq!(reply.error(), (404, "unknown_function".to_owned()));
    assert_eq!(reply.json()["error"]["details"]["near"], serde_json::json!(["embed"]));
}

#[tokio::test]
async fn a_function_shows_what_its_endpoint_said() {
    let service = Service::start().await;
    let schema = |name: &str| serde_json::json!({"type": "object", "title": name});
    let said = |name: &str, title: &str| FunctionManifest {
        name: FunctionName::parse(name).unwrap(),
        kind: "inference".to_owned(),
        input_schema: schema(title),
        output_schema: schema("Vectors"),
        owner: "dev".to_owned(),
        models: Vec::new(),
    };
    assert_eq!(service.get("/v1/functions/embed").await.json()["input_schema"], serde_json::Value::Null);
    service.handle.describe(vec![said("embed", "Old"), said("later", "Later")]).await.unwrap();
    service.handle.describe(vec![said("embed", "Texts")]).await.unwrap();
    let embed = service.get("/v1/functions/embed").await.json();
    assert_eq!((&embed["kind"], &embed["input_schema"]), (&"inference".into(), &schema("Texts")));
    assert_eq!(embed["output_schema"], schema("Vectors"));
    let all = service.get("/v1/functions").await.json();
    let names: Vec<_> = all["items"].as_array().unwrap().iter().map(|function| &function["name"]).collect();
    assert_eq!(names, ["absent", "embed"], "saying something about a function does not offer it");
    assert_eq!(all["items"][1]["kind"], "inference");
    let early = service.post("/v1/run/later", "{}").await;
    assert_eq!(early.error(), (424, "no_worker".to_owned()), "its worker is on the way, or cannot");
}

#[tokio::test]
async fn p18_a_failed_request_is_found_like_any_other() {
    let service = Service::with_worker().await;
    let id = service.post("/v1/run/fatal", "{}").await.header("x-request-id").to_owned();
    let reply = service.get(&format!("/v1/requests/{id}?wait_ms=1000")).await;
    assert_eq!((reply.status, &reply.json()["state"]), (StatusCode::OK, &"failed".into()));
}
