use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::progress::Unheard;

#[derive(Default)]
struct Bench {
    starts: AtomicUsize,
    go: Notify,
    dropped: Notify,
}

struct OnDrop(Arc<Bench>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

async fn work(bench: Arc<Bench>, result: Result<u32, FetchError>) -> Result<u32, FetchError> {
    let _dropped = OnDrop(Arc::clone(&bench));
    bench.starts.fetch_add(1, Ordering::Relaxed);
    bench.go.notified().await;
    result
}

#[tokio::test]
async fn m6_11_one_works_and_all_get_the_result() {
    let (flights, bench) = (Flights::new(Arc::new(Scope::new("test"))), Arc::new(Bench::default()));
    let join = || flights.join("k", &Unheard, |_| work(Arc::clone(&bench), Ok(7)));
    bench.go.notify_one();
    let (one, two, three) = tokio::join!(join(), join(), join());
    assert_eq!((one.unwrap(), two.unwrap(), three.unwrap()), (7, 7, 7));
    assert_eq!(bench.starts.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn m6_11_a_failure_reaches_all_who_wait_and_is_forgotten() {
    let (flights, bench) = (Flights::new(Arc::new(Scope::new("test"))), Arc::new(Bench::default()));
    let join = |result: Result<u32, FetchError>| flights.join("k", &Unheard, |_| work(Arc::clone(&bench), result));
    bench.go.notify_one();
    let (one, two) = tokio::join!(join(Err(FetchError::Closed)), join(Ok(1)));
    assert!(one.is_err() && two.is_err());
    bench.go.notify_one();
    assert_eq!(join(Ok(2)).await.unwrap(), 2);
}

#[tokio::test]
async fn m6_11_work_goes_on_while_anybody_waits_and_no_longer() {
    let (flights, bench) = (Flights::new(Arc::new(Scope::new("test"))), Arc::new(Bench::default()));
    let join = || Box::pin(flights.join("k", &Unheard, |_| work(Arc::clone(&bench), Ok(7))));
    let (mut one, mut two) = (join(), join());
    assert!(futures::poll!(&mut one).is_pending() && futures::poll!(&mut two).is_pending());
    drop(one);
    bench.go.notify_one();
    assert_eq!(two.await.unwrap(), 7);
    bench.dropped.notified().await;
    let mut left = join();
    assert!(futures::poll!(&mut left).is_pending());
    tokio::task::yield_now().await;
    drop(left);
    bench.dropped.notified().await;
    bench.go.notify_one();
    assert_eq!(join().await.unwrap(), 7);
}
