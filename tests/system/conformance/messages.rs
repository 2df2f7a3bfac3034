//! C31 to C34: messages that are repeated, lost or unknown.

use std::fs;

use anyhow::{Context, Result};
use bytes::Bytes;
use gen_worker_proto::limits::{INLINE_OUTPUT_BYTES_MAX, SEND_QUEUE_ENTRIES_MAX};
use gen_worker_proto::pb::{
    FnDegraded, JobStatus, ModelOp, ModelOpKind, ModelState, scheduler_message::Msg as Outbound, worker_message::Msg,
};
use gen_worker_tests::{Entry, Files, Peer, Relay, eventually};
use serde_json::json;

use super::{Scene, field, wire};

/// A message whose only field is member 15 of the `oneof`, which neither version has.
const UNKNOWN: Bytes = Bytes::from_static(b"\x7a\x02\x08\x01");

/// An operation that no version has.
const UNKNOWN_OP: i32 = 99;

/// Shows that the first stream is still the only one.
fn unbroken(scene: &Scene, relay: &Relay) -> Result<()> {
    scene.serves()?;
    relay.look(|entries| assert!(entries.iter().all(|entry| entry.stream == 0 && entry.ended().is_none())));
    Ok(())
}

fn c31_c33_repeated_and_unknown(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    relay.tell_worker_bytes(UNKNOWN)?;
    relay.tell_orchestrator_bytes(UNKNOWN)?;
    let degraded =
        FnDegraded { function_name: "echo".into(), wanted: "bf16".into(), ran: "cpu".into(), ..FnDegraded::default() };
    relay.tell_orchestrator(Msg::FnDegraded(degraded))?;
    relay.tell_worker(Outbound::ModelOp(ModelOp { op: UNKNOWN_OP, r#ref: "acme/model".into(), snapshot: None }))?;
    unbroken(&scene, &relay)?;
    let before = relay.look(|entries| wire::states(entries).count());
    relay.tell_worker(wire::ack("http://127.0.0.1:1"))?;
    relay.wait("the state", |entries| (wire::states(entries).count() > before).then_some(()))?;
    unbroken(&scene, &relay)?;
    assert_eq!(relay.look(|entries| wire::states(entries).count()), before + 1, "one");
    Ok(())
}

fn c31_uploads_go_to_the_newest_base(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    let (older, newer) = (Files::serve(b"")?, Files::serve(b"")?);
    // Nothing is kept there: what is asked is enough to see.
    newer.set_status(403);
    relay.tell_worker(wire::ack(&older.url()))?;
    relay.tell_worker(wire::ack(&newer.url()))?;
    let text = "x".repeat(INLINE_OUTPUT_BYTES_MAX + 1);
    let body = json!({"function": "echo", "payload": {"text": text}});
    assert_eq!(scene.api().put("/v1/requests/u1", &body)?.status, 202);
    let result = wire::result(&relay, "u1")?;
    assert_eq!((result.status(), result.safe_message.as_str()), (JobStatus::Retryable, "output upload failed"));
    let ended = scene.api().ended("u1")?;
    assert_eq!((field(&ended, "/state"), field(&ended, "/attempt")), (&json!("failed"), &json!(3)), "O13: {ended}");
    assert_eq!((older.asked(), newer.asked()), (0, 3), "each attempt asked the newest alone, once");
    unbroken(&scene, &relay)
}

fn c34_compile_cache(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    let reference = "_system/family-x#inductor-h100-torch2.4";
    relay.tell_worker(Outbound::ModelOp(ModelOp {
        op: ModelOpKind::AdoptCompileCache.into(),
        r#ref: reference.into(),
        snapshot: None,
    }))?;
    let event = relay.wait("an event", |entries| {
        entries.iter().filter_map(Entry::worker).find_map(|msg| match msg {
            Msg::ModelEvent(event) if event.r#ref == reference => Some(event.clone()),
            _ => None,
        })
    })?;
    assert_eq!((event.state(), event.error.as_str()), (ModelState::Failed, "adopt_failed:no_endpoint"));
    unbroken(&scene, &relay)
}

fn c32_full_queue(peer: Peer) -> Result<()> {
    const COUNT: i64 = 8_000;
    let (scene, relay) = Scene::relayed(peer)?;
    let body = json!({"function": "count_up", "payload": {"count": COUNT, "after": "go"}});
    assert_eq!(scene.api().put("/v1/requests/c1", &body)?.status, 202);
    relay.wait("the job to begin", |entries| (wire::accepted(entries, "c1", 1) == 1).then_some(()))?;
    wire::offline(&relay)?;
    let (go, counted) = (scene.worker.dir.path().join("go"), scene.worker.dir.path().join("counted"));
    fs::write(go, "").context("let it count")?;
    eventually("the handler to end", || counted.exists().then_some(()))?;
    relay.set_reachable(true);
    let result = wire::result(&relay, "c1")?;
    assert_eq!(result.status(), JobStatus::Ok, "{}", result.safe_message);
    let frames: Vec<_> = relay.look(|entries| {
        let said = entries.iter().filter(|entry| entry.stream > 0).filter_map(Entry::worker);
        said.filter_map(|msg| if let Msg::JobProgress(frame) = msg { Some(frame.seq) } else { None }).collect()
    });
    assert!(frames.len() <= SEND_QUEUE_ENTRIES_MAX, "{} frames", frames.len());
    assert_eq!(frames.last(), Some(&COUNT), "the newest arrives");
    assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + 1), "and so does each one after the first: {frames:?}");
    assert_eq!(field(&scene.api().ended("c1")?, "/attempt"), &json!(1));
    relay.look(|entries| assert_eq!(wire::results(entries, "c1").len(), 1));
    Ok(())
}

with_every_peer!(c31_c33_repeated_and_unknown, c32_full_queue, c34_compile_cache, c31_uploads_go_to_the_newest_base);
