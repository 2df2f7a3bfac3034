//! Results that outlive the process that made them.

use std::{fs::File, path::Path};

use gen_worker_core::{SpoolOptions, SpoolPolicy, WorkerOptions};
use gen_worker_proto::pb::{self, JobStatus};

use crate::{fixture::Fixture, functions::text};

fn always(dir: &Path) -> impl Fn(&mut WorkerOptions) + use<> {
    let spool = SpoolOptions { policy: SpoolPolicy::Always, ..SpoolOptions::new(dir) };
    move |options| options.spool = Some(spool.clone())
}

/// Drops the worker where it is, and waits until its files are let go.
async fn kill(mut fixture: Fixture, dir: &Path) {
    fixture.cancel.kill();
    fixture.ended().await.expect("killed");
    let lock = File::open(dir.join("w1/lock")).expect("is there");
    // Off this thread: the worker's last tasks still need it.
    let free = gen_worker_tasks::Scope::new("test").spawn_blocking(move || lock.lock());
    free.await.expect("does not panic").expect("the thread ends");
}

/// A worker that finished `ids` while nobody could be reached, then died.
async fn dead_worker(dir: &Path, ids: &[&str]) {
    let mut fixture = Fixture::with(always(dir));
    let mut session = fixture.session().await;
    for id in ids {
        session.run(id, 1, "gated-echo", &text(id)).await;
        session.accepted().await;
    }
    fixture.orchestrator.set_reachable(false);
    session.cut();
    for id in ids {
        fixture.probe.open(id);
    }
    // Ten redials: the handlers have long returned.
    for _ in 0..10 {
        fixture.orchestrator.next_dial().await;
    }
    kill(fixture, dir).await;
}

fn listed(hello: &pb::Hello) -> Vec<(&str, i64)> {
    hello.in_flight.iter().map(|job| (job.request_id.as_str(), job.attempt)).collect()
}

#[tokio::test(start_paused = true)]
async fn w18_w2_results_of_a_dead_process_are_listed_and_delivered_once() {
    let dir = tempfile::tempdir().expect("a directory");
    dead_worker(dir.path(), &["r1", "r2"]).await;

    let mut fixture = Fixture::with(always(dir.path()));
    let (mut session, hello) = fixture.orchestrator.connect().await;
    assert_eq!(listed(&hello), [("r1", 1), ("r2", 1)]);
    let mut ended = [session.result().await, session.result().await];
    ended.sort_by(|a, b| a.request_id.cmp(&b.request_id));
    assert!(ended.iter().all(|result| result.status() == JobStatus::Ok));
    session.ready().await;
    // W9: what an earlier process finished is not run again.
    session.run("r1", 1, "gated-echo", &text("r1")).await;
    session.silence().await;
    assert_eq!(fixture.probe.runs(), 0);
    // Another exchange proves to the worker that everything before it is written.
    session.run("r3", 1, "echo", &text("c")).await;
    session.accepted().await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    session.cancel("nobody", 1).await;
    session.silence().await;
    kill(fixture, dir.path()).await;

    let mut fixture = Fixture::with(always(dir.path()));
    let (_session, hello) = fixture.orchestrator.connect().await;
    assert!(!listed(&hello).contains(&("r1", 1)), "written results are trimmed: {:?}", listed(&hello));
}

#[tokio::test(start_paused = true)]
async fn w10_a_newer_attempt_replaces_a_result_of_a_dead_process() {
    let dir = tempfile::tempdir().expect("a directory");
    dead_worker(dir.path(), &["r1"]).await;

    let mut fixture = Fixture::with(always(dir.path()));
    let mut call = fixture.orchestrator.next_call().await.accept();
    assert_eq!(listed(&call.hello().await), [("r1", 1)]);
    fixture.probe.open("r1");
    call.ack().await;
    assert_eq!(call.result().await.attempt, 1);
    call.ready().await;
    call.run("r1", 2, "gated-echo", &text("r1")).await;
    assert_eq!(call.accepted().await.1, 2);
    assert_eq!(call.result().await.attempt, 2);
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_its_spool_serves_all_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, b"").expect("written");
    let mut fixture = Fixture::with(always(&file));
    let mut session = fixture.session().await;
    session.run("r1", 1, "echo", &text("a")).await;
    session.accepted().await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
}

#[tokio::test(start_paused = true)]
async fn w19_a_drain_that_was_read_to_its_end_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut fixture = Fixture::with(always(dir.path()));
    let mut session = fixture.session().await;
    session.run("r1", 1, "echo", &text("a")).await;
    session.accepted().await;
    session.drain(5_000).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    while session.try_next().await.is_some() {}
    session.finish();
    fixture.ended().await.expect("drained");

    let mut fixture = Fixture::with(always(dir.path()));
    let (_session, hello) = fixture.orchestrator.connect().await;
    assert_eq!(listed(&hello), []);
}

#[tokio::test(start_paused = true)]
async fn w18_what_is_written_leaves_the_disk_without_other_traffic() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut fixture = Fixture::with(always(dir.path()));
    let mut session = fixture.session().await;
    session.run("r1", 1, "echo", &text("a")).await;
    session.accepted().await;
    session.result().await;
    // Two keepalives prove that the transport wrote everything.
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    kill(fixture, dir.path()).await;
    let mut fixture = Fixture::with(always(dir.path()));
    let (_session, hello) = fixture.orchestrator.connect().await;
    assert_eq!(listed(&hello), []);
}
