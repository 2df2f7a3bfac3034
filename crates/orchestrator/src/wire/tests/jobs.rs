//! Job messages: dispatch, fencing, results, cancel.

use std::time::Duration;

use gen_worker_proto::{
    RequestId,
    pb::{self, worker_message as up},
};
use tokio::time::Instant;

use super::harness::{Pool, hello, hello_with, memory, memory_with, now_ms, request, request_with};
use crate::{
    pool::{CancelOutcome, SubmitError, Submitted},
    request::{ErrorClass, Options, State, UnixMs},
};

fn id(id: &str) -> RequestId {
    RequestId::parse(id).expect("valid id")
}

#[tokio::test(start_paused = true)]
async fn o25_a_run_job_carries_what_workers_need() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    let options = Options { timeout_ms: 300, ..Options::default() };
    pool.submit(request_with("r", "echo", options)).await;
    let run = worker.expect_run("r", 1).await;
    assert_eq!((run.function_name.as_str(), run.timeout_ms, run.tenant.as_str()), ("echo", 300, "dev"));
    assert_eq!(run.input_payload.as_ref(), b"\x80");
    assert!(!run.capability_token.is_empty());
    assert_eq!(run.output_mode, i32::from(pb::OutputMode::Url));
    assert_eq!(run.compute, None, "the function's own declaration holds");
}

#[tokio::test(start_paused = true)]
async fn c3_a_job_goes_through_all_states_and_its_timings_add_up() {
    for new in [request("r", "echo"), memory("r", "echo")] {
        let pool = Pool::start().await;
        let mut worker = pool.worker(hello("w", &["echo"])).await;
        pool.submit(new).await;
        worker.expect_run("r", 1).await;
        assert_eq!(pool.get("r").await.state, State::Assigned);
        tokio::time::sleep(Duration::from_millis(20)).await;
        worker.accept("r", 1).await;
        let running = pool.reaches("r", State::Running).await;
        assert_eq!(running.worker_id.as_deref(), Some("w"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let metrics = pb::JobMetrics { runtime_ms: 70, queue_ms: 10, ..Default::default() };
        worker
            .send(up::Msg::JobResult(pb::JobResult {
                request_id: "r".into(),
                attempt: 1,
                status: pb::JobStatus::Ok.into(),
                metrics: Some(metrics),
                ..Default::default()
            }))
            .await;
        let ended = pool.ended("r").await;
        let ending = ended.ending.as_ref().expect("ended");
        let timings = ending.timings;
        let sum = timings.queue_ms
            + timings.dispatch_ms
            + timings.download_ms
            + timings.load_ms
            + timings.slot_wait_ms
            + timings.run_ms
            + timings.upload_ms;
        assert!((sum - timings.total_ms).abs() < 1.0, "p8: {timings:?}");
        assert_eq!((timings.run_ms, timings.slot_wait_ms), (70.0, 10.0));
        assert!((19.0..23.0).contains(&timings.dispatch_ms), "{timings:?}");
        assert_eq!(ending.output, None);
        assert_eq!(ending.placement.as_ref().map(|placement| placement.worker_id.as_str()), Some("w"));
    }
}

#[tokio::test(start_paused = true)]
async fn o7_messages_for_a_pair_that_is_not_current_are_dropped() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    let other = pool.worker(hello("other", &[])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    worker.finish("r", 2, pb::JobStatus::Ok, "").await;
    worker.finish("unknown", 1, pb::JobStatus::Ok, "").await;
    other.finish("r", 1, pb::JobStatus::Ok, "").await;
    worker.accept("r", 1).await;
    pool.reaches("r", State::Running).await;
    worker.finish("r", 1, pb::JobStatus::Fatal, "boom").await;
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.state, State::Failed);
    worker.state(super::harness::ready(&["echo"])).await;
    pool.submit(request("next", "echo")).await;
    worker.expect_run("next", 1).await;
    assert_eq!(pool.handle.counters().stale, 4);
    assert_eq!(pool.get("r").await.state, State::Failed);
}

#[tokio::test(start_paused = true)]
async fn o8_a_result_without_acceptance_counts_as_both() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    worker.finish("r", 1, pb::JobStatus::Invalid, "unknown function 'echo'").await;
    let ended = pool.ended("r").await;
    let error = ended.ending.as_ref().and_then(|ending| ending.error.clone()).expect("failed");
    assert_eq!((error.code.as_str(), error.class), ("invalid", ErrorClass::Invalid));
    assert_eq!(error.message, "unknown function 'echo'");
}

