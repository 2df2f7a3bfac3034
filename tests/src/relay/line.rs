//! The two ends of one stream, for those who want to say something on it.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use bytes::Bytes;
use gen_worker_tasks::Cancel;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tonic::Status;

/// Messages that may wait for either side; more than a test adds at once.
const WAITING_MAX: usize = 1_024;

/// A message, or the status that the stream ends with.
pub(super) type Item = Result<Bytes, Status>;

/// A stream that was opened. Both directions stay open until somebody closes them here.
#[derive(Debug)]
pub(super) struct Line {
    /// Its number in the journal.
    pub(super) number: usize,
    /// Ends what carries messages.
    pub(super) end: Cancel,
    forgotten: AtomicBool,
    to_worker: Mutex<Option<Sender<Item>>>,
    to_orchestrator: Mutex<Option<Sender<Item>>>,
}

impl Line {
    /// A line, and what is to be carried to its two ends: the worker's first.
    pub(super) fn new(number: usize) -> (Self, Receiver<Item>, Receiver<Item>) {
        let (to_worker, at_worker) = mpsc::channel(WAITING_MAX);
        let (to_orchestrator, at_orchestrator) = mpsc::channel(WAITING_MAX);
        let line = Self {
            number,
            end: Cancel::new(),
            forgotten: AtomicBool::new(false),
            to_worker: Mutex::new(Some(to_worker)),
            to_orchestrator: Mutex::new(Some(to_orchestrator)),
        };
        (line, at_worker, at_orchestrator)
    }

    /// Adds a message to those that go to the worker.
    pub(super) fn tell_worker(&self, message: Item) -> Result<()> {
        add(&self.to_worker, message).context("tell the worker")
    }

    /// Adds a message to those that go to the orchestrator.
    pub(super) fn tell_orchestrator(&self, message: Item) -> Result<()> {
        add(&self.to_orchestrator, message).context("tell the orchestrator")
    }

    /// Carries a message to the worker, if it is still there.
    pub(super) async fn carry_down(&self, message: Item) {
        carry(&self.to_worker, message).await;
    }

    /// Carries a message to the orchestrator, if it is still there.
    pub(super) async fn carry_up(&self, message: Item) {
        carry(&self.to_orchestrator, message).await;
    }

    /// Nothing more goes to the worker.
    pub(super) fn close_down(&self) {
        *self.to_worker.lock() = None;
    }

    /// Nothing more goes to the orchestrator.
    pub(super) fn close_up(&self) {
        *self.to_orchestrator.lock() = None;
    }

    /// From here on nothing that the worker does on this stream matters.
    pub(super) fn forget_worker(&self) {
        self.forgotten.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::SeqCst)
    }
}

fn add(to: &Mutex<Option<Sender<Item>>>, message: Item) -> Result<()> {
    to.lock().as_ref().context("the stream is closed")?.try_send(message).context("it takes nothing")
}

async fn carry(to: &Mutex<Option<Sender<Item>>>, message: Item) {
    let sender = to.lock().clone();
    if let Some(sender) = sender {
        // Who has gone does not take it.
        drop(sender.send(message).await);
    }
}
