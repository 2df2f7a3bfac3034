//! A pool on the store of an earlier one.

use std::{sync::Arc, time::Duration};

use gen_worker_proto::pb;
use tokio::time::Instant;

use super::harness::{Pool, hello, hello_with, pair, request};
use crate::{
    queue::{Change, Queue, memory::MemoryQueue},
    request::{State, UnixMs},
};

/// A store with one request, stored as `state` at `attempt` on worker `w`.
async fn store_with(state: State, attempt: i64) -> Arc<dyn Queue> {
    let store = Arc::new(MemoryQueue::default());
    store.enqueue(vec![request("r", "echo")]).await.expect("open");
    let mut changes = Vec::new();
    for n in 1..=attempt {
        changes.push(Change::Assign { pair: pair("r", n), worker_id: "w".into(), at: UnixMs(1) });
        if n < attempt || state == State::Queued {
            changes.push(Change::Requeue { pair: pair("r", n), failure: None });
        }
    }
    if state == State::Running {
        changes.push(Change::Start { pair: pair("r", attempt), at: UnixMs(2) });
    }
    store.apply(changes).await.expect("open");
    store
}

#[tokio::test(start_paused = true)]
async fn recovered_queued_requests_go_out_at_once_above_what_may_be_in_flight() {
    let pool = Pool::start_on(store_with(State::Queued, 0).await).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    worker.expect_run("r", 2).await;
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    worker.finish("r", 2, pb::JobStatus::Invalid, "second").await;
    assert_eq!(pool.ended("r").await.state, State::Failed);
}

#[tokio::test(start_paused = true)]
async fn c12_a_worker_that_lists_a_lost_assignment_keeps_it() {
    let pool = Pool::start_on(store_with(State::Queued, 1).await).await;
    let mut worker = pool.worker(hello_with("w", &["echo"], &[("r", 2)])).await;
    let request = pool.get("r").await;
    assert_eq!((request.state, request.attempt.0), (State::Running, 2));
    worker.silent_for(Duration::from_secs(30)).await;
    worker.finish("r", 2, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.state, State::Succeeded);
    let stored = pool.store.get(pair("r", 1).request_id).await.expect("open").expect("known");
    assert_eq!((stored.state, stored.attempt.0, stored.worker_id.as_deref()), (State::Succeeded, 2, Some("w")));
}

