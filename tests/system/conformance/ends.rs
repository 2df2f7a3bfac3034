//! C8 and C19: ends that the handler did not choose.

use anyhow::Result;
use gen_worker_tests::Peer;
use serde_json::json;

use super::{Scene, field};

fn c8_cancel(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    scene.hold("h1")?;
    let cancel = scene.api().post("/v1/requests/h1/cancel", &json!({}))?;
    assert_eq!(cancel.status, 202, "{cancel:?}");
    let ended = scene.api().ended("h1")?;
    assert_eq!((field(&ended, "/state"), field(&ended, "/attempt")), (&json!("canceled"), &json!(1)), "{ended}");
    let again = scene.api().post("/v1/requests/h1/cancel", &json!({}))?;
    assert_eq!((again.status, field(&again.body, "/error/code")), (409, &json!("already_finished")), "{again:?}");
    let (status, _) = scene.run("echo", &json!({"text": "next"}))?;
    assert_eq!(status, 200, "the worker goes on");
    Ok(())
}

fn c19_deadline(peer: Peer) -> Result<()> {
    let scene = Scene::of(peer)?;
    let body = json!({"function": "hold", "payload": {"name": "h1"}, "options": {"timeout_ms": 300}});
    let submitted = scene.api().put("/v1/requests/h1", &body)?;
    assert_eq!(submitted.status, 202, "{submitted:?}");
    let ended = scene.api().ended("h1")?;
    assert_eq!(field(&ended, "/state"), "failed", "{ended}");
    assert_eq!(field(&ended, "/error/message"), "deadline exceeded", "{ended}");
    assert_eq!(field(&ended, "/attempt"), 1, "fatal: no other attempt");
    let (status, _) = scene.run("echo", &json!({"text": "next"}))?;
    assert_eq!(status, 200, "the next job succeeds");
    Ok(())
}

with_every_peer!(c8_cancel, c19_deadline);
