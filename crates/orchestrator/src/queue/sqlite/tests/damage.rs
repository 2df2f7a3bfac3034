//! Whatever a row holds, reading it is a record or an error that names the request; other rows stay readable.
use rusqlite::Connection;

use super::{fresh, open, options};
use crate::queue::{
    Filter, Queue, QueueError,
    testing::{Draft, assign, finish, request_id, requeue},
};

/// Writes `sql` into a store with one live request, `bad`, one ended, `bad-ended`, and one of each that stay good.
async fn damaged(sql: &str) -> (tempfile::TempDir, crate::queue::sqlite::SqliteQueue) {
    let (directory, queue) = fresh().await;
    let drafts = ["bad", "bad-ended", "good", "good-ended"].map(|id| Draft::new(id).rich().build());
    queue.enqueue(drafts.into()).await.unwrap();
    let changes =
        vec![assign("bad", 1), requeue("bad", 1), assign("bad", 2), finish("bad-ended", 0), finish("good-ended", 0)];
    queue.apply(changes).await.unwrap();
    queue.close().await.unwrap();
    let connection = Connection::open(options(&directory).path).unwrap();
    connection.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
    assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql}");
    drop(connection);
    let queue = open(&directory).await;
    (directory, queue)
}

fn names(error: &QueueError, id: &str, column: &str) {
    let QueueError::Corrupt { detail } = error else { panic!("{error:?}") };
    assert!(detail.contains(id) && detail.contains(column), "{detail}");
}

#[tokio::test]
async fn a_poisoned_row_is_an_error_that_names_it() {
    for (column, sql) in [
        ("function", "UPDATE request SET function = '!!' WHERE id = 'bad'"),
        ("function", "UPDATE request SET function = 'Not A Slug' WHERE id = 'bad'"),
        ("function", "UPDATE request SET function = CAST(x'ff' AS TEXT) WHERE id = 'bad'"),
        ("body_digest", "UPDATE request SET body_digest = x'00' WHERE id = 'bad'"),
        ("options", "UPDATE request SET options = x'c1' WHERE id = 'bad'"),
        ("metadata", "UPDATE request SET metadata = x'' WHERE id = 'bad'"),
        ("state", "UPDATE live SET state = 'asleep' WHERE sequence = 1"),
        ("is_live", "UPDATE live SET state = 'failed' WHERE sequence = 1"),
        ("state", "DELETE FROM live WHERE sequence = 1"),
        ("attempts", "UPDATE live SET attempts = x'ff' WHERE sequence = 1"),
    ] {
        let (_directory, queue) = damaged(sql).await;
        names(&queue.get(request_id("bad")).await.unwrap_err(), "bad", column);
        if !sql.starts_with("DELETE") {
            names(&queue.unfinished(0, 10).await.unwrap_err(), "bad", column);
        }
        names(&queue.list(Filter { limit: 10, ..Filter::default() }).await.unwrap_err(), "bad", column);
        names(&queue.enqueue(vec![Draft::new("bad").build()]).await.unwrap_err(), "bad", column);
        assert!(queue.get(request_id("good")).await.unwrap().is_some(), "{sql}");
        queue.apply(vec![finish("good", 0)]).await.unwrap();
        queue.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_poisoned_ending_is_an_error_that_names_it() {
    for (column, sql) in [
        ("state", "UPDATE history SET state = '' WHERE sequence = 2"),
        ("is_live", "UPDATE history SET state = 'running' WHERE sequence = 2"),
        ("timings", "UPDATE history SET timings = x'' WHERE sequence = 2"),
        ("metrics", "UPDATE history SET metrics = x'90' WHERE sequence = 2"),
        ("output", "UPDATE history SET output_ref = 'file' WHERE sequence = 2"),
        ("error", "UPDATE history SET error = x'00' WHERE sequence = 2"),
    ] {
        let (_directory, queue) = damaged(sql).await;
        names(&queue.get(request_id("bad-ended")).await.unwrap_err(), "bad-ended", column);
        assert!(queue.get(request_id("good-ended")).await.unwrap().is_some(), "{sql}");
        queue.close().await.unwrap();
    }
}

#[tokio::test]
async fn changes_of_a_poisoned_row_fail_alone() {
    let (_directory, queue) = damaged("UPDATE live SET state = 'asleep' WHERE sequence = 1").await;
    let (bad, good) = tokio::join!(queue.apply(vec![finish("bad", 2)]), queue.apply(vec![finish("good", 0)]));
    names(&bad.unwrap_err(), "bad", "state");
    good.unwrap();
    queue.close().await.unwrap();

    let (_directory, queue) = damaged("UPDATE live SET attempts = x'ff' WHERE sequence = 1").await;
    names(&queue.apply(vec![finish("good", 0), requeue("bad", 2)]).await.unwrap_err(), "bad", "attempts");
    let good = queue.get(request_id("good")).await.unwrap().unwrap();
    assert!(!good.state.is_terminal(), "nothing of a failed batch is applied");
    queue.close().await.unwrap();
}

/// Bytes overwritten in the middle of the file: every answer is a record or an error.
#[tokio::test]
async fn a_damaged_page_is_an_error() {
    let (directory, queue) = fresh().await;
    let drafts = (0..500).map(|index| Draft::new(&format!("r{index}")).rich().build()).collect();
    queue.enqueue(drafts).await.unwrap();
    queue.close().await.unwrap();
    let path = options(&directory).path;
    let mut bytes = std::fs::read(&path).unwrap();
    let page = 4096;
    for page in bytes.chunks_mut(page).skip(12).step_by(3) {
        page.fill(0x5A);
    }
    std::fs::write(&path, bytes).unwrap();
    let queue = open(&directory).await;
    let failure = queue.unfinished(0, 1_000).await.unwrap_err();
    assert!(matches!(failure, QueueError::Corrupt { .. }), "{failure:?}");
    for index in 0..500 {
        if let Err(error) = queue.get(request_id(&format!("r{index}"))).await {
            assert!(matches!(error, QueueError::Corrupt { .. }), "{error:?}");
        }
    }
    queue.close().await.unwrap();
}
