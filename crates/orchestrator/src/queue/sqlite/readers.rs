//! A few read-only connections, lent one at a time. Readers never wait for the writer, nor it for them.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{failure::storage, open::connect};
use crate::queue::QueueError;

/// Connections: reads are short and mostly from the page cache, so few of them keep all cores of a small machine busy.
const READERS: u32 = 4;

/// The pool.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    seats: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// The right to read with one connection.
#[derive(Debug)]
pub(super) struct Seat {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    /// Opens the first connection, which shows that reading works; the others follow when they are needed.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let first = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // A connection reads nothing before its first statement.
        first.query_row("SELECT count(*) FROM meta", [], |_| Ok(()))?;
        Ok(Self {
            path: path.to_owned(),
            seats: Arc::new(Semaphore::new(READERS as usize)),
            idle: Arc::new(Mutex::new(vec![first])),
        })
    }

    /// Waits for a seat.
    ///
    /// # Errors
    /// When the pool is closed.
    pub async fn seat(&self) -> Result<Seat, QueueError> {
        let permit = self.seats.clone().acquire_owned().await.map_err(|_| QueueError::Closed)?;
        Ok(Seat { path: self.path.clone(), idle: self.idle.clone(), _permit: permit })
    }

    /// Waits for the reads under way, refuses later ones and closes the connections. Idempotent.
    pub async fn close(&self) {
        let all = self.seats.acquire_many(READERS).await;
        self.seats.close();
        drop(all);
        self.idle.lock().clear();
    }
}

impl Seat {
    /// Runs `work` on a connection and gives it back. Blocks.
    pub fn run<T>(self, work: impl FnOnce(&Connection) -> Result<T, QueueError>) -> Result<T, QueueError> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(storage("open a reader"))?,
        };
        let outcome = work(&connection);
        // Given back before the seat is, so that `close` finds every connection.
        self.idle.lock().push(connection);
        outcome
    }
}