#[tokio::test(start_paused = true)]
async fn o9_a_listed_attempt_that_cannot_be_ours_is_cancelled() {
    for attempt in [1, 3] {
        let pool = Pool::start_on(store_with(State::Queued, 1).await).await;
        let mut worker = pool.worker(hello_with("w", &["echo"], &[("r", attempt)])).await;
        worker.expect_cancel("r", attempt).await;
        worker.expect_run("r", 3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn o11_recovered_assignments_wait_for_their_worker() {
    for state in [State::Assigned, State::Running] {
        let pool = Pool::start_on(store_with(state, 1).await).await;
        let mut worker = pool.worker(hello_with("w", &["echo"], &[("r", 1)])).await;
        worker.silent_for(Duration::from_secs(60)).await;
        worker.finish("r", 1, pb::JobStatus::Ok, "").await;
        assert_eq!(pool.ended("r").await.state, State::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn o11_recovered_assignments_go_elsewhere_after_the_window() {
    let pool = Pool::start_on(store_with(State::Running, 1).await).await;
    let start = Instant::now();
    let mut other = pool.worker(hello("other", &["echo"])).await;
    other.expect_run("r", 2).await;
    assert_eq!(start.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn o9_a_worker_with_many_unknown_pairs_is_told_about_each() {
    let pool = Pool::start().await;
    let names: Vec<String> = (0..5_000).map(|number| format!("r{number}")).collect();
    let listed: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut worker = pool.worker(hello_with("w", &["echo"], &listed)).await;
    for name in &names {
        worker.expect_cancel(name, 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn o7_no_attempt_is_given_twice_however_often_the_process_dies() {
    let store = store_with(State::Queued, 0).await;
    let mut given = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let pool = Pool::start_on(Arc::clone(&store)).await;
        let mut worker = pool.worker(hello("w", &["echo"])).await;
        let attempt = loop {
            match worker.next().await {
                super::harness::down::Msg::RunJob(run) => break run.attempt,
                // What the worker came back without is over.
                super::harness::down::Msg::CancelJob(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert!(given.insert(attempt), "{attempt} again, after {given:?}");
        // Before anything is on record that is written lazily.
        drop(worker);
        pool.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn p14_a_cancel_between_the_record_of_an_attempt_and_its_dispatch_ends_the_request() {
    let store = Arc::new(super::faults::Faulty::default());
    store.enqueue(vec![request("r", "echo")]).await.expect("open");
    let pool = Pool::start_on(Arc::<super::faults::Faulty>::clone(&store)).await;
    let hung = store.changes.lock().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.reaches("r", State::Assigned).await;
    let id = pair("r", 1).request_id;
    let cancel = pool.handle.cancel(&id);
    let release = async {
        worker.expect_cancel("r", 2).await;
        drop(hung);
    };
    let (outcome, ()) = tokio::join!(cancel, release);
    outcome.expect("open");
    assert_eq!(pool.ended("r").await.state, State::Canceled);
    worker.silent_for(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn p5_functions_seen_before_a_restart_are_known_after_it() {
    let pool = Pool::start().await;
    let worker = pool.worker(hello("w", &["echo"])).await;
    while pool.store.known_functions().await.expect("open").is_empty() {
        tokio::task::yield_now().await;
    }
    drop(worker);
    let pool = Pool::start_on(pool.stop().await).await;
    pool.submit(request("r", "echo")).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    worker.expect_run("r", 1).await;
}

#[tokio::test(start_paused = true)]
async fn no_accepted_request_is_lost_by_a_kill() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    for number in 0..100 {
        pool.submit(request(&format!("r{number}"), "echo")).await;
    }
    let mut held = Vec::new();
    for _ in 0..64 {
        let super::harness::down::Msg::RunJob(run) = worker.next().await else { panic!("a job") };
        held.push(run.request_id);
    }
    for id in held.drain(..20) {
        worker.finish(&id, 1, pb::JobStatus::Ok, "").await;
        pool.ended(&id).await;
    }
    drop(worker);
    let pool = Pool::start_on(pool.stop().await).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    let mut finished = 0;
    while finished < 80 {
        match worker.next().await {
            super::harness::down::Msg::RunJob(run) => {
                worker.finish(&run.request_id, run.attempt, pb::JobStatus::Ok, "").await;
                finished += 1;
            }
            super::harness::down::Msg::CancelJob(_) => {}
            other => panic!("{other:?}"),
        }
    }
    for number in 0..100 {
        assert_eq!(pool.ended(&format!("r{number}")).await.state, State::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn o15_a_restart_gives_the_worker_time_to_tell_how_an_overlong_attempt_ended() {
    let store = Arc::new(MemoryQueue::default());
    let options = crate::request::Options { timeout_ms: 300, ..Default::default() };
    store.enqueue(vec![super::harness::request_with("r", "echo", options)]).await.expect("open");
    // Long ago: far beyond any time it may take.
    let changes = vec![
        Change::Assign { pair: pair("r", 1), worker_id: "w".into(), at: UnixMs(1) },
        Change::Start { pair: pair("r", 1), at: UnixMs(2) },
    ];
    store.apply(changes).await.expect("open");
    let pool = Pool::start_on(store).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut worker = pool.worker(hello_with("w", &["echo"], &[("r", 1)])).await;
    worker.finish("r", 1, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.state, State::Succeeded);
    worker.silent_for(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn p14_a_cancel_that_was_accepted_survives_a_restart() {
    let pool = Pool::start().await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    pool.submit(request("r", "echo")).await;
    worker.expect_run("r", 1).await;
    worker.accept("r", 1).await;
    pool.reaches("r", State::Running).await;
    let outcome = pool.handle.cancel(&pair("r", 1).request_id).await.expect("open");
    assert!(matches!(outcome, crate::pool::CancelOutcome::Requested(_)), "{outcome:?}");
    worker.expect_cancel("r", 1).await;
    let store = pool.stop().await;

    // The worker comes back and still runs it: it is told again, and not waited for beyond the grace.
    let pool = Pool::start_on(Arc::clone(&store)).await;
    let mut worker = pool.worker(hello_with("w", &["echo"], &[("r", 1)])).await;
    worker.expect_cancel("r", 1).await;
    let store = pool.stop().await;

    // Or it does not come back: then the request is cancelled, and not run once more.
    let pool = Pool::start_on(store).await;
    let mut other = pool.worker(hello("other", &["echo"])).await;
    assert_eq!(pool.ended("r").await.state, State::Canceled);
    other.silent_for(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn p14_a_queued_request_whose_cancel_was_stored_is_cancelled_at_the_start() {
    let store = Arc::new(MemoryQueue::default());
    store.enqueue(vec![request("r", "echo")]).await.expect("open");
    store.apply(vec![Change::Cancel { pair: pair("r", 0) }]).await.expect("open");
    let pool = Pool::start_on(store).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    assert_eq!(pool.ended("r").await.state, State::Canceled);
    worker.silent_for(Duration::from_secs(60)).await;
    assert_eq!(pool.handle.counters().queued, 0);
}
