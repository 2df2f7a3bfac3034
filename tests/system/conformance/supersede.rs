//! C8, C13, C14 and C26: what a Hello lists, and what comes of it.

use anyhow::Result;
use gen_worker_proto::pb::{CancelJob, JobStatus, RunJob, scheduler_message::Msg as Outbound, worker_message::Msg};
use gen_worker_tests::{Entry, Peer, eventually};
use tonic::{Code, Status};

use super::{Scene, started, wire};

fn c8_c26_second_stream(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    scene.hold("h1")?;
    relay.tell_worker(Outbound::CancelJob(CancelJob { request_id: "h1".into(), attempt: 2 }))?;
    relay.detach()?;
    let ended = relay.wait("the older stream to end", |entries| {
        entries.iter().find(|entry| entry.stream == 0 && entry.ended().is_some()).and_then(|e| e.ended().cloned())
    })?;
    assert_eq!((ended.code(), ended.message()), (Code::Aborted, "worker_stream_superseded"));
    let listed = relay.look(|entries| wire::listed(entries, 1));
    assert_eq!(listed, Some(vec![("h1".to_owned(), 1)]));
    scene.succeeds("h1", 1)?;
    relay.look(|entries| assert_eq!(wire::runs(entries, "h1", 1).count(), 1, "it was not sent again"));
    let ends: Vec<_> = relay.look(|entries| wire::results(entries, "h1").iter().map(|end| end.status()).collect());
    assert_eq!(ends, [JobStatus::Ok], "one result; C8: a cancel of another attempt has no effect");
    assert_eq!(started(scene.worker.dir.path()), 1, "the handler ran once");
    Ok(())
}

fn c13_result_comes_before_the_state(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    scene.hold("h1")?;
    wire::offline(&relay)?;
    scene.release("h1")?;
    let ended = scene.worker.dir.path().join("ended");
    eventually("the handler to end", || ended.exists().then_some(()))?;
    relay.set_reachable(true);
    scene.succeeds("h1", 1)?;
    relay.wait("the state", |entries| {
        let later = |entry: &&Entry| entry.stream > 0;
        let said: Vec<_> = entries.iter().filter(later).filter_map(Entry::worker).collect();
        let state = said.iter().position(|msg| matches!(msg, Msg::StateDelta(_)))?;
        let result = said.iter().position(|msg| matches!(msg, Msg::JobResult(_)))?;
        assert!(result < state, "the result is ahead: {said:?}");
        Some(())
    })?;
    relay.look(|entries| assert_eq!(wire::results(entries, "h1").len(), 1));
    Ok(())
}

fn c14_unknown_pair(peer: Peer) -> Result<()> {
    let (scene, relay) = Scene::relayed(peer)?;
    scene.hold("h1")?;
    // A job of an orchestrator that is no more.
    let payload = b"\x81\xa4name\xa5ghost".as_slice().into();
    let ghost = RunJob { request_id: "ghost".into(), input_payload: payload, ..wire::sent(&relay, "h1", 1)? };
    relay.tell_worker(Outbound::RunJob(ghost))?;
    scene.started(2)?;
    relay.end(Status::unavailable("for a while"))?;
    relay.wait("the cancel", |entries| wire::cancelled(entries, "ghost", 1).then_some(()))?;
    let listed = relay.look(|entries| wire::listed(entries, 1));
    assert_eq!(listed, Some(vec![("ghost".to_owned(), 1), ("h1".to_owned(), 1)]), "W2: in this order");
    assert_eq!(wire::result(&relay, "ghost")?.status(), JobStatus::Canceled);
    assert_eq!(scene.api().get("/v1/requests/ghost")?.status, 404, "its result was dropped");
    scene.succeeds("h1", 1)?;
    relay.look(|entries| assert!(!wire::cancelled(entries, "h1", 1), "the other was left alone"));
    Ok(())
}

with_every_peer!(c8_c26_second_stream, c13_result_comes_before_the_state, c14_unknown_pair);
