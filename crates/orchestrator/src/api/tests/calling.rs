//! Calling functions: sections 1 to 3.

use std::sync::Arc;

use axum::http::StatusCode;
use gen_worker_proto::RequestId;
use serde_json::json;

use super::harness::{Service, dev};

#[tokio::test]
async fn p1_a_submit_returns_once_the_request_is_stored() {
    let service = Service::start().await;
    let reply = service.post("/v1/requests", r#"{"function":"embed","payload":{"text":"a"}}"#).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(reply.header("location"), format!("/v1/requests/{id}"));
    assert_eq!(reply.header("x-request-id"), id);
    let stored = service.store.get(RequestId::parse(id).unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.submitted.payload.as_ref(), b"\x81\xa4text\xa1a");
}

#[tokio::test]
async fn p1_a_memory_request_is_not_stored() {
    let service = Service::start().await;
    let body = r#"{"function":"embed","payload":{},"options":{"durability":"memory"}}"#;
    let id = service.post("/v1/requests", body).await.json()["id"].as_str().unwrap().to_owned();
    assert!(service.store.get(RequestId::parse(id.as_str()).unwrap()).await.unwrap().is_none());
    assert_eq!(service.get(&format!("/v1/requests/{id}")).await.json()["state"], "queued");
}

#[tokio::test]
async fn p2_a_put_is_idempotent_by_the_canonical_body() {
    let service = Service::start().await;
    let first = service.put("/v1/requests/mine_1", r#"{"function":"embed","payload":{"a":1,"b":[2]}}"#).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    assert_eq!(first.json()["id"], "mine_1");
    let same = service.put("/v1/requests/mine_1", r#"{ "payload": {"b":[2], "a":1}, "function": "Embed" }"#).await;
    assert_eq!(same.status, StatusCode::OK);
    assert_eq!(same.json()["created_at"], first.json()["created_at"]);
    for other in [
        r#"{"function":"embed","payload":{"a":1.0,"b":[2]}}"#,
        r#"{"function":"absent","payload":{"a":1,"b":[2]}}"#,
        r#"{"function":"embed","payload":{"a":1,"b":[2]},"options":{"priority":1}}"#,
        r#"{"function":"embed","payload":{"a":1,"b":[2]},"metadata":1}"#,
    ] {
        let reply = service.put("/v1/requests/mine_1", other).await;
        assert_eq!(reply.error(), (409, "id_conflict".to_owned()));
        assert_eq!(reply.header("x-request-id"), "mine_1");
    }
}

#[tokio::test]
async fn p2_a_memory_request_does_not_take_the_id_of_a_stored_one() {
    let service = Service::start().await;
    // Known to the store alone, as after its end and its time in memory.
    let body = |extra: &str| format!(r#"{{"function":"embed","payload":{{}}{extra}}}"#);
    let memory = body(r#","options":{"durability":"memory"}"#);
    let earlier = Service::on(Arc::clone(&service.store), dev()).await;
    assert_eq!(earlier.put("/v1/requests/mine", body("")).await.status, StatusCode::ACCEPTED);
    let reply = service.put("/v1/requests/mine", memory).await;
    assert_eq!(reply.error(), (409, "id_conflict".to_owned()));
    assert_eq!(reply.header("x-request-id"), "mine");
}

#[tokio::test]
async fn p2_a_repeat_is_answered_when_new_work_would_be_refused() {
    let service = Service::start().await;
    let body = r#"{"function":"embed","payload":{}}"#;
    assert_eq!(service.put("/v1/requests/mine", body).await.status, StatusCode::ACCEPTED);
    let picky = r#"{"function":"embed","payload":{},"options":{"require_worker":true}}"#;
    let reply = service.put("/v1/requests/other", picky).await;
    assert_eq!(reply.error(), (424, "no_worker".to_owned()));
    let reply = service.put("/v1/requests/mine", picky).await;
    assert_eq!((reply.status, &reply.json()["id"]), (StatusCode::OK, &json!("mine")));
}

#[tokio::test]
async fn p2_an_idempotency_key_does_the_same_on_post() {
    let service = Service::with_worker().await;
    let key = [("idempotency-key", "order 7")];
    let body = r#"{"function":"embed","payload":{"a":1}}"#;
    let first = service.post_with("/v1/requests", &key, body).await;
    let same = service.post_with("/v1/requests", &key, body).await;
    assert_eq!((first.status, same.status), (StatusCode::ACCEPTED, StatusCode::OK));
    assert_eq!(first.json()["id"], same.json()["id"]);
    let other = service.post_with("/v1/requests", &key, r#"{"function":"embed","payload":{"a":2}}"#).await;
    assert_eq!(other.error(), (409, "id_conflict".to_owned()));
    let run = service.post_with("/v1/run/echo", &[("idempotency-key", "k")], r#"{"n":1}"#).await;
    let again = service.post_with("/v1/run/echo", &[("idempotency-key", "k")], r#"{"n":1}"#).await;
    assert_eq!(run.json(), again.json());
    let empty = service.post_with("/v1/run/echo", &[("idempotency-key", "")], "{}").await;
    assert_eq!(empty.error(), (400, "invalid".to_owned()));
}

#[tokio::test]
async fn p3_messagepack_bodies_pass_through_unconverted() {
    let service = Service::with_worker().await;
    // A float32 and a wide integer, which our own writer never makes.
    let body: &[u8] = &[0x82, 0xa1, b'f', 0xca, 0x3f, 0, 0, 0, 0xa1, b'n', 0xcd, 0, 1];
    let headers = [("content-type", "application/msgpack"), ("accept", "application/msgpack")];
    let reply = service.post_with("/v1/run/echo", &headers, body).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "application/msgpack");
    assert_eq!(reply.body.as_ref(), body);
    let broken = service.post_with("/v1/run/echo", &headers, &[0x82, 0xa1][..]).await;
    assert_eq!(broken.error(), (400, "invalid".to_owned()));
    let whole = rmp_serde::to_vec(&json!({"function": "embed", "payload": {"a": 1}})).unwrap();
    let reply = service.post_with("/v1/requests", &headers[..1], whole).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn p4_a_payload_comes_back_as_it_went() {
    let service = Service::with_worker().await;
    let body = r#"{"i":9007199254740993,"f":1.0,"b":{"$bytes":"AAEC"},"s":"é\n","n":null,"l":[true,{}]}"#;
    let reply = service.post_with("/v1/run/echo", &[("prefer", "return=minimal")], body).await;
    assert_eq!((reply.status, reply.text()), (StatusCode::OK, body));
}

#[tokio::test]
async fn p5_a_function_nobody_has_offered_is_unknown_and_near_names_are_listed() {
    let service = Service::start().await;
    for reply in [
        service.post("/v1/run/embde", "{}").await,
        service.post("/v1/requests", r#"{"function":"embde","payload":{}}"#).await,
    ] {
        assert_eq!(reply.error(), (404, "unknown_function".to_owned()));
        assert_eq!(reply.json()["error"]["details"]["near"][0], "embed");
        assert!(reply.message().contains("embde"));
    }
    assert_eq!(service.post("/v1/run/!!!", "{}").await.error(), (404, "unknown_function".to_owned()));
}

#[tokio::test]
async fn p5_a_function_without_a_worker_queues_or_is_refused() {
    let service = Service::start().await;
    let queued = service.post("/v1/run/absent?wait_ms=0", "{}").await;
    assert_eq!(queued.status, StatusCode::ACCEPTED);
    assert_eq!(queued.json()["state"], "queued");
    let refused = service.post("/v1/run/absent?require_worker=true", "{}").await;
    assert_eq!(refused.error(), (424, "no_worker".to_owned()));
}

#[tokio::test]
async fn p7_p18_a_failure_is_a_status_where_one_waits_and_an_object_where_one_looks() {
    let service = Service::with_worker().await;
    for (function, status, code, class) in [
        ("invalid", 400, "invalid", "invalid"),
        ("fatal", 500, "failed", "fatal"),
        ("away", 503, "retries_exhausted", "retryable"),
    ] {
        let reply = service.post(&format!("/v1/run/{function}?max_attempts=1"), "{}").await;
        assert_eq!(reply.error(), (status, code.to_owned()));
        assert!(reply.header("server-timing").contains("total;dur="));
        let id = reply.header("x-request-id").to_owned();
        let error = reply.json()["error"].clone();
        assert_eq!(error["request_id"], *id);
        assert_eq!(error["details"]["class"], class);
        let object = service.get(&format!("/v1/requests/{id}")).await;
        assert_eq!(object.status, StatusCode::OK);
        let object = object.json();
        assert_eq!(object["state"], "failed");
        assert_eq!(object["error"]["code"], code);
        assert_eq!(object["error"]["message"], error["message"]);
        assert_eq!(object["error"]["attempts"][0]["worker_id"], "w1");
    }
    let invalid = service.post("/v1/run/invalid", "{}").await;
    assert!(invalid.message().contains("$.text"));
    assert_eq!(service.post("/v1/run/away?max_attempts=1", "{}").await.header("retry-after"), "1");
}

#[tokio::test]
async fn p8_timings_are_on_the_object_and_in_the_header() {
    let service = Service::with_worker().await;
    let reply = service.post("/v1/run/echo", r#"{"text":"marco"}"#).await;
    assert_eq!(reply.status, StatusCode::OK);
    let object = reply.json();
    assert_eq!(object["output"], json!({"text": "marco"}));
    assert_eq!(
        (&object["state"], &object["attempt"], &object["worker_id"]),
        (&json!("succeeded"), &json!(1), &json!("w1"))
    );
    let timings = object["timings"].as_object().unwrap();
    let parts: f64 = timings.iter().filter(|(name, _)| *name != "total_ms").map(|(_, ms)| ms.as_f64().unwrap()).sum();
    assert!((parts - timings["total_ms"].as_f64().unwrap()).abs() < 1.0, "{timings:?}");
    assert_eq!(reply.header("server-timing").matches("dur=").count(), 8);
    for time in ["created_at", "started_at", "ended_at"] {
        let text = object[time].as_str().unwrap();
        assert!(text.ends_with('Z') && text.len() == 24, "{text}");
    }
}

#[tokio::test]
async fn p9_a_large_output_is_elsewhere_unless_bytes_are_preferred_inline() {
    let service = Service::with_worker().await;
    let object = service.post("/v1/run/large", "{}").await.json();
    let url = object["output_url"].as_str().unwrap();
    assert_eq!(object["output"], json!(null));
    let output = service.get(url).await;
    assert_eq!(output.status, StatusCode::OK);
    assert!(output.json()["d"]["$bytes"].as_str().unwrap().len() > 130_000);
    let id = object["id"].as_str().unwrap();
    let inline = service.get_with(&format!("/v1/requests/{id}"), &[("prefer", "bytes=inline")]).await.json();
    assert_eq!((&inline["output"], &inline["output_url"]), (&output.json(), &json!(null)));
}

#[tokio::test]
async fn an_output_that_is_no_json_is_still_delivered() {
    let service = Service::with_worker().await;
    let reply = service.post("/v1/run/odd", "{}").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["output"], json!({"$msgpack": "gZAB"}));
}

#[tokio::test]
async fn options_come_from_body_query_and_headers() {
    let service = Service::start().await;
    let body = json!({
        "function": "embed", "payload": {}, "metadata": {"customer": [1, 2.5, null]},
        "options": {"priority": -7, "deadline_ms": 60_000, "max_attempts": 2, "timeout_ms": 5,
            "models": {"unet": "acme/paint", "vae": {"ref": "acme/vae", "loras": [{"ref": "a/l", "weight": 0.5}]}}}
    });
    let reply = service.post("/v1/requests", body.to_string()).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    let object = reply.json();
    assert_eq!((&object["priority"], &object["metadata"]), (&json!(-7), &json!({"customer": [1, 2.5, null]})));
    assert!(object["deadline"].is_string());
    let id = RequestId::parse(object["id"].as_str().unwrap()).unwrap();
    let options = service.store.get(id).await.unwrap().unwrap().submitted.options;
    assert_eq!((options.max_attempts, options.timeout_ms, options.models.len()), (2, 5, 2));
    assert_eq!(options.models[1].loras[0].weight, 0.5);
    let headers = [("prefer", "wait=0"), ("x-timeout-ms", "9")];
    let reply = service.post_with("/v1/run/embed?timeout_ms=5&priority=3&durability=durable", &headers, "{}").await;
    assert_eq!((reply.status, &reply.json()["priority"]), (StatusCode::ACCEPTED, &json!(3)));
    let id = RequestId::parse(reply.json()["id"].as_str().unwrap()).unwrap();
    assert_eq!(service.store.get(id).await.unwrap().unwrap().submitted.options.timeout_ms, 9);
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_queue_is_a_504() {
    let service = Service::start().await;
    let reply = service.post("/v1/run/absent?deadline_ms=1", "{}").await;
    assert_eq!(reply.error(), (504, "deadline_exceeded".to_owned()));
}

#[tokio::test]
async fn a_submit_may_wait() {
    let service = Service::with_worker().await;
    let body = r#"{"function":"echo","payload":{"n":1},"options":{"wait_ms":60000}}"#;
    let reply = service.post("/v1/requests", body).await;
    assert_eq!((reply.status, &reply.json()["output"]), (StatusCode::OK, &json!({"n": 1})));
    // A failed one is an object here too: only /v1/run maps states.
    let body = r#"{"function":"fatal","payload":{},"options":{"wait_ms":60000}}"#;
    let reply = service.post("/v1/requests", body).await;
    assert_eq!((reply.status, &reply.json()["state"]), (StatusCode::OK, &json!("failed")));
}
