//! C9, C10, C11, C15 and C16: the same job more than once.

use std::time::Duration;

use anyhow::Result;
use gen_worker_proto::pb::{JobStatus, scheduler_message::Msg as Outbound};
use gen_worker_tests::{Event, Peer};
use serde_json::json;

use super::{Scene, started, wire};

fn c9_c10_repeated_run_job(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    scene.hold("h1")?;
    let run = wire::sent(&relay, "h1", 1)?;
    relay.tell_worker(Outbound::RunJob(run.clone()))?;
    relay.wait("a second acceptance", |entries| (wire::accepted(entries, "h1", 1) == 2).then_some(()))?;
    scene.succeeds("h1", 1)?;
    // Finished, and still remembered.
    relay.tell_worker(Outbound::RunJob(run))?;
    scene.serves()?;
    relay.look(|entries| {
        assert_eq!(wire::results(entries, "h1").len(), 1, "one result");
        assert_eq!(wire::accepted(entries, "h1", 1), 2, "no third acceptance");
    });
    assert_eq!(started(scene.worker.dir.path()), 1, "the handler ran once");
    Ok(())
}

fn c11_c15_newer_attempt(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    scene.hold("h1")?;
    // The orchestrator gives up an attempt that the worker still runs.
    relay.tell_orchestrator(wire::forged("h1", 1, JobStatus::Retryable, b""))?;
    relay.wait("attempt 2", |entries| (wire::accepted(entries, "h1", 2) == 1).then_some(()))?;
    scene.started(2)?;
    // And a late word of that attempt changes nothing.
    relay.tell_orchestrator(wire::forged("h1", 1, JobStatus::Ok, b"\x81\xa4name\xa4late"))?;
    scene.succeeds("h1", 2)?;
    let attempts: Vec<_> =
        relay.look(|entries| wire::results(entries, "h1").iter().map(|result| result.attempt).collect());
    assert_eq!(attempts, [2], "no result of the first attempt");
    Ok(())
}

/// Three sends, 5 s apart: nothing shorter shows it.
fn c16_no_answer(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    relay.withhold(|event| matches!(event, Event::Orchestrator(Outbound::RunJob(run)) if run.attempt == 1));
    let submitted = scene.api().put("/v1/requests/h1", &json!({"function": "hold", "payload": {"name": "h1"}}))?;
    assert_eq!(submitted.status, 202, "{submitted:?}");
    scene.started(1)?;
    scene.succeeds("h1", 2)?;
    relay.look(|entries| {
        assert_eq!(wire::runs(entries, "h1", 1).count(), 3, "three sends");
        assert!(wire::cancelled(entries, "h1", 1), "O10: the worker is told to forget it");
        let of = |attempt: i64| move |event: &Event| matches!(event, Event::Orchestrator(Outbound::RunJob(run)) if run.attempt == attempt);
        let at = |of: &dyn Fn(&Event) -> bool| entries.iter().find(|entry| of(&entry.event)).map(|entry| entry.at);
        let waited = at(&of(2)).zip(at(&of(1))).map(|(second, first)| second - first);
        assert!(waited > Some(Duration::from_secs(12)), "three times 5 s, but for delays: {waited:?}");
    });
    Ok(())
}

with_every_peer!(c9_c10_repeated_run_job, c11_c15_newer_attempt, c16_no_answer);
