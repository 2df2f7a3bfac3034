//! Events and streams: section 4.

use axum::http::StatusCode;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::harness::{Service, request};

/// Name, id and data of each event; comments as `:`.
fn parse(text: &str) -> Vec<(String, Option<String>, Value)> {
    let blocks = text.split("\n\n").filter(|block| !block.is_empty());
    let field = |block: &str, name: &str| {
        let prefix = format!("{name}: ");
        block.lines().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
    };
    let event = |block: &str| {
        assert_eq!(block.lines().filter(|line| line.starts_with("data: ")).count(), 1, "{block}");
        let data = serde_json::from_str(&field(block, "data").unwrap()).unwrap();
        (field(block, "event").unwrap(), field(block, "id"), data)
    };
    blocks.map(event).collect()
}

#[tokio::test]
async fn p10_p11_run_streams_its_events_in_the_same_call() {
    let service = Service::with_worker().await;
    let reply = service.post_with("/v1/run/stream", &[("accept", "text/event-stream")], "{}").await;
    assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, "text/event-stream"));
    let events = parse(reply.text());
    let names: Vec<_> = events.iter().map(|(name, ..)| name.as_str()).filter(|name| *name != "state").collect();
    assert_eq!(names, ["chunk", "chunk", "chunk", "log", "result"]);
    let data: Vec<_> = events.iter().filter(|(name, ..)| name == "chunk").map(|(.., data)| data.clone()).collect();
    assert_eq!(
        data,
        [
            json!({"text": "one\ntwo"}),
            json!({"value": {"n": 2}}),
            json!({"content_type": "audio/pcm;rate=24000", "base64": "AQID"})
        ]
    );
    let ids: Vec<(i64, i64)> = events
        .iter()
        .filter_map(|(_, id, _)| id.as_deref())
        .map(|id| id.split_once('-').map(|(a, s)| (a.parse().unwrap(), s.parse().unwrap())).unwrap())
        .collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let (.., last) = events.last().unwrap();
    assert_eq!((&last["state"], &last["id"]), (&json!("succeeded"), &json!(reply.header("x-request-id"))));
}

#[tokio::test]
async fn p10_a_failure_ends_the_stream_with_error() {
    let service = Service::with_worker().await;
    let reply = service.post_with("/v1/run/fatal", &[("accept", "text/event-stream")], "{}").await;
    let events = parse(reply.text());
    let (name, _, data) = events.last().unwrap();
    assert_eq!((name.as_str(), &data["error"]["code"]), ("error", &json!("failed")));
    assert_eq!(events.iter().filter(|(name, ..)| name == "error" || name == "result").count(), 1);
}

#[tokio::test]
async fn p12_last_event_id_continues_and_a_finished_request_answers_at_once() {
    let service = Service::with_worker().await;
    let whole = service.post_with("/v1/run/stream", &[("accept", "text/event-stream")], "{}").await;
    let path = format!("/v1/requests/{}/events", whole.header("x-request-id"));
    let all = parse(whole.text());
    let replayed = parse(service.get(&path).await.text());
    let chunk =
        |events: &[(String, Option<String>, Value)]| events.iter().position(|(name, ..)| name == "chunk").unwrap();
    assert_eq!(replayed[chunk(&replayed)..], all[chunk(&all)..]);
    let first = all[chunk(&all)].1.clone().unwrap();
    let rest = parse(service.get_with(&path, &[("last-event-id", &first)]).await.text());
    assert_eq!(rest, all[chunk(&all) + 1..]);
    let broken = service.get_with(&path, &[("last-event-id", "x")]).await;
    assert_eq!(broken.error(), (400, "invalid".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn p11_a_comment_every_15_s_keeps_proxies_awake() {
    let service = Service::start().await;
    let id = service.submit("embed").await;
    let request = request(axum::http::Method::GET, &format!("/v1/requests/{id}/events"), &[], "".into());
    let mut frames = service.router.clone().oneshot(request).await.unwrap().into_body().into_data_stream();
    let state = frames.next().await.unwrap().unwrap();
    assert_eq!(parse(std::str::from_utf8(&state).unwrap())[0].2["state"], "queued");
    let start = tokio::time::Instant::now();
    for nth in 1..=3 {
        assert_eq!(frames.next().await.unwrap().unwrap().as_ref(), b":\n\n");
        assert_eq!(start.elapsed().as_secs(), 15 * nth);
    }
}

#[tokio::test]
async fn binary_chunks_are_one_body() {
    let service = Service::with_worker().await;
    let id = service.post("/v1/run/audio", "{}").await.header("x-request-id").to_owned();
    let reply = service.get(&format!("/v1/requests/{id}/stream")).await;
    assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, "audio/pcm;rate=24000"));
    assert_eq!(reply.body.as_ref(), &[1, 2, 3, 4, 5]);
    let id = service.post("/v1/run/echo", "{}").await.header("x-request-id").to_owned();
    assert_eq!(service.get(&format!("/v1/requests/{id}/stream")).await.status, StatusCode::NO_CONTENT);
    let id = service.post("/v1/run/fatal", "{}").await.header("x-request-id").to_owned();
    assert_eq!(service.get(&format!("/v1/requests/{id}/stream")).await.error(), (500, "failed".to_owned()));
}
