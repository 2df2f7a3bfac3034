//! C9, C10, C11, C15 and C16: the same job more than once.

use std::time::Duration;

use anyhow::Result;
use gen_worker_proto::pb::{JobStatus, scheduler_message::Msg as Outbound};
use gen_worker_tests::{Event, Peer};
use serde_json::json;

use super::{Scene, at_once, started, wire};

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
#[test]
fn c16_no_answer() -> Result<()> {
    let begin = |peer| {
        let (scene, relay) = Scene::relayed(peer)?;
        relay.withhold(|event| run_of(event) == Some(1));
        let submitted = scene.api().put("/v1/requests/h1", &json!({"function": "hold", "payload": {"name": "h1"}}))?;
        assert_eq!(submitted.status, 202, "{submitted:?}");
        Ok((scene, relay))
    };
    at_once(begin, |scene, relay| {
        scene.started(1)?;
        scene.succeeds("h1", 2)?;
        relay.look(|entries| {
            assert_eq!(wire::runs(entries, "h1", 1).count(), 3, "three sends");
            assert!(wire::cancelled(entries, "h1", 1), "O10: the worker is told to forget it");
            let at = |attempt| entries.iter().find(|entry| run_of(&entry.event) == Some(attempt)).map(|entry| entry.at);
            let waited = at(2).zip(at(1)).map(|(second, first)| second - first);
            assert!(waited > Some(Duration::from_secs(12)), "three times 5 s, but for delays: {waited:?}");
        });
        Ok(())
    })
}

/// The attempt that a worker is told to run.
fn run_of(event: &Event) -> Option<i64> {
    if let Event::Orchestrator(Outbound::RunJob(run)) = event { Some(run.attempt) } else { None }
}

with_every_peer!(c9_c10_repeated_run_job, c11_c15_newer_attempt);
