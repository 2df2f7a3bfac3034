//! Ownership, the two grades of cancel, and what a failure does.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{JoinOutcome, OnError, Scope};

#[tokio::test(start_paused = true)]
async fn stop_lets_tasks_finish() {
    let scope = Scope::new("test");
    let done = Arc::new(AtomicBool::new(false));
    let (cancel, flag) = (scope.cancel().clone(), done.clone());
    scope.spawn("polite", async move {
        cancel.stopped().await;
        flag.store(true, Ordering::SeqCst);
    });
    scope.cancel().stop();
    assert_eq!(scope.join(Duration::from_secs(5)).await, JoinOutcome::Completed);
    assert!(done.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn join_kills_what_does_not_stop() {
    let scope = Scope::new("test");
    scope.spawn("stubborn", std::future::pending());
    scope.cancel().stop();
    assert_eq!(scope.join(Duration::from_secs(5)).await, JoinOutcome::TimedOut);
    assert!(scope.is_empty(), "the future was dropped");
}

#[tokio::test]
async fn a_failing_task_stops_its_scope_when_told_to() {
    let scope = Scope::new("test");
    scope.spawn_fallible("fails", OnError::Stop, async { Err("no".into()) });
    scope.cancel().stopped().await;
}

#[tokio::test]
async fn a_panic_counts_as_a_failure() {
    let scope = Scope::new("test");
    scope.spawn_fallible("panics", OnError::Stop, async { panic!("on purpose") });
    scope.cancel().stopped().await;
    assert_eq!(scope.join(Duration::from_secs(5)).await, JoinOutcome::Completed);
}

#[tokio::test]
async fn cancel_flows_down_only() {
    let parent = Scope::new("parent");
    let child = Scope::under("child", parent.cancel());
    child.cancel().stop();
    assert!(!parent.cancel().is_stopped());
    let other = Scope::under("other", parent.cancel());
    parent.cancel().stop();
    assert!(other.cancel().is_stopped() && !other.cancel().is_killed());
}

#[tokio::test]
async fn join_waits_for_threads() {
    let scope = Scope::new("test");
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let done = Arc::new(AtomicBool::new(false));
    let flag = done.clone();
    scope
        .spawn_thread("writer", move || {
            // Ends when the channel closes, as a store's writer does.
            assert!(receiver.recv().is_err());
            flag.store(true, Ordering::SeqCst);
        })
        .unwrap();
    assert_eq!(scope.len(), 1);
    drop(sender);
    assert_eq!(scope.join(Duration::from_secs(60)).await, JoinOutcome::Completed);
    assert!(done.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_panicking_thread_is_joined() {
    let scope = Scope::new("test");
    scope.spawn_thread("panics", || panic!("on purpose")).unwrap();
    assert_eq!(scope.join(Duration::from_secs(60)).await, JoinOutcome::Completed);
    assert!(!scope.cancel().is_stopped());
}
