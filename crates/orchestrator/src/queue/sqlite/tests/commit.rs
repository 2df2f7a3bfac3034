//! Group commit: who shares a transaction, and who fails with it.
use bytes::Bytes;
use futures::future::join_all;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{fresh, open, options};
use crate::{
    queue::{
        Applied, Enqueued, Filter, Queue, QueueError,
        sqlite::{Options, SqliteQueue, open::connect},
        testing::{Draft, assign, finish, request_id},
    },
    request::State,
};

/// A write past the limit fails its own batch; smaller ones in the same commit and after it are stored.
#[tokio::test]
async fn a_batch_that_does_not_fit_fails_alone() {
    let directory = TempDir::new().unwrap();
    let limited = Options { size_bytes_max: Some(400_000), ..options(&directory) };
    let queue = SqliteQueue::open(limited).await.unwrap();
    let large = Bytes::from(vec![1; 1_000_000]);
    let batches = (0..20).map(|index| {
        let draft = Draft::new(&format!("r{index}"));
        let draft = if index % 5 == 3 { draft.payload(large.clone()) } else { draft };
        queue.enqueue(vec![Draft::new(&format!("first{index}")).build(), draft.build()])
    });
    for (index, outcome) in join_all(batches).await.into_iter().enumerate() {
        let first = queue.get(request_id(&format!("first{index}"))).await.unwrap();
        match outcome {
            Ok(created) => {
                assert_ne!(index % 5, 3);
                assert!(matches!(created.as_slice(), [Enqueued::Created(_), Enqueued::Created(_)]));
                assert!(first.is_some());
            }
            Err(QueueError::Unavailable { .. }) => {
                assert_eq!(index % 5, 3);
                assert!(first.is_none(), "nothing of a failed batch is stored");
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    queue.ready().await.unwrap();
    queue.apply(vec![finish("r0", 0)]).await.unwrap();
    queue.close().await.unwrap();
}

/// While another program writes, batches fail as unavailable; afterwards all is well.
#[tokio::test]
async fn a_store_locked_for_a_while_is_unavailable_for_a_while() {
    let (directory, queue) = fresh().await;
    queue.enqueue(vec![Draft::new("a").build()]).await.unwrap();
    let other = Connection::open(options(&directory).path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let failure = queue.enqueue(vec![Draft::new("b").build()]).await.unwrap_err();
    assert!(matches!(failure, QueueError::Unavailable { operation: "begin a transaction", .. }), "{failure:?}");
    assert!(matches!(queue.ready().await, Err(QueueError::Unavailable { .. })));
    assert!(queue.get(request_id("a")).await.unwrap().is_some(), "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    queue.ready().await.unwrap();
    queue.enqueue(vec![Draft::new("b").build()]).await.unwrap();
    queue.close().await.unwrap();
}

/// Changes that nobody waits for reach the disk by themselves.
#[tokio::test]
async fn lazy_changes_reach_the_disk() {
    let (directory, queue) = fresh().await;
    queue.enqueue(vec![Draft::new("a").build()]).await.unwrap();
    queue.apply_lazily(vec![assign("a", 1)]);
    queue.close().await.unwrap();
    let queue = open(&directory).await;
    assert_eq!(queue.get(request_id("a")).await.unwrap().unwrap().state, State::Assigned);
    queue.close().await.unwrap();
}

/// A caller that goes away takes nothing back.
#[tokio::test]
async fn a_dropped_future_keeps_what_it_handed_over() {
    let (_directory, queue) = fresh().await;
    {
        let mut handing = Box::pin(queue.enqueue(vec![Draft::new("a").build()]));
        assert!(futures::poll!(&mut handing).is_pending());
    }
    assert_eq!(queue.apply(vec![finish("a", 0)]).await.unwrap(), [Applied::Done]);
    queue.close().await.unwrap();
}

/// Batches beyond the room wait instead of failing, and one larger than all the room is taken alone.
#[tokio::test]
async fn batches_beyond_the_room_wait() {
    let (_directory, queue) = fresh().await;
    let mebibytes = |count: usize| Bytes::from(vec![0; count * 1024 * 1024]);
    let batches = [65, 1, 1]
        .into_iter()
        .enumerate()
        .map(|(index, size)| queue.enqueue(vec![Draft::new(&format!("r{index}")).payload(mebibytes(size)).build()]));
    assert!(join_all(batches).await.iter().all(Result::is_ok));
    assert_eq!(queue.list(Filter { limit: 10, ..Filter::default() }).await.unwrap().len(), 3);
    queue.close().await.unwrap();
}

/// A close waits for what was handed over before it.
#[tokio::test]
async fn close_commits_what_is_under_way() {
    let (directory, queue) = fresh().await;
    let batches = join_all((0..50).map(|index| queue.enqueue(vec![Draft::new(&format!("r{index}")).build()])));
    let (outcomes, closed) = tokio::join!(batches, queue.close());
    closed.unwrap();
    let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(stored, 50, "each was handed over when it was first polled");
    let queue = open(&directory).await;
    assert_eq!(queue.unfinished(0, 100).await.unwrap().len(), 50);
    queue.close().await.unwrap();
}

/// A statement is prepared once, whatever is bound to it: preparing costs more than running.
#[tokio::test]
async fn bound_values_do_not_prepare_anew() {
    let (directory, queue) = fresh().await;
    queue.enqueue(vec![Draft::new("a").build(), Draft::new("b").build()]).await.unwrap();
    let path = options(&directory).path;
    let reader = connect(&path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let join =
        "SELECT live.state FROM request CROSS JOIN live ON live.sequence = request.sequence WHERE request.id = ?1";
    let mut statement = reader.prepare(join).unwrap();
    for id in ["a", "b", "a", "b"] {
        let state: String = statement.query_row([id], |row| row.get(0)).unwrap();
        assert_eq!(state, "queued");
    }
    assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
    drop(statement);
    queue.close().await.unwrap();
}
