use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use tokio::sync::Notify;

use super::*;

#[tokio::test]
async fn those_who_ask_together_share_one_work_and_it_goes_on_without_them() {
    let (scope, flights) = (Scope::new("test"), Flights::default());
    let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let join = || {
        let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
        let work = async move {
            let number = begun.fetch_add(1, SeqCst);
            go.notified().await;
            number
        };
        flights.join(&scope, "work", "key", work.boxed()).unwrap()
    };
    let (first, second) = (join(), join());
    drop(first);
    go.notify_one();
    assert_eq!(second.await, Some(0));
    let third = join();
    go.notify_one();
    assert_eq!(third.await, Some(1), "it was over");
    assert!(flights.running.lock().is_empty());
}

#[tokio::test]
async fn there_are_so_many_works_at_once_and_a_killed_one_is_none() {
    let (scope, flights) = (Scope::new("test"), Flights::<usize, ()>::default());
    let join = |key| flights.join(&scope, "work", key, std::future::pending().boxed());
    let first = join(0).unwrap();
    assert!((1..FLIGHTS_MAX).all(|key| join(key).is_some()));
    assert!(join(FLIGHTS_MAX).is_none() && join(0).is_some());
    scope.cancel().kill();
    assert_eq!(first.await, None);
    scope.join(Duration::from_secs(60)).await;
    assert!(flights.running.lock().is_empty());
}