#[tokio::test(start_paused = true)]
async fn c14_a_listed_pair_nobody_knows_is_cancelled_and_its_result_dropped() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello_with("w", &["echo"], &[("ghost", 3)])).await;
    worker.expect_cancel("ghost", 3).await;
    worker.finish("ghost", 3, pb::JobStatus::Ok, "").await;
    worker.silent_for(Duration::from_secs(30)).await;
    assert!(pool.handle.get(&id("ghost")).await.expect("open").is_none());
}

#[tokio::test(start_paused = true)]
async fn c15_an_assigned_pair_that_hello_omits_is_redispatched_with_the_next_attempt() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    worker.expect_cancel("r", 1).await;
    worker.expect_run("r", 2).await;
    worker.finish("r", 1, pb::JobStatus::Fatal, "old").await;
    worker.finish("r", 2, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn c16_o10_an_unanswered_pair_is_sent_three_times_then_given_up() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    let start = Instant::now();
    for seconds in [0, 5, 10] {
        worker.expect_run("r", 1).await;
        assert_eq!(start.elapsed().as_secs(), seconds);
    }
    worker.expect_cancel("r", 1).await;
    worker.expect_run("r", 2).await;
    assert_eq!(start.elapsed().as_secs(), 15);
    worker.accept("r", 2).await;
    worker.silent_for(Duration::from_secs(60)).await;
    assert_eq!(pool.handle.counters().resent, 2);
}

#[tokio::test(start_paused = true)]
async fn o12_p14_a_cancel_goes_to_the_worker_with_the_current_attempt() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    worker.accept("r", 1).await;
    pool.reaches("r", State::Running).await;
    for _ in 0..2 {
        let outcome = pool.handle.cancel(&id("r")).await.expect("open");
        assert!(matches!(outcome, CancelOutcome::Requested(_)), "{outcome:?}");
    }
    worker.expect_cancel("r", 1).await;
    worker.finish("r", 1, pb::JobStatus::Canceled, "canceled").await;
    let ended = pool.ended("r").await;
    assert_eq!(ended.state, State::Canceled);
    let outcome = pool.handle.cancel(&id("r")).await.expect("open");
    assert!(matches!(outcome, CancelOutcome::AlreadyFinished(_)), "{outcome:?}");
    assert!(matches!(pool.handle.cancel(&id("x")).await.expect("open"), CancelOutcome::Unknown));
}

