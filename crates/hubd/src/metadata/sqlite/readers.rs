//! The threads that read. Each has a connection of its own, which sees everything that was committed before a read begins, and
//! none of them waits for the writer.

use std::{path::Path, sync::Arc};

use futures::FutureExt as _;
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    SqliteMetadata,
    open::{OpenError, reading},
    row::unavailable,
};
use crate::metadata::{Answer, MetadataError};

/// Reads at once: one that describes a large tree takes a second, and the small ones must not wait for it.
const READERS: usize = 4;

/// Reads that wait for a thread; more wait in their tasks.
const READS_MAX: usize = 256;

/// One read.
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// Starts the threads. They end when the sender is dropped.
pub(super) fn start(path: &Path, scope: &Scope) -> Result<mpsc::Sender<Read>, OpenError> {
    let (reads, waiting) = mpsc::channel(READS_MAX);
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..READERS {
        let (connection, waiting) = (reading(path)?, Arc::clone(&waiting));
        scope.spawn_thread("hub-metadata-read", move || run(&connection, &waiting)).map_err(OpenError::Thread)?;
    }
    Ok(reads)
}

impl SqliteMetadata {
    /// Runs `work` on one state of the store, which holds all that was answered before this call.
    pub(super) fn read<T, F>(&self, operation: &'static str, work: F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, MetadataError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel::<Result<T, MetadataError>>();
        let read: Read = Box::new(move |connection| {
            if !reply.is_closed() {
                drop(reply.send(in_snapshot(operation, connection, work)));
            }
        });
        async move {
            let gone = || unavailable(operation)(rusqlite::Error::InvalidQuery);
            self.reads.send(read).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        }
        .boxed()
    }
}

/// Works until the last handle is gone. Blocks. Whoever is free waits for the next read, the others for their turn to wait.
fn run(connection: &Connection, waiting: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        let next = waiting.lock().blocking_recv();
        let Some(read) = next else { break };
        read(connection);
    }
}

fn in_snapshot<T>(
    operation: &'static str,
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, MetadataError>,
) -> Result<T, MetadataError> {
    // Dropped in the end: there is nothing to commit.
    let snapshot = connection.unchecked_transaction().map_err(unavailable(operation))?;
    work(&snapshot)
}
