//! Models that endpoints declare: brought before anybody asks, and what requests for them meet (O22, C27 to C29).

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use gen_worker_proto::pb::{self, JobStatus, ModelOpKind, ModelState, worker_message as up};

use super::{
    harness::{Pool, Worker, down, hello, holding, ready, request},
    shelf::{Shelf, described},
};
use crate::{pool::Event, request::State};

/// A worker whose functions are not set up.
fn loading(functions: &[&str]) -> pb::StateDelta {
    pb::StateDelta { loading_functions: functions.iter().map(|name| (*name).to_owned()).collect(), ..ready(&[]) }
}

fn hello_loading(functions: &[&str]) -> pb::Hello {
    pb::Hello { state: Some(loading(functions)), ..hello("w", &[]) }
}

/// A pool whose function `paint` declares these models, and a worker that is loading it.
async fn scene(models: &[&str]) -> (Pool, Arc<Shelf>, Worker) {
    let (pool, shelf) = Shelf::pool().await;
    pool.handle.describe(vec![described("paint", "inference", "dev", models)]).await.expect("pool is open");
    for model in models {
        shelf.push(&format!("{model}:prod"), "d1");
    }
    let worker = pool.worker(hello_loading(&["paint"])).await;
    (pool, shelf, worker)
}

impl Worker {
    /// The next message, which is about a model: what to do, with which files.
    async fn expect_op(&mut self, kind: ModelOpKind, reference: &str) -> String {
        match self.next().await {
            down::Msg::ModelOp(op) => {
                assert_eq!((op.op(), op.r#ref.as_str()), (kind, reference));
                op.snapshot.map(|snapshot| snapshot.digest).unwrap_or_default()
            }
            other => panic!("{other:?}"),
        }
    }

    async fn tell(&self, reference: &str, state: ModelState) {
        self.send(up::Msg::ModelEvent(pb::ModelEvent {
            r#ref: reference.into(),
            state: state.into(),
            ..Default::default()
        }))
        .await;
    }

    async fn fail(&self, reference: &str, error: &str) {
        let (state, error) = (ModelState::Failed.into(), error.to_owned());
        self.send(up::Msg::ModelEvent(pb::ModelEvent { r#ref: reference.into(), state, error, ..Default::default() }))
            .await;
    }

    /// Does what a load asks for.
    async fn load(&mut self, reference: &str, function: &str) -> String {
        let digest = self.expect_op(ModelOpKind::Load, reference).await;
        for state in [ModelState::Downloading, ModelState::OnDisk, ModelState::InRam] {
            self.tell(reference, state).await;
        }
        self.state(ready(&[function])).await;
        digest
    }
}

#[tokio::test(start_paused = true)]
async fn o22_c27_a_declared_model_is_kept_loaded_and_seen_and_a_job_brings_it_no_more() {
    let (pool, shelf) = Shelf::pool().await;
    pool.handle.describe(vec![described("paint", "inference", "dev", &["acme/paint"])]).await.expect("pool is open");
    shelf.push("acme/paint:prod", "d1");
    let mut worker = pool.open(Some(up::Msg::Hello(hello_loading(&["paint"]))), None).await.expect("stream opens");
    let down::Msg::HelloAck(ack) = worker.next().await else { panic!("an acknowledgement") };
    assert_eq!(ack.keep, ["acme/paint"]);
    assert_eq!(worker.load("acme/paint", "paint").await, "d1");
    pool.submit(request("r", "paint")).await;
    assert!(worker.expect_run("r", 1).await.snapshots.is_empty(), "its files are known to be there");
    let models = pool.handle.models();
    assert_eq!((models[0].r#ref.as_str(), models[0].workers[0].tier), ("acme/paint", "ram"));
    worker.silent_for(Duration::from_secs(4)).await;
}

#[tokio::test(start_paused = true)]
async fn o22_several_models_come_side_by_side_and_are_loaded_once_they_are_there() {
    let (_pool, _shelf, mut worker) = scene(&["acme/paint", "acme/vae"]).await;
    worker.expect_op(ModelOpKind::Download, "acme/paint").await;
    worker.expect_op(ModelOpKind::Download, "acme/vae").await;
    worker.tell("acme/vae", ModelState::OnDisk).await;
    worker.silent_for(Duration::from_secs(3)).await;
    worker.tell("acme/paint", ModelState::OnDisk).await;
    // The pause after a download is no reason to wait: another kind of operation follows it.
    assert_eq!(worker.expect_op(ModelOpKind::Load, "acme/paint").await, "d1");
}

#[tokio::test(start_paused = true)]
async fn o23_c31_a_description_that_comes_late_is_acknowledged_anew_and_state_never_is() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.push("acme/paint:prod", "d1");
    let mut worker = pool.worker(hello_loading(&["paint"])).await;
    worker.silent_for(Duration::from_secs(30)).await;
    pool.handle.describe(vec![described("paint", "inference", "dev", &["acme/paint"])]).await.expect("pool is open");
    let down::Msg::HelloAck(ack) = worker.next().await else { panic!("an acknowledgement") };
    assert_eq!(ack.keep, ["acme/paint"]);
    worker.load("acme/paint", "paint").await;
    pool.handle.describe(vec![described("paint", "inference", "dev", &["acme/paint"])]).await.expect("pool is open");
    worker.silent_for(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_nowhere_ends_requests_with_one_clear_error_until_it_is_pushed() {
    let (pool, shelf) = Shelf::pool().await;
    pool.handle.describe(vec![described("paint", "inference", "dev", &["acme/paint"])]).await.expect("pool is open");
    let mut worker = pool.worker(hello_loading(&["paint"])).await;
    pool.submit(request("early", "paint")).await;
    let error = pool.ended("early").await.ending.clone().and_then(|ending| ending.error).expect("an error");
    assert_eq!(error.code, "no_worker");
    assert_eq!(error.message, "the hub does not have model acme/paint, which this function declares");
    shelf.push("acme/paint:prod", "d1");
    // Found without anybody asking, some seconds later.
    assert_eq!(worker.load("acme/paint", "paint").await, "d1");
    pool.submit(request("late", "paint")).await;
    worker.expect_run("late", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_still_starts_may_have_the_model_from_elsewhere() {
    let (pool, _shelf) = Shelf::pool().await;
    pool.handle.describe(vec![described("paint", "inference", "dev", &["acme/paint"])]).await.expect("pool is open");
    let booting = pb::StateDelta { phase: pb::WorkerPhase::LoadingPipelines.into(), ..loading(&["paint"]) };
    let mut worker = pool.worker(pb::Hello { state: Some(booting), ..hello("w", &[]) }).await;
    pool.submit(request("r", "paint")).await;
    worker.silent_for(Duration::from_secs(60)).await;
    assert_eq!(pool.get("r").await.state, State::Queued);
    worker.state(ready(&["paint"])).await;
    worker.tell("acme/paint", ModelState::InRam).await;
    let run = match worker.next().await {
        down::Msg::RunJob(run) => run,
        other => panic!("{other:?}"),
    };
    assert!(run.snapshots.is_empty());
}

/// The phases that a reader is told, up to this state.
async fn phases(events: &mut crate::pool::Subscription, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    while told.last().is_none_or(|state| state != last) {
        match events.next().await.expect("the stream goes on") {
            Event::Phase { value } => {
                assert_eq!(value["ref"], "acme/paint");
                told.push(value["state"].as_str().expect("a state").to_owned());
            }
            Event::State { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_away_holds_requests_and_they_hear_what_they_wait_for() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.go_away(true);
    shelf.push("acme/paint:prod", "d1");
    pool.handle.describe(vec![described("paint", "inference", "dev", &["acme/paint"])]).await.expect("pool is open");
    let mut worker = pool.worker(hello_loading(&["paint"])).await;
    let id = pool.submit(request("r", "paint")).await.submitted.id.clone();
    worker.silent_for(Duration::from_secs(60)).await;
    let mut events = pool.handle.subscribe(&id, None).await.expect("open").expect("known");
    assert_eq!(phases(&mut events, "hub_unavailable").await, ["hub_unavailable"]);
    let before = shelf.asked();
    assert!(before > 10 && before < 60, "it is asked every few seconds, not more: {before}");
    shelf.go_away(false);
    worker.load("acme/paint", "paint").await;
    let told = phases(&mut events, "in_ram").await;
    let mut told: Vec<_> = told.iter().map(String::as_str).filter(|state| *state != "hub_unavailable").collect();
    told.dedup();
    assert_eq!(told, ["resolved", "downloading", "on_disk", "in_ram"]);
    worker.expect_run("r", 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_away_does_not_hold_up_what_workers_have() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.go_away(true);
    pool.handle.describe(vec![described("paint", "inference", "dev", &["acme/paint"])]).await.expect("pool is open");
    let mut worker = pool.worker(holding("w", &["paint"], &["acme/paint"])).await;
    pool.submit(request("r", "paint")).await;
    assert!(worker.expect_run("r", 1).await.snapshots.is_empty());
}

#[tokio::test(start_paused = true)]
async fn c29_new_addresses_follow_those_that_have_expired() {
    let (_pool, shelf, mut worker) = scene(&["acme/paint"]).await;
    assert_eq!(worker.expect_op(ModelOpKind::Load, "acme/paint").await, "d1");
    shelf.push("acme/paint:prod", "d2");
    worker.fail("acme/paint", "url_expired").await;
    assert_eq!(worker.expect_op(ModelOpKind::Load, "acme/paint").await, "d2", "asked anew");
    worker.fail("acme/paint", "insufficient_disk").await;
    worker.silent_for(Duration::from_secs(4)).await;
    assert_eq!(worker.expect_op(ModelOpKind::Load, "acme/paint").await, "d2", "after a pause");
}

#[tokio::test(start_paused = true)]
async fn c28_a_model_that_does_not_load_is_tried_again_when_its_tag_moves() {
    let (pool, shelf, mut worker) = scene(&["acme/paint"]).await;
    worker.expect_op(ModelOpKind::Load, "acme/paint").await;
    worker.tell("acme/paint", ModelState::OnDisk).await;
    worker.fail("acme/paint", "load_failed").await;
    let why = pb::FnUnavailable { function_name: "paint".into(), reason: "setup_failed".into(), ..Default::default() };
    worker.send(up::Msg::FnUnavailable(why)).await;
    worker.silent_for(Duration::from_secs(120)).await;
    shelf.push("acme/paint:prod", "d2");
    assert_eq!(worker.load("acme/paint", "paint").await, "d2");
    while pool.handle.functions()[0].workers_available == 0 {
        tokio::task::yield_now().await;
    }
    pool.submit(request("r", "paint")).await;
    worker.expect_run("r", 1).await;
}

#[tokio::test(start_paused = true)]
async fn o22_a_tag_that_moves_has_its_new_files_brought_beside_the_jobs() {
    let (pool, shelf, mut worker) = scene(&["acme/paint"]).await;
    worker.load("acme/paint", "paint").await;
    worker.silent_for(Duration::from_secs(60)).await;
    shelf.push("acme/paint:prod", "d2");
    assert_eq!(worker.expect_op(ModelOpKind::Download, "acme/paint").await, "d2");
    pool.submit(request("during", "paint")).await;
    let run = worker.expect_run("during", 1).await;
    assert_eq!(run.snapshots.get("acme/paint").map(|files| files.digest.as_str()), Some("d2"), "not known to be there");
    worker.tell("acme/paint", ModelState::InRam).await;
    worker.finish("during", 1, JobStatus::Ok, "").await;
    pool.ended("during").await;
    pool.submit(request("after", "paint")).await;
    assert!(worker.expect_run("after", 1).await.snapshots.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_model_that_does_not_fit_takes_the_place_of_the_one_least_used() {
    let (pool, shelf) = Shelf::pool().await;
    let models = ["acme/old", "acme/busy", "acme/paint"];
    models.iter().for_each(|model| shelf.push(&format!("{model}:prod"), "d1"));
    let functions = [("old", "acme/old"), ("busy", "acme/busy"), ("paint", "acme/paint")];
    let manifests = functions.iter().map(|(function, model)| described(function, "inference", "dev", &[model]));
    pool.handle.describe(manifests.collect()).await.expect("pool is open");
    let in_vram = |model: &&str| pb::ModelResidency {
        r#ref: (*model).to_owned(),
        tier: pb::ResidencyTier::Vram.into(),
        vram_bytes: 1,
    };
    let resources = Some(pb::WorkerResources { gpu_count: 1, vram_total_bytes: 1 << 34, ..Default::default() });
    let state = pb::StateDelta { available_functions: vec!["busy".into(), "old".into()], ..loading(&["paint"]) };
    let hello = pb::Hello {
        resources,
        state: Some(state),
        models: models[..2].iter().map(in_vram).collect(),
        ..hello("w", &[])
    };
    let mut worker = pool.worker(hello).await;
    assert_eq!(
        worker.expect_op(ModelOpKind::Download, "acme/paint").await,
        "d1",
        "there is no room to load it unasked"
    );
    worker.tell("acme/paint", ModelState::OnDisk).await;
    pool.submit(request("b", "busy")).await;
    worker.expect_run("b", 1).await;
    worker.accept("b", 1).await;
    pool.submit(request("p", "paint")).await;
    worker.expect_op(ModelOpKind::Load, "acme/paint").await;
    worker.fail("acme/paint", "oom").await;
    worker.expect_op(ModelOpKind::Unload, "acme/old").await;
    worker.tell("acme/old", ModelState::OnDisk).await;
    let state = pb::StateDelta { available_functions: vec!["busy".into()], ..loading(&["old", "paint"]) };
    worker.state(state).await;
    worker.expect_op(ModelOpKind::Load, "acme/paint").await;
    worker.tell("acme/paint", ModelState::InVram).await;
    worker.state(pb::StateDelta { loading_functions: vec!["old".into()], ..ready(&["busy", "paint"]) }).await;
    worker.expect_run("p", 1).await;
}

#[tokio::test(start_paused = true)]
async fn m13_1_a_job_goes_to_the_worker_that_has_its_model_nearest() {
    let (pool, shelf) = Shelf::pool().await;
    shelf.push("acme/paint:prod", "d1");
    pool.handle.describe(vec![described("paint", "inference", "dev", &["acme/paint"])]).await.expect("pool is open");
    let mut cold =
        pool.worker(pb::Hello { worker_id: "cold".into(), ..holding("", &["paint"], &["acme/paint"]) }).await;
    let mut warm =
        pool.worker(pb::Hello { worker_id: "warm".into(), ..holding("", &["paint"], &["acme/paint"]) }).await;
    warm.tell("acme/paint", ModelState::InRam).await;
    while pool.handle.models()[0].workers.iter().all(|place| place.tier != "ram") {
        tokio::task::yield_now().await;
    }
    for id in ["a", "b", "c"] {
        pool.submit(request(id, "paint")).await;
        warm.expect_run(id, 1).await;
    }
    cold.silent_for(Duration::from_secs(1)).await;
}