#[tokio::test(start_paused = true)]
async fn o12_a_result_that_races_a_cancel_is_honoured() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    pool.handle.cancel(&id("r")).await.expect("open");
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn p14_a_worker_that_ignores_a_cancel_is_not_waited_for_longer_than_the_grace() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    worker.accept("r", 1).await;
    pool.reaches("r", State::Running).await;
    pool.handle.cancel(&id("r")).await.expect("open");
    let start = Instant::now();
    assert_eq!(pool.ended("r").await.state, State::Canceled);
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn p14_a_queued_request_is_cancelled_at_once_and_never_runs() {
    let pool = Pool::start().await;
    drop(pool.worker(hello("w", &["echo"])).await);
    tokio::time::sleep(Duration::from_secs(20)).await;
    pool.submit(request("r", "echo")).await;
    let outcome = pool.handle.cancel(&id("r")).await.expect("open");
    assert!(matches!(&outcome, CancelOutcome::Canceled(request) if request.state == State::Canceled), "{outcome:?}");
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    worker.silent_for(Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn o13_retryable_is_tried_three_times_in_total() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    for attempt in 1..=3 {
        worker.expect_run("r", attempt).await;
        worker.finish("r", attempt, pb::JobStatus::Retryable, "later").await;
    }
    let ended = pool.ended("r").await;
    let error = ended.ending.as_ref().and_then(|ending| ending.error.clone()).expect("failed");
    assert_eq!((error.code.as_str(), error.class), ("retries_exhausted", ErrorClass::Retryable));
    let attempts: Vec<_> = error.attempts.iter().map(|failed| (failed.attempt, failed.message.as_str())).collect();
    assert_eq!(attempts, [(1, "later"), (2, "later"), (3, "later")]);
    assert_eq!(ended.attempts, error.attempts);
}

#[tokio::test(start_paused = true)]
async fn o13_the_other_statuses_are_final() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    let cases = [
        (pb::JobStatus::Invalid, "bad", "invalid"),
        (pb::JobStatus::Fatal, "boom", "failed"),
        (pb::JobStatus::Fatal, "deadline exceeded", "deadline_exceeded"),
        (pb::JobStatus::Canceled, "canceled", "canceled"),
    ];
    for (number, (status, message, code)) in cases.into_iter().enumerate() {
        let name = format!("r{number}");
        pool.submit(request(&name, "echo")).await;
        worker.expect_run(&name, 1).await;
        worker.finish(&name, 1, status, message).await;
        let ended = pool.ended(&name).await;
        let error = ended.ending.as_ref().and_then(|ending| ending.error.clone()).expect("failed");
        assert_eq!((error.code.as_str(), error.message.as_str()), (code, message));
    }
}

#[tokio::test(start_paused = true)]
async fn o13_what_a_busy_worker_gives_back_is_no_failure_and_teaches_its_limit() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("a", "echo")).await;
    pool.submit(request("b", "echo")).await;
    worker.expect_run("a", 1).await;
    worker.accept("a", 1).await;
    worker.expect_run("b", 1).await;
    worker.finish("b", 1, pb::JobStatus::Retryable, "worker busy").await;
    worker.silent_for(Duration::from_secs(30)).await;
    worker.finish("a", 1, pb::JobStatus::Ok, "").await;
    worker.expect_run("b", 2).await;
    worker.finish("b", 2, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("b").await.attempts, []);
}

#[tokio::test(start_paused = true)]
async fn c17_a_worker_that_says_draining_gets_nothing_more() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    worker.finish("r", 1, pb::JobStatus::Retryable, "worker draining").await;
    worker.silent_for(Duration::from_secs(30)).await;
    let mut other = pool.worker(hello("other", &["echo"])).await;
    other.expect_run("r", 2).await;
    assert_eq!(pool.get("r").await.attempts, []);
}

#[tokio::test(start_paused = true)]
async fn o15_a_deadline_ends_a_running_request_and_stops_the_worker() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    let options = Options { deadline: Some(UnixMs(now_ms() + 2_000)), ..Options::default() };
    pool.submit(request_with("r", "echo", options)).await;
    worker.expect_run("r", 1).await;
    worker.accept("r", 1).await;
    worker.expect_cancel("r", 1).await;
    let ended = pool.ended("r").await;
    let error = ended.ending.as_ref().and_then(|ending| ending.error.clone()).expect("failed");
    assert_eq!((error.code.as_str(), error.class), ("deadline_exceeded", ErrorClass::Deadline));
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    worker.silent_for(Duration::from_secs(10)).await;
    assert_eq!(pool.get("r").await.state, State::Failed);
}

