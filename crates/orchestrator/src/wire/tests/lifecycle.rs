//! Streams: gate, supersede, loss, drain.

use std::{sync::Arc, time::Duration};

use gen_worker_proto::pb::{self, scheduler_message as down, worker_message as up};
use tokio::time::Instant;
use tonic::Code;

use super::harness::{Pool, hello, hello_with, pair, ready, request};
use crate::{
    pool::Options,
    queue::memory::MemoryQueue,
    request::{ErrorClass, State},
    session::TokenGate,
};

#[tokio::test(start_paused = true)]
async fn o1_a_stream_without_a_known_token_is_unauthenticated() {
    let gate = Arc::new(TokenGate::new(vec!["secret".into()]));
    let pool = Pool::start_with(Options::default(), Arc::new(MemoryQueue::default()), gate).await;
    for token in [None, Some("wrong")] {
        let refused = pool.open(Some(up::Msg::Hello(hello("w", &[]))), token).await;
        assert_eq!(refused.err().map(|status| status.code()), Some(Code::Unauthenticated));
    }
    let mut worker = pool.open(Some(up::Msg::Hello(hello("w", &[]))), Some("secret")).await.expect("admitted");
    assert!(matches!(worker.next().await, down::Msg::HelloAck(_)));
}

#[tokio::test(start_paused = true)]
async fn o2_the_first_message_must_be_a_valid_hello() {
    let pool = Pool::start().await;
    let old = pb::Hello { protocol_version: 1, ..hello("w", &[]) };
    let cases = [
        (up::Msg::StateDelta(ready(&[])), "first message must be hello"),
        (up::Msg::Hello(old), "protocol_version_mismatch"),
        (up::Msg::Hello(hello("", &[])), "missing worker identity"),
    ];
    for (first, text) in cases {
        let status = pool.open(Some(first), None).await.expect("opens").end().await.expect("refused");
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, text));
    }
    // A round trip through the owner: what was sent to it before has been counted.
    assert!(pool.handle.get(&pair("r", 1).request_id).await.expect("open").is_none());
    assert_eq!(pool.handle.counters().refused, 3);
}

