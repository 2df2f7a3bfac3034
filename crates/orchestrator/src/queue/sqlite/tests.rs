//! The suite of the seam on a real file, and what only a file can do.

use tempfile::TempDir;

use super::{Options, SqliteQueue};

mod commit;
mod conformance;
mod crash;
mod damage;
mod opening;
mod retention;

/// The store of a directory.
fn options(directory: &TempDir) -> Options {
    Options { path: directory.path().join("queue.sqlite3"), size_bytes_max: None, history_kept: None }
}

async fn open(directory: &TempDir) -> SqliteQueue {
    SqliteQueue::open(options(directory)).await.unwrap()
}

/// A queue in a directory of its own, which lives as long as the guard.
async fn fresh() -> (TempDir, SqliteQueue) {
    let directory = TempDir::new().unwrap();
    let queue = open(&directory).await;
    (directory, queue)
}
