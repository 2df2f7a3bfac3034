//! Leaving.

use gen_worker_core::Ended;
use gen_worker_proto::pb::{JobStatus, worker_message::Msg};
use tokio::time::Instant;

use crate::{
    fixture::Fixture,
    functions::{count, text},
};

#[tokio::test(start_paused = true)]
async fn c17_w19_w20_a_drain_refuses_new_jobs_and_finishes_the_running_one() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    session.drain(5_000).await;
    let state = session.state().await;
    assert!(state.available_functions.is_empty() && state.loading_functions.is_empty());
    session.run("r2", 1, "echo", &text("late")).await;
    let Msg::JobResult(result) = session.next().await else { panic!("a refusal comes first") };
    assert_eq!((result.request_id.as_str(), result.status()), ("r2", JobStatus::Retryable));
    assert_eq!(result.safe_message, "worker draining");
    session.run("r1", 1, "gated-echo", &text("a")).await;
    assert_eq!(session.accepted().await, ("r1".into(), 1), "W8 comes first, also while draining");
    fixture.probe.open("a");
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    assert_eq!(session.try_next().await, None, "half-close");
    session.finish();
    assert_eq!(fixture.ended().await.expect("a good end"), Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn c18_w19_at_the_deadline_jobs_go_back() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "slow", &count(30_000)).await;
    session.accepted().await;
    let began = Instant::now();
    session.drain(500).await;
    let result = session.result().await;
    assert_eq!((result.status(), result.safe_message.as_str()), (JobStatus::Retryable, "worker draining"));
    assert!(began.elapsed().as_millis() < 600);
    assert_eq!(session.try_next().await, None);
    session.finish();
    assert_eq!(fixture.ended().await.expect("a good end"), Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn w19_an_orchestrator_that_does_not_end_the_call_is_left_after_5_s() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    let began = Instant::now();
    session.drain(0).await;
    session.state().await;
    assert_eq!(session.try_next().await, None);
    assert_eq!(fixture.ended().await.expect("a good end"), Ended::Drained);
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn w19_a_stop_is_a_drain_and_a_kill_is_not() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "slow", &count(60_000)).await;
    session.accepted().await;
    let began = Instant::now();
    fixture.cancel.stop();
    assert_eq!(session.result().await.safe_message, "worker draining");
    assert_eq!(began.elapsed().as_secs(), 30);
    fixture.cancel.kill();
    assert_eq!(fixture.ended().await.expect("a good end"), Ended::Killed);
}

#[tokio::test(start_paused = true)]
async fn w19_a_result_finished_offline_is_delivered_before_leaving() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    fixture.cancel.stop();
    session.state().await;
    session.cut();
    let (mut session, hello) = fixture.orchestrator.connect().await;
    assert_eq!(hello.in_flight.len(), 1);
    session.state().await;
    fixture.probe.open("a");
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    assert_eq!(session.try_next().await, None);
    session.finish();
    assert_eq!(fixture.ended().await.expect("a good end"), Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn w19_a_drain_waits_out_no_backoff() {
    let mut fixture = Fixture::start();
    let mut session = fixture.session().await;
    fixture.orchestrator.next_dial().await;
    session.run("r1", 1, "gated-echo", &text("a")).await;
    session.accepted().await;
    fixture.orchestrator.set_reachable(false);
    session.cut();
    for _ in 0..8 {
        fixture.orchestrator.next_dial().await;
    }
    fixture.probe.open("a");
    let mut last = Instant::now();
    fixture.cancel.stop();
    for _ in 0..8 {
        let (_, at) = fixture.orchestrator.next_dial().await;
        assert!((at - last).as_millis() <= 1_010, "{:?}", at - last);
        last = at;
    }
    fixture.orchestrator.set_reachable(true);
    let (mut session, _) = fixture.orchestrator.connect().await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    session.finish();
    assert_eq!(fixture.ended().await.expect("a good end"), Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_connection_and_work_ends_at_once() {
    let mut fixture = Fixture::start();
    fixture.orchestrator.set_reachable(false);
    fixture.orchestrator.next_dial().await;
    fixture.cancel.stop();
    assert_eq!(fixture.ended().await.expect("a good end"), Ended::Drained);
}
