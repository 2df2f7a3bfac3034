//! C1 to C7: what a worker offers, takes and gives.

use anyhow::{Context, Result};
use gen_worker_tests::Peer;
use serde_json::{Value, json};

use super::{Scene, field};

fn c1_c2_hello_and_ready(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let view = scene.pool.worker("w1")?;
    assert_eq!(field(&view, "/id"), "w1");
    assert_eq!(
        field(&view, "/functions/available"),
        &json!(["count-up", "echo", "hold", "refuse", "speak"]),
        "sorted slugs"
    );
    assert_eq!(field(&view, "/phase"), "ready");
    let functions = scene.api().get("/v1/functions/echo")?;
    assert_eq!(functions.status, 200, "{functions:?}");
    Ok(())
}

fn c3_echo(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let (status, body) = scene.run("echo", &json!({"text": "marco"}))?;
    assert_eq!((status, field(&body, "/output")), (200, &json!({"response": "marco"})), "{body}");
    assert_eq!((field(&body, "/state"), field(&body, "/attempt")), (&json!("succeeded"), &json!(1)));
    assert!(field(&body, "/metrics/runtime_ms").as_i64().is_some_and(|ms| ms >= 0), "{body}");
    assert_eq!(field(&body, "/worker_id"), "w1");
    Ok(())
}

fn c4_invalid_input(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let (status, body) = scene.run("refuse", &json!({"text": "this"}))?;
    assert_eq!((status, field(&body, "/error/code")), (400, &json!("invalid")), "{body}");
    assert!(field(&body, "/error/message").as_str().is_some_and(|text| text.contains("refused this")), "{body}");
    for payload in [json!({"text": 5}), json!({})] {
        let (status, body) = scene.run("echo", &payload)?;
        assert_eq!((status, field(&body, "/error/code")), (400, &json!("invalid")), "{body}");
        let message = field(&body, "/error/message").as_str().unwrap_or_default();
        assert!(message.contains("text") || message.contains('$'), "names the field: {body}");
    }
    let empty = scene.api().post_bytes("/v1/run/echo", "application/msgpack", b"")?;
    assert_eq!(empty.status, 400, "{empty:?}");
    let (status, _) = scene.run("echo", &json!({"text": "still serving"}))?;
    assert_eq!(status, 200);
    Ok(())
}

fn c5_unknown_function(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let (status, body) = scene.run("ecko", &json!({}))?;
    assert_eq!((status, field(&body, "/error/code")), (404, &json!("unknown_function")), "{body}");
    assert!(body.to_string().contains("echo"), "near names are listed: {body}");
    Ok(())
}

fn c6_stream(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let submitted = scene.api().put("/v1/requests/s1", &json!({"function": "count_up", "payload": {}}))?;
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let events = scene.api().events("s1")?;
    let chunks: Vec<_> = events.iter().filter(|event| event.kind == "chunk").collect();
    let values: Vec<_> = chunks.iter().map(|event| &event.data).collect();
    assert_eq!(
        values,
        [&json!({"value": {"index": 0}}), &json!({"value": {"index": 1}}), &json!({"value": {"index": 2}})]
    );
    let last = events.last().context("no events")?;
    assert_eq!((last.kind.as_str(), field(&last.data, "/state")), ("result", &json!("succeeded")));
    assert_eq!(field(&last.data, "/output"), &Value::Null);
    let mut ids: Vec<(u32, u32)> = Vec::new();
    for event in chunks {
        let (attempt, seq) = event.id.split_once('-').context("event id")?;
        ids.push((attempt.parse()?, seq.parse()?));
    }
    assert!(ids.is_sorted_by(|one, next| one < next), "ids increase: {ids:?}");
    Ok(())
}

fn c7_tokens(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let submitted = scene.api().put("/v1/requests/t1", &json!({"function": "speak", "payload": {"text": "ab"}}))?;
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let events = scene.api().events("t1")?;
    let chunks: Vec<_> = events.iter().filter(|event| event.kind == "chunk").map(|event| &event.data).collect();
    assert_eq!(chunks, [&json!({"text": "a"}), &json!({"text": "b"})], "Done is no chunk, and nothing follows it");
    let last = events.last().context("no events")?;
    assert_eq!((last.kind.as_str(), field(&last.data, "/state")), ("result", &json!("succeeded")));
    let summary = field(&last.data, "/output/text");
    let want = if peer == Peer::Python("0.11.2") { &Value::Null } else { &json!("ab") };
    assert_eq!(summary, want, "8.7: the older peer sums nothing up");

    let submitted = scene.api().put("/v1/requests/t2", &json!({"function": "speak", "payload": {"text": ""}}))?;
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let ended = scene.api().ended("t2")?;
    assert_eq!(field(&ended, "/state"), "failed");
    assert_eq!(field(&ended, "/error/message"), "nothing to say", "an Error item is invalid input: {ended}");
    Ok(())
}

with_every_peer!(c1_c2_hello_and_ready, c3_echo, c4_invalid_input, c5_unknown_function, c6_stream, c7_tokens);