#[tokio::test(start_paused = true)]
async fn o15_an_attempt_far_beyond_its_time_limit_is_over_whatever_its_worker_does() {
    for make in [request_with, memory_with] {
        let pool = Pool::start().await;
        let mut worker = pool.worker(hello("w", &["echo"])).await;
        let options = Options { timeout_ms: 300, ..Options::default() };
        pool.submit(make("r", "echo", options)).await;
        worker.expect_run("r", 1).await;
        worker.accept("r", 1).await;
        pool.reaches("r", State::Running).await;
        let overtime = crate::pool::Options::default().overtime;
        // Downloads and set-up may take their time: the clock of the worker has not begun then.
        worker.silent_for(overtime).await;
        worker.expect_cancel("r", 1).await;
        let ended = pool.ended("r").await;
        let error = ended.ending.as_ref().and_then(|ending| ending.error.clone()).expect("failed");
        assert_eq!((error.code.as_str(), error.class), ("deadline_exceeded", ErrorClass::Deadline));
        // The worker is as good as before for others.
        pool.submit(request("next", "echo")).await;
        worker.expect_run("next", 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn o15_the_overtime_of_one_attempt_says_nothing_about_the_next() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    let overtime = crate::pool::Options::default().overtime;
    pool.submit(request_with("r", "echo", Options { timeout_ms: 300, ..Options::default() })).await;
    worker.expect_run("r", 1).await;
    worker.accept("r", 1).await;
    worker.silent_for(overtime / 2).await;
    worker.finish("r", 1, pb::JobStatus::Retryable, "once").await;
    worker.expect_run("r", 2).await;
    worker.accept("r", 2).await;
    worker.silent_for(overtime).await;
    worker.finish("r", 2, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn p5_admission_knows_functions_and_workers() {
    let pool = Pool::start().await;
    let refused = async |function: &str, require_worker| {
        let result = pool.handle.submit(vec![memory("r", function)], require_worker).await.expect("open").remove(0);
        result.err()
    };
    assert_eq!(refused("echo", false).await, Some(SubmitError::UnknownFunction { near: vec![] }));
    let worker = pool.worker(hello("w", &["echo"])).await;
    assert_eq!(refused("ehco", false).await, Some(SubmitError::UnknownFunction { near: vec!["echo".into()] }));
    drop(worker);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(refused("echo", true).await, Some(SubmitError::NoWorker));
    assert_eq!(refused("echo", false).await, None, "accepted and queued");
}

#[tokio::test(start_paused = true)]
async fn p2_an_id_names_one_body_for_durable_and_memory_requests() {
    for make in [request, memory] {
        let pool = Pool::start().await;
        let _worker = pool.worker(hello("w", &["echo"])).await;
        pool.submit(make("r", "echo")).await;
        let again = pool.handle.submit(vec![make("r", "echo")], false).await.expect("open").remove(0);
        assert!(matches!(again, Ok(Submitted::Existing(_))), "{again:?}");
        let mut other = make("r", "echo");
        other.body_digest = [8; 32];
        let refused = pool.handle.submit(vec![other], false).await.expect("open").remove(0);
        assert_eq!(refused.err(), Some(SubmitError::Conflict));
    }
}

#[tokio::test(start_paused = true)]
async fn p20_a_page_spans_stored_and_memory_requests_in_order_of_arrival() {
    let pool = Pool::start().await;
    let _worker = pool.worker(hello("w", &["other"])).await;
    let mut second = pool.worker(hello("w2", &["echo"])).await;
    for new in [request("d1", "echo"), memory("m1", "echo"), memory("m2", "echo"), request("d2", "echo")] {
        pool.submit(new).await;
    }
    for name in ["d1", "m1", "m2", "d2"] {
        second.expect_run(name, 1).await;
    }
    let mut seen = Vec::new();
    let mut before_sequence = None;
    loop {
        let filter = crate::queue::Filter { before_sequence, limit: 1, ..Default::default() };
        let page = pool.handle.list(filter).await.expect("open");
        let Some(last) = page.last() else { break };
        assert_eq!(last.state, State::Assigned, "the live state, not the stored one");
        before_sequence = Some(last.sequence);
        seen.push(last.submitted.id.to_string());
    }
    assert_eq!(seen, ["d2", "m2", "m1", "d1"]);
    let filter = crate::queue::Filter { state: Some(State::Assigned), limit: 10, ..Default::default() };
    assert_eq!(pool.handle.list(filter).await.expect("open").len(), 4);
}