#[tokio::test(start_paused = true)]
async fn c22_a_silent_worker_is_told_hello_timeout_after_15_s() {
    let pool = Pool::start().await;
    let mut worker = pool.open(None, None).await.expect("opens");
    let start = Instant::now();
    let status = worker.end().await.expect("refused");
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "hello_timeout"));
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn o3_the_ack_comes_before_work_that_was_waiting() {
    let pool = Pool::start().await;
    pool.worker(hello("first", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    let mut worker = pool.open(Some(up::Msg::Hello(hello("w", &["echo"]))), None).await.expect("opens");
    let down::Msg::HelloAck(ack) = worker.next().await else { panic!("ack first") };
    assert_eq!(ack.protocol_version, 2);
    assert!(!ack.file_base_url.is_empty(), "o25");
}

#[tokio::test(start_paused = true)]
async fn c26_o4_a_newer_stream_replaces_the_older_and_keeps_what_it_reclaims() {
    let pool = Pool::start().await;
    let mut old = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    old.expect_run("r", 1).await;
    old.accept("r", 1).await;
    pool.reaches("r", State::Running).await;
    let mut new = pool.worker(hello_with("w", &["echo"], &[("r", 1)])).await;
    let status = old.end().await.expect("ended");
    assert_eq!((status.code(), status.message()), (Code::Aborted, "worker_stream_superseded"));
    drop(old);
    new.silent_for(Duration::from_secs(60)).await;
    new.finish("r", 1, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.attempt.0, 1);
    assert_eq!(pool.handle.counters().superseded, 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_on_the_replaced_stream_still_counts() {
    let pool = Pool::start().await;
    let mut old = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    old.expect_run("r", 1).await;
    let mut new = pool.worker(hello_with("w", &["echo"], &[("r", 1)])).await;
    old.finish("r", 1, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.state, State::Succeeded);
    new.silent_for(Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn o11_a_lost_stream_keeps_its_pairs_for_15_s() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    worker.accept("r", 1).await;
    pool.reaches("r", State::Running).await;
    let start = Instant::now();
    drop(worker);
    let mut other = pool.worker(hello("other", &["echo"])).await;
    other.expect_run("r", 2).await;
    assert!((14..=16).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    other.finish("r", 2, pb::JobStatus::Ok, "").await;
    let request = pool.ended("r").await;
    let failed: Vec<_> = request.attempts.iter().map(|failed| (failed.attempt, failed.class)).collect();
    assert_eq!(failed, [(1, ErrorClass::Lost)]);
}

#[tokio::test(start_paused = true)]
async fn o11_a_worker_that_comes_back_in_time_keeps_its_pairs() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    worker.accept("r", 1).await;
    pool.reaches("r", State::Running).await;
    drop(worker);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut worker = pool.worker(hello_with("w", &["echo"], &[("r", 1)])).await;
    worker.silent_for(Duration::from_secs(60)).await;
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.attempts, []);
}

#[tokio::test(start_paused = true)]
async fn o17_a_draining_worker_gets_nothing_and_its_end_gives_its_pairs_back_at_once() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("held", "echo")).await;
    worker.expect_run("held", 1).await;
    assert!(pool.handle.drain_worker("w", Duration::from_secs(5)).await);
    assert!(!pool.handle.drain_worker("nobody", Duration::ZERO).await);
    assert_eq!(worker.next().await, down::Msg::Drain(pb::Drain { deadline_ms: 5_000 }));
    worker.accept("held", 1).await;
    pool.submit(request("later", "echo")).await;
    worker.silent_for(Duration::from_secs(30)).await;
    let mut other = pool.worker(hello("other", &["echo"])).await;
    other.expect_run("later", 1).await;
    let start = Instant::now();
    drop(worker);
    other.expect_run("held", 2).await;
    assert!(start.elapsed() < Duration::from_secs(1));
    other.finish("held", 2, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("held").await.attempts, [], "what a drained worker gives back is no failure");
}

#[tokio::test(start_paused = true)]
async fn o18_a_half_closed_stream_is_read_to_its_end_and_ended_with_ok() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    worker.half_close();
    let start = Instant::now();
    assert!(worker.end().await.is_none(), "OK");
    assert!(start.elapsed() <= Duration::from_secs(5));
    assert_eq!(pool.ended("r").await.state, State::Succeeded);
    assert!(pool.handle.workers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stopping_orchestrator_ends_streams_as_unavailable() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.shut_down().await;
    assert_eq!(worker.end().await.map(|status| status.code()), Some(Code::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn o23_state_of_a_worker_is_never_answered() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &[])).await;
    worker.state(ready(&["a"])).await;
    worker.state(ready(&["a", "b"])).await;
    worker.silent_for(Duration::from_secs(90)).await;
    assert_eq!(pool.handle.workers()[0].available_functions, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn o11_the_window_of_one_absence_says_nothing_about_another_worker() {
    let pool = Pool::start().await;
    let first = pool.worker(hello("a", &["echo"])).await;
    drop(first);
    tokio::time::sleep(Duration::from_secs(5)).await;
    // It comes back and leaves in order: its place in the roster is free again.
    let mut first = pool.worker(hello("a", &["echo"])).await;
    first.half_close();
    assert!(first.end().await.is_none());
    let mut second = pool.worker(hello("b", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    second.expect_run("r", 1).await;
    second.accept("r", 1).await;
    pool.reaches("r", State::Running).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    drop(second);
    // The window of the first absence ends two seconds later; that of this one has begun a moment ago.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut second = pool.worker(hello_with("b", &["echo"], &[("r", 1)])).await;
    second.silent_for(Duration::from_secs(30)).await;
    second.finish("r", 1, pb::JobStatus::Ok, "").await;
    let ended = pool.ended("r").await;
    assert_eq!((ended.state, ended.attempt.0), (State::Succeeded, 1));
}

#[tokio::test(start_paused = true)]
async fn o17_what_crosses_the_goodbye_of_a_worker_does_not_count_as_failed() {
    let pool = Pool::start().await;
    let mut leaving = pool.worker(hello("a", &["echo"])).await;
    let options = crate::request::Options { max_attempts: 1, ..Default::default() };
    pool.submit(super::harness::request_with("r", "echo", options)).await;
    leaving.expect_run("r", 1).await;
    leaving.half_close();
    assert!(leaving.end().await.is_none());
    let mut other = pool.worker(hello("b", &["echo"])).await;
    other.expect_run("r", 2).await;
    other.finish("r", 2, pb::JobStatus::Ok, "").await;
    let ended = pool.ended("r").await;
    assert_eq!((ended.state, ended.attempts.len()), (State::Succeeded, 0));
}

#[tokio::test(start_paused = true)]
async fn a_worker_cannot_call_any_number_of_functions_unavailable() {
    let pool = Pool::start().await;
    let worker = pool.worker(hello("w", &["echo"])).await;
    for n in 0..600 {
        let text = "x".repeat(5_000);
        worker
            .send(up::Msg::FnUnavailable(pb::FnUnavailable {
                function_name: format!("f{n}"),
                reason: text.clone(),
                detail: text,
                ..Default::default()
            }))
            .await;
    }
    worker.accept("nobody", 1).await;
    let view = loop {
        // The message after them was counted: all of them have been looked at.
        let view = pool.handle.workers().remove(0);
        if pool.handle.counters().stale == 89 {
            break view;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(view.disabled_functions.len(), 512);
    assert!(view.disabled_functions.iter().all(|function| function.detail.len() <= 1_024));
}
