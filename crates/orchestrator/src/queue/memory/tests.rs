//! The suite of the seam on the twin, and what only the twin does: it forgets.
use std::sync::Arc;

use bytes::Bytes;

use super::{MemoryQueue, Options};
use crate::queue::{
    Filter, Queue,
    testing::{self, Draft},
};

#[tokio::test]
async fn conforms() {
    testing::queue_conformance(async || Arc::new(MemoryQueue::default()) as Arc<dyn Queue>).await;
}

#[tokio::test]
async fn forgets_what_ended_first() {
    let queue = MemoryQueue::new(Options { ended_rows_max: 2, ended_bytes_max: usize::MAX });
    for id in ["a", "b", "c", "d"] {
        queue.enqueue(vec![Draft::new(id).build()]).await.unwrap();
    }
    for id in ["c", "a", "b"] {
        queue.apply(vec![testing::finish(id, 0)]).await.unwrap();
    }
    let rows = queue.list(Filter { limit: 10, ..Filter::default() }).await.unwrap();
    let left: Vec<_> = rows.iter().map(|row| row.submitted.id.as_str()).collect();
    assert_eq!(left, ["d", "b", "a"], "c ended first; what is live stays");
}

#[tokio::test]
async fn forgets_by_size() {
    let queue = MemoryQueue::new(Options { ended_rows_max: 100, ended_bytes_max: 10_000 });
    for id in ["a", "b"] {
        let request = Draft::new(id).payload(Bytes::from(vec![0; 6_000])).build();
        queue.enqueue(vec![request]).await.unwrap();
        queue.apply(vec![testing::finish(id, 0)]).await.unwrap();
    }
    let rows = queue.list(Filter { limit: 10, ..Filter::default() }).await.unwrap();
    assert_eq!(rows.len(), 1);
}
