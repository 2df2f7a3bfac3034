//! Who gets work, by what workers say of themselves.

use std::time::Duration;

use gen_worker_proto::pb::{self, worker_message as up};

use super::harness::{Pool, hello, hello_with, ready, request};
use crate::request::State;

fn phase(phase: pb::WorkerPhase, available: &[&str], loading: &[&str]) -> pb::StateDelta {
    pb::StateDelta {
        phase: phase.into(),
        loading_functions: loading.iter().map(|name| (*name).to_owned()).collect(),
        ..ready(available)
    }
}

#[tokio::test(start_paused = true)]
async fn o16_loading_functions_are_no_capacity_and_the_phase_does_not_gate_except_error() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &[])).await;
    worker.state(phase(pb::WorkerPhase::Booting, &[], &["echo"])).await;
    while pool.handle.functions().is_empty() {
        tokio::task::yield_now().await;
    }
    pool.submit(request("r", "echo")).await;
    worker.silent_for(Duration::from_secs(10)).await;
    worker.state(phase(pb::WorkerPhase::Error, &["echo"], &[])).await;
    worker.silent_for(Duration::from_secs(10)).await;
    worker.state(phase(pb::WorkerPhase::Booting, &["echo"], &[])).await;
    worker.expect_run("r", 1).await;
}

#[tokio::test(start_paused = true)]
async fn o5_a_hello_replaces_everything_known_of_the_worker() {
    let pool = Pool::start().await;
    let models = vec![pb::ModelResidency { r#ref: "a/b".into(), tier: 3, vram_bytes: 7 }];
    let worker = pool.worker(pb::Hello { models, ..hello("w", &["echo"]) }).await;
    worker.send(up::Msg::FnUnavailable(unavailable("other"))).await;
    while pool.handle.workers()[0].disabled_functions.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.handle.models()[0].workers[0].tier, "vram");
    let _worker = pool.worker(hello("w", &["new"])).await;
    let view = pool.handle.workers().remove(0);
    assert_eq!(view.available_functions, ["new"]);
    assert!(view.disabled_functions.is_empty());
    assert!(pool.handle.models().is_empty());
}

fn unavailable(function: &str) -> pb::FnUnavailable {
    pb::FnUnavailable { function_name: function.into(), reason: "setup_failed".into(), ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn o19_a_disabled_function_is_not_sent_and_fails_when_nobody_is_left() {
    let pool = Pool::start().await;
    let mut first = pool.worker(hello("first", &["echo"])).await;
    let mut second = pool.worker(hello("second", &["echo"])).await;
    first.send(up::Msg::FnUnavailable(unavailable("echo"))).await;
    while pool.handle.functions()[0].workers_disabled == 0 {
        tokio::task::yield_now().await;
    }
    pool.submit(request("r", "echo")).await;
    second.expect_run("r", 1).await;
    first.silent_for(Duration::from_secs(4)).await;
    second.finish("r", 1, pb::JobStatus::Retryable, "function unavailable: setup_failed").await;
    second.send(up::Msg::FnUnavailable(unavailable("echo"))).await;
    let ended = pool.ended("r").await;
    let error = ended.ending.as_ref().and_then(|ending| ending.error.clone()).expect("failed");
    assert_eq!(error.code, "no_worker");
    let refused = pool.handle.submit(vec![request("s", "echo")], false).await.expect("open").remove(0);
    assert_eq!(refused.err(), Some(crate::pool::SubmitError::NoWorker));
    first.state(ready(&["echo"])).await;
    while pool.handle.functions()[0].workers_available == 0 {
        tokio::task::yield_now().await;
    }
    pool.submit(request("t", "echo")).await;
    first.expect_run("t", 1).await;
}

#[tokio::test(start_paused = true)]
async fn o20_a_degraded_worker_comes_second_but_is_used() {
    let pool = Pool::start().await;
    let mut slow = pool.worker(hello("slow", &["echo"])).await;
    slow.send(up::Msg::FnDegraded(pb::FnDegraded {
        function_name: "echo".into(),
        ran: "cpu".into(),
        est_latency_multiplier: 40.0,
        ..Default::default()
    }))
    .await;
    while pool.handle.functions()[0].workers_degraded == 0 {
        tokio::task::yield_now().await;
    }
    let mut fast = pool.worker(hello("fast", &["echo"])).await;
    for name in ["a", "b"] {
        pool.submit(request(name, "echo")).await;
        fast.expect_run(name, 1).await;
        fast.accept(name, 1).await;
    }
    drop(fast);
    tokio::time::sleep(Duration::from_secs(1)).await;
    pool.submit(request("c", "echo")).await;
    slow.expect_run("c", 1).await;
}

#[tokio::test(start_paused = true)]
async fn o21_a_failed_model_leaves_residency_and_functions_alone() {
    let pool = Pool::start().await;
    let models = vec![pb::ModelResidency { r#ref: "a/b".into(), tier: 1, vram_bytes: 0 }];
    let mut worker = pool.worker(pb::Hello { models, ..hello("w", &["echo"]) }).await;
    let event = |state: pb::ModelState, name: &str| {
        up::Msg::ModelEvent(pb::ModelEvent { r#ref: name.into(), state: state.into(), ..Default::default() })
    };
    worker.send(event(pb::ModelState::Failed, "a/b")).await;
    worker.send(event(pb::ModelState::Failed, "_system/family-x#trt-1")).await;
    worker.send(event(pb::ModelState::Adopted, "a/b")).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    assert_eq!(pool.handle.models()[0].workers[0].tier, "disk");
    worker.send(event(pb::ModelState::InRam, "a/b")).await;
    worker.send(event(pb::ModelState::Downloading, "c/d")).await;
    worker.accept("r", 1).await;
    pool.reaches("r", State::Running).await;
    let models = pool.handle.models();
    let tiers: Vec<_> = models.iter().map(|model| (model.r#ref.as_str(), model.workers[0].tier)).collect();
    assert_eq!(tiers, [("a/b", "ram"), ("c/d", "none")]);
    assert_eq!(models[1].workers[0].download, Some((0, 0)));
}

#[tokio::test(start_paused = true)]
async fn c33_unknown_messages_break_nothing() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello_with("w", &["echo"], &[])).await;
    worker.send_raw(pb::WorkerMessage { msg: None }).await;
    worker.send(up::Msg::Hello(hello("w", &[]))).await;
    let odd = pb::StateDelta { phase: 99, ..ready(&["echo", "", "!!!"]) };
    worker.state(odd).await;
    worker.send(up::Msg::JobProgress(pb::JobProgress::default())).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn jobs_spread_over_workers_and_a_worker_holds_no_more_than_its_share() {
    let pool = Pool::start().await;
    let mut first = pool.worker(hello("first", &["echo"])).await;
    let mut second = pool.worker(hello("second", &["echo"])).await;
    for number in 0..130 {
        pool.submit(request(&format!("r{number:03}"), "echo")).await;
    }
    let view = pool.handle.workers();
    assert_eq!((view[0].jobs, view[1].jobs), (64, 64));
    let counters = pool.handle.counters();
    assert_eq!((counters.queued, counters.running), (2, 128));
    for number in 0..64 {
        first.expect_run(&format!("r{:03}", number * 2), 1).await;
        second.expect_run(&format!("r{:03}", number * 2 + 1), 1).await;
    }
    first.finish("r000", 1, pb::JobStatus::Ok, "").await;
    first.expect_run("r128", 1).await;
}
