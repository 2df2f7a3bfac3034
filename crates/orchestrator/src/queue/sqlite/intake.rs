//! The way of a batch to the writer: bounded by bytes, answered once.

use std::sync::{
    Arc,
    mpsc::{Receiver, Sender, channel},
};

use gen_worker_proto::FunctionName;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tracing::debug;

use crate::{
    queue::{Applied, Change, Enqueued, QueueError},
    request::{NewRequest, Output},
};

/// What may wait for the writer, in KiB: 64 MiB, eight of the largest bodies the API takes, or some 65,000 small
/// changes, which is several commits' worth. Callers beyond it wait for room.
const WAITING_KIB_MAX: usize = 64 * 1024;

/// Sends the outcome of a batch; a dropped one reads as closed.
pub(super) type Reply<T> = oneshot::Sender<Result<T, QueueError>>;

/// Work for the writer.
#[derive(Debug)]
pub(super) enum Batch {
    /// Take in requests.
    Enqueue { requests: Vec<NewRequest>, reply: Reply<Vec<Enqueued>> },
    /// Change requests.
    Apply { changes: Vec<Change>, reply: Reply<Vec<Applied>> },
    /// Change requests; nobody waits.
    ApplyLazily { changes: Vec<Change> },
    /// Remember functions.
    Remember { functions: Vec<FunctionName>, reply: Reply<()> },
    /// Show that writing works, without writing.
    Probe { reply: Reply<()> },
}

/// A batch with the room it takes until it is answered.
#[derive(Debug)]
pub(super) struct Handed {
    pub batch: Batch,
    _room: OwnedSemaphorePermit,
}

/// The callers' end. Closing it lets the writer end once it has done what was handed over.
#[derive(Debug)]
pub(super) struct Intake {
    room: Arc<Semaphore>,
    sender: Mutex<Option<Sender<Handed>>>,
}

impl Intake {
    /// A way to a writer.
    pub fn new() -> (Self, Receiver<Handed>) {
        // Unbounded as a channel; the room bounds what is in it.
        let (sender, receiver) = channel();
        let room = Arc::new(Semaphore::new(WAITING_KIB_MAX));
        (Self { room, sender: Mutex::new(Some(sender)) }, receiver)
    }

    /// Hands over a batch and waits for its outcome.
    ///
    /// # Errors
    /// What the writer says; closed when it is gone.
    pub async fn hand_over<T>(&self, batch: impl FnOnce(Reply<T>) -> Batch) -> Result<T, QueueError> {
        let (reply, outcome) = oneshot::channel();
        let batch = batch(reply);
        let room = self.room.clone().acquire_many_owned(batch.kib()).await.map_err(|_| QueueError::Closed)?;
        self.send(Handed { batch, _room: room });
        outcome.await.unwrap_or(Err(QueueError::Closed))
    }

    /// Hands over changes that may be lost; they are when there is no room.
    pub fn hand_over_lazily(&self, changes: Vec<Change>) {
        let batch = Batch::ApplyLazily { changes };
        match self.room.clone().try_acquire_many_owned(batch.kib()) {
            Ok(room) => self.send(Handed { batch, _room: room }),
            Err(_) => debug!("lazy changes were dropped: the queue store is behind or closed"),
        }
    }

    /// Refuses later batches. Idempotent.
    pub fn close(&self) {
        self.room.close();
        self.sender.lock().take();
    }

    fn send(&self, handed: Handed) {
        if let Some(sender) = self.sender.lock().as_ref() {
            // Without a writer the batch is dropped, and its reply with it: that is the answer.
            drop(sender.send(handed));
        }
    }
}

impl Batch {
    /// Entries, the measure of how long a commit takes.
    pub fn entries(&self) -> usize {
        match self {
            Self::Enqueue { requests, .. } => requests.len(),
            Self::Apply { changes, .. } | Self::ApplyLazily { changes } => changes.len(),
            Self::Remember { functions, .. } => functions.len(),
            Self::Probe { .. } => 0,
        }
    }

    /// Whether somebody waits for it.
    pub fn is_awaited(&self) -> bool {
        !matches!(self, Self::ApplyLazily { .. })
    }

    /// Room it takes. One batch may be larger than all the room there is; then it waits until it is alone.
    fn kib(&self) -> u32 {
        let bytes: usize = match self {
            Self::Enqueue { requests, .. } => requests.iter().map(|request| request.payload.len()).sum(),
            Self::Apply { changes, .. } => changes.iter().map(output_bytes).sum(),
            Self::ApplyLazily { .. } | Self::Remember { .. } | Self::Probe { .. } => 0,
        };
        let kib = (self.entries() + bytes / 1024).clamp(1, WAITING_KIB_MAX);
        u32::try_from(kib).unwrap_or(u32::MAX)
    }
}

fn output_bytes(change: &Change) -> usize {
    match change {
        Change::Finish { ending, .. } => match &ending.output {
            Some(Output::Inline(bytes)) => bytes.len(),
            _ => 0,
        },
        _ => 0,
    }
}
