//! What ended long ago leaves; what is unfinished or young never does.
use std::time::Duration;

use super::{Options, SqliteQueue, options};
use crate::queue::{
    Enqueued, Filter, Queue,
    testing::{Draft, finish, request_id},
};

/// Submitted in 1970, as drafts are unless told otherwise.
fn old(id: &str) -> crate::request::NewRequest {
    Draft::new(id).build()
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn old_ended_requests_leave_and_all_others_stay() {
    let directory = tempfile::TempDir::new().unwrap();
    let keep = options(&directory);
    let queue = SqliteQueue::open(keep.clone()).await.unwrap();
    queue.enqueue((0..1_000).map(|n| old(&format!("r{n}"))).collect()).await.unwrap();
    // One of ten is unfinished.
    queue.apply((0..1_000).filter(|n| n % 10 != 3).map(|n| finish(&format!("r{n}"), 0)).collect()).await.unwrap();
    queue.close().await.unwrap();

    let queue = SqliteQueue::open(Options { history_kept: Some(Duration::from_secs(3_600)), ..keep.clone() }).await;
    let queue = queue.unwrap();
    queue.enqueue(vec![Draft::new("young").created_at(now_ms()).build()]).await.unwrap();
    queue.apply(vec![finish("young", 0)]).await.unwrap();
    // Every commit sweeps a part, the empty ones too.
    for _ in 0..30 {
        queue.ready().await.unwrap();
    }
    for n in 0..1_000 {
        let found = queue.get(request_id(&format!("r{n}"))).await.unwrap();
        assert_eq!(found.is_some(), n % 10 == 3, "r{n}");
    }
    assert!(queue.get(request_id("young")).await.unwrap().is_some());
    assert_eq!(queue.unfinished(0, 500).await.unwrap().len(), 100);
    // An id that left is free again, and its sequence is not.
    let again = queue.enqueue(vec![old("r0")]).await.unwrap();
    let [Enqueued::Created(again)] = again.as_slice() else { panic!("{again:?}") };
    assert_eq!(again.sequence, 1_002);
    let listed = queue.list(Filter { limit: 500, ..Filter::default() }).await.unwrap();
    assert_eq!(listed.len(), 102);
    queue.close().await.unwrap();

    // Without a limit nothing ever leaves.
    let queue = SqliteQueue::open(keep).await.unwrap();
    queue.apply(vec![finish("r3", 0)]).await.unwrap();
    for _ in 0..30 {
        queue.ready().await.unwrap();
    }
    assert!(queue.get(request_id("r3")).await.unwrap().is_some());
    queue.close().await.unwrap();
}
