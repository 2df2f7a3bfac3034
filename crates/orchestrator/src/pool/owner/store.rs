//! The owner's side of the store: batches out, results in. At most a few batches are under way; what comes up
//! meanwhile shares the next one, so a slow disk makes batches larger, not queues longer.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use gen_worker_proto::{FunctionName, Pair};
use tracing::{debug, error, warn};

use super::{
    Owner,
    admit::{Incoming, TicketPlace},
    ending::Detail,
};
use crate::{
    lifecycle::{Happened, Step},
    pool::view::{View, add},
    queue::{Applied, Change, Enqueued, Queue, QueueError},
};

/// Batches of one kind under way at once: one being written, one ready for the next commit.
const BATCHES_MAX: usize = 2;

/// Pauses between tries of a write that must not get lost.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// What waits for the store, and how much it is doing.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) incoming: Vec<Incoming>,
    pub(super) changes: Vec<Change>,
    pub(super) functions: Vec<FunctionName>,
    enqueues: usize,
    applies: usize,
}

/// A batch that the store is done with.
pub(super) enum Done {
    Enqueued(Vec<TicketPlace>, Result<Vec<Enqueued>, QueueError>),
    Applied(Vec<Pair>, Result<Vec<Applied>, QueueError>),
    Remembered,
}

impl Owner {
    /// Hands over what has come together, as far as the store has room.
    pub(super) fn flush(&mut self) {
        if !self.work.incoming.is_empty() && self.work.enqueues < BATCHES_MAX {
            self.work.enqueues += 1;
            let (requests, places): (Vec<_>, Vec<_>) = std::mem::take(&mut self.work.incoming)
                .into_iter()
                .map(|incoming| (incoming.request, incoming.place))
                .unzip();
            let store = Arc::clone(&self.store);
            self.ops.push(async move { Done::Enqueued(places, store.enqueue(requests).await) }.boxed());
        }
        if !self.work.changes.is_empty() && self.work.applies < BATCHES_MAX {
            self.work.applies += 1;
            let changes = std::mem::take(&mut self.work.changes);
            let (store, view) = (Arc::clone(&self.store), Arc::clone(&self.view));
            self.ops.push(apply(store, view, changes).boxed());
        }
        if !self.work.functions.is_empty() {
            let functions = std::mem::take(&mut self.work.functions);
            let store = Arc::clone(&self.store);
            self.ops.push(remember(store, functions).boxed());
        }
    }

    /// Takes the result of a batch.
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Enqueued(places, outcome) => {
                self.work.enqueues -= 1;
                self.enqueued(places, outcome);
            }
            Done::Applied(pairs, outcome) => {
                self.work.applies -= 1;
                self.applied(&pairs, outcome);
            }
            Done::Remembered => {}
        }
    }

    fn applied(&mut self, pairs: &[Pair], outcome: Result<Vec<Applied>, QueueError>) {
        let applied = match outcome {
            Ok(applied) => applied,
            Err(error) => {
                // Only a closed store comes here: nothing is announced, a restart decides anew.
                error!(%error, requests = pairs.len(), "decisions could not be written");
                return;
            }
        };
        for (pair, applied) in pairs.iter().zip(applied) {
            if applied == Applied::Stale {
                // A batch that was repeated after an unclear failure finds its own work done.
                debug!(%pair, "store had this decision already, or a newer one");
            }
            if let Some(sequence) = self.table.sequence(pair.request_id.as_str()) {
                let step = self.happen(sequence, Happened::Stored, Detail::default());
                debug_assert_ne!(step, Step::Stale, "a stored decision is never stale");
            }
        }
    }
}

/// Writes decisions; tries until it works or the store is closed.
async fn apply(store: Arc<dyn Queue>, view: Arc<View>, changes: Vec<Change>) -> Done {
    let pairs = changes.iter().map(|change| change.pair().clone()).collect();
    let mut pause = RETRY_FIRST;
    loop {
        match store.apply(changes.clone()).await {
            Err(error @ QueueError::Unavailable { .. }) => {
                add(&view.totals.store_retries);
                warn!(%error, requests = changes.len(), "decisions are not written yet, trying again");
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(RETRY_MAX);
            }
            Err(QueueError::Corrupt { .. }) if changes.len() > 1 => return apply_each(store, view, changes).await,
            Err(error @ QueueError::Corrupt { .. }) => {
                // No repetition helps. Nothing is announced that is not on disk: the request stays as it is shown.
                error!(%error, pair = ?pairs, "a decision cannot be written; its request will not end");
                return Done::Applied(Vec::new(), Ok(Vec::new()));
            }
            outcome => return Done::Applied(pairs, outcome),
        }
    }
}

/// Writes the decisions of a batch one by one, so that one damaged row does not hold up the others.
async fn apply_each(store: Arc<dyn Queue>, view: Arc<View>, changes: Vec<Change>) -> Done {
    let (mut pairs, mut applied) = (Vec::with_capacity(changes.len()), Vec::with_capacity(changes.len()));
    for change in changes {
        match Box::pin(apply(Arc::clone(&store), Arc::clone(&view), vec![change])).await {
            Done::Applied(done, Ok(outcome)) => {
                pairs.extend(done);
                applied.extend(outcome);
            }
            // Closed: what follows in this batch is decided anew by a restart.
            _ => break,
        }
    }
    Done::Applied(pairs, Ok(applied))
}

/// Remembers functions; tries until it works or the store is closed.
async fn remember(store: Arc<dyn Queue>, functions: Vec<FunctionName>) -> Done {
    let mut pause = RETRY_FIRST;
    loop {
        match store.remember_functions(functions.clone()).await {
            Ok(()) | Err(QueueError::Closed) => return Done::Remembered,
            Err(error) => {
                warn!(%error, "function names are not written yet, trying again");
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(RETRY_MAX);
            }
        }
    }
}
