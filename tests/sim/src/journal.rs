//! A durable queue whose process can be killed. Owns what is not on the disk yet.
//!
//! Every batch is appended to a log; a commit takes the log up to some batch onto the disk, a little later. A crash
//! keeps what was committed and, like a real disk, any prefix of what was not. The disk itself outlives the journal.

use std::{collections::VecDeque, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use gen_worker_orchestrator::{
    queue::{Applied, Change, Enqueued, Filter, LAZY_DELAY, Queue, QueueError, memory::MemoryQueue},
    request::{NewRequest, Request},
};
use gen_worker_proto::{FunctionName, RequestId};
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::Instant};

use crate::{clock::pass, rng::Rng};

/// One process's way to the disk.
#[derive(Debug)]
pub(crate) struct Journal {
    disk: Arc<MemoryQueue>,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    rng: Rng,
    /// Number of the next batch.
    next: u64,
    pending: VecDeque<(u64, Batch)>,
    closed: bool,
}

type Reply<T> = oneshot::Sender<T>;

#[derive(Debug)]
enum Batch {
    Enqueue(Vec<NewRequest>, Reply<Vec<Enqueued>>),
    Apply(Vec<Change>, Reply<Vec<Applied>>),
    /// Nobody waits for it; it is on the disk after [`LAZY_DELAY`] at the latest.
    Lazy(Vec<Change>, Instant),
    Remember(Vec<FunctionName>, Reply<()>),
}

/// Out of a hundred batches, how many find the disk unavailable.
const UNAVAILABLE_PERCENT: u64 = 2;

/// Out of a hundred batches, how many meet a disk that is busy with something else.
const SLOW_PERCENT: u64 = 2;

impl Journal {
    /// A process that opens the disk.
    pub(crate) fn open(disk: Arc<MemoryQueue>, rng: Rng) -> Self {
        let log = Log { rng, next: 0, pending: VecDeque::new(), closed: false };
        Self { disk, log: Mutex::new(log) }
    }

    /// Ends the process's way to the disk: some of what was under way reached it, in order.
    pub(crate) fn crash(&self) {
        let mut log = self.log.lock();
        let old = Instant::now() - LAZY_DELAY;
        let overdue = log.pending.iter().rfind(|(_, batch)| matches!(batch, Batch::Lazy(_, at) if *at <= old));
        if let Some(number) = overdue.map(|(number, _)| *number) {
            self.commit(&mut log, number);
        }
        let most = log.pending.len();
        let kept = log.rng.index(most + 1);
        log.pending.truncate(kept);
        self.commit(&mut log, u64::MAX);
        log.closed = true;
    }

    /// Takes everything up to a batch onto the disk.
    fn commit(&self, log: &mut Log, number: u64) {
        while log.pending.front().is_some_and(|(first, _)| *first <= number) {
            match log.pending.pop_front() {
                Some((_, Batch::Enqueue(requests, reply))) => drop(reply.send(at_once(self.disk.enqueue(requests)))),
                Some((_, Batch::Apply(changes, reply))) => {
                    drop(reply.send(at_once(self.disk.apply(changes))));
                }
                Some((_, Batch::Lazy(changes, _))) => drop(at_once(self.disk.apply(changes))),
                Some((_, Batch::Remember(functions, reply))) => {
                    at_once(self.disk.remember_functions(functions));
                    // Who wrote it may be gone.
                    let _ = reply.send(());
                }
                None => return,
            }
        }
    }

    /// Hands a batch over, and waits until it is on the disk and its writer knows.
    async fn write<T>(&self, batch: impl FnOnce(Reply<T>) -> Batch + Send) -> Result<T, QueueError> {
        let (reply, answer) = oneshot::channel();
        let (number, before, after) = {
            let mut log = self.log.lock();
            if log.closed {
                return Err(QueueError::Closed);
            }
            if log.rng.percent(UNAVAILABLE_PERCENT) {
                return Err(QueueError::Unavailable { operation: "commit", source: "disk is away".into() });
            }
            let number = log.append(batch(reply));
            let slow = log.rng.maybe_millis(SLOW_PERCENT, 50, 2_000);
            (number, slow.unwrap_or_else(|| log.rng.millis(0, 6)), log.rng.maybe_millis(20, 1, 10))
        };
        pass(before).await;
        self.commit(&mut self.log.lock(), number);
        if let Some(after) = after {
            pass(after).await;
        }
        answer.await.map_err(|_| QueueError::Closed)
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&MemoryQueue) -> BoxFuture<'_, Result<T, QueueError>>,
    ) -> Result<T, QueueError> {
        if self.log.lock().closed { Err(QueueError::Closed) } else { Ok(at_once(read(&self.disk))) }
    }
}

impl Log {
    fn append(&mut self, batch: Batch) -> u64 {
        self.next += 1;
        self.pending.push_back((self.next, batch));
        self.next
    }
}

/// The disk answers at once, and always.
fn at_once<T>(future: BoxFuture<'_, Result<T, QueueError>>) -> T {
    future.now_or_never().expect("the memory queue is ready at once").expect("the disk is never closed")
}

impl Queue for Journal {
    fn enqueue(&self, requests: Vec<NewRequest>) -> BoxFuture<'_, Result<Vec<Enqueued>, QueueError>> {
        self.write(|reply| Batch::Enqueue(requests, reply)).boxed()
    }

    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Applied>, QueueError>> {
        self.write(|reply| Batch::Apply(changes, reply)).boxed()
    }

    fn apply_lazily(&self, changes: Vec<Change>) {
        let mut log = self.log.lock();
        if !log.closed {
            log.append(Batch::Lazy(changes, Instant::now()));
        }
    }

    fn get(&self, id: RequestId) -> BoxFuture<'_, Result<Option<Request>, QueueError>> {
        async move { self.read(|disk| disk.get(id)) }.boxed()
    }

    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Request>, QueueError>> {
        async move { self.read(|disk| disk.list(filter)) }.boxed()
    }

    fn unfinished(&self, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Request>, QueueError>> {
        async move { self.read(|disk| disk.unfinished(after, limit)) }.boxed()
    }

    fn known_functions(&self) -> BoxFuture<'_, Result<Vec<FunctionName>, QueueError>> {
        async move { self.read(MemoryQueue::known_functions) }.boxed()
    }

    fn remember_functions(&self, functions: Vec<FunctionName>) -> BoxFuture<'_, Result<(), QueueError>> {
        self.write(|reply| Batch::Remember(functions, reply)).boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        async move { self.read(MemoryQueue::ready) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        async move {
            let mut log = self.log.lock();
            self.commit(&mut log, u64::MAX);
            log.closed = true;
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
