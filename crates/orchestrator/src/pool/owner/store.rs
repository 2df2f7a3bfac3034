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
    hub::{HubUnavailable, Lookup},
    lifecycle::{Happened, Step},
    pool::{
        snapshots::ModelKey,
        view::{View, add},
        views::CancelOutcome,
    },
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

/// A change that the store is done with.
pub(super) struct Written {
    pair: Pair,
    kind: Kind,
    /// None when it could not be written.
    applied: Option<Applied>,
}

/// What a change means to the request in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A wish to cancel.
    Cancel,
    /// Where an attempt is.
    Record,
    /// A decision, which becomes true now.
    Decision,
}

impl Kind {
    fn of(change: &Change) -> Self {
        match change {
            Change::Cancel { .. } => Self::Cancel,
            Change::Assign { .. } | Change::Start { .. } => Self::Record,
            Change::Requeue { .. } | Change::Finish { .. } => Self::Decision,
        }
    }
}

/// A batch that the store is done with.
pub(super) enum Done {
    Enqueued(Vec<TicketPlace>, Result<Vec<Enqueued>, QueueError>),
    Applied(Vec<Written>),
    Remembered,
    Resolved(ModelKey, Result<Lookup, HubUnavailable>),
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
            Done::Applied(changes) => {
                self.work.applies -= 1;
                self.applied(&changes);
            }
            Done::Remembered => {}
            Done::Resolved(key, answer) => self.resolved(key, answer),
        }
    }

    fn applied(&mut self, changes: &[Written]) {
        for Written { pair, kind, applied } in changes {
            let Some(sequence) = self.table.sequence(pair.request_id.as_str()) else { continue };
            match applied {
                // Nothing is announced that is not on disk; a restart decides anew.
                None => {
                    if let Some(live) = self.table.get_mut(sequence).filter(|_| *kind == Kind::Cancel) {
                        // Whoever asked sees that it did not work.
                        live.asked.clear();
                    }
                }
                Some(_) if *kind == Kind::Record => self.recorded(sequence, pair.attempt),
                Some(_) if *kind == Kind::Cancel => {
                    let Some(live) = self.table.get_mut(sequence) else { continue };
                    for reply in std::mem::take(&mut live.asked) {
                        drop(reply.send(Some(CancelOutcome::Requested(live.shown()))));
                    }
                }
                Some(applied) => {
                    if *applied == Applied::Stale {
                        // A batch that was repeated after an unclear failure finds its own work done.
                        debug!(%pair, "store had this decision already, or a newer one");
                    }
                    let step = self.happen(sequence, Happened::Stored, Detail::default());
                    debug_assert_ne!(step, Step::Stale, "a stored decision is never stale");
                }
            }
        }
    }
}

/// Writes changes; tries until it works, the store is closed or what is there cannot be read. In the last case each
/// change is then tried alone, so that one damaged row does not hold up the others.
async fn apply(store: Arc<dyn Queue>, view: Arc<View>, changes: Vec<Change>) -> Done {
    let outcome = match write(&*store, &view, &changes).await {
        Err(QueueError::Corrupt { .. }) if changes.len() > 1 => {
            let mut each = Vec::with_capacity(changes.len());
            for change in &changes {
                let outcome = write(&*store, &view, std::slice::from_ref(change)).await;
                each.push(
                    outcome.map(|applied| applied.first().copied()).unwrap_or_else(|error| failed(change, &error)),
                );
            }
            each
        }
        Ok(applied) => applied.into_iter().map(Some).collect(),
        Err(error) => changes.iter().map(|change| failed(change, &error)).collect(),
    };
    let written = changes.into_iter().zip(outcome).map(|(change, applied)| Written {
        kind: Kind::of(&change),
        pair: change.pair().clone(),
        applied,
    });
    Done::Applied(written.collect())
}

fn failed(change: &Change, error: &QueueError) -> Option<Applied> {
    error!(%error, pair = %change.pair(), "a change cannot be written; its request stays as it is shown");
    None
}

async fn write(store: &dyn Queue, view: &View, changes: &[Change]) -> Result<Vec<Applied>, QueueError> {
    let mut pause = RETRY_FIRST;
    loop {
        match store.apply(changes.to_vec()).await {
            Err(error @ QueueError::Unavailable { .. }) => {
                add(&view.totals.store_retries);
                warn!(%error, requests = changes.len(), "decisions are not written yet, trying again");
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(RETRY_MAX);
            }
            outcome => return outcome,
        }
    }
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
