//! A store that fails in the two ways that a repetition does not simply mend.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use gen_worker_proto::{FunctionName, RequestId, pb};
use gen_worker_tasks::Scope;

use super::harness::{Pool, hello, now_ms, request as durable, request_with};
use crate::{
    pool::{Options, PoolError, SubmitError, Submitted},
    queue::{Applied, Change, Enqueued, Filter, Queue, QueueError, memory::MemoryQueue},
    request::{self, ErrorClass, NewRequest, Request, State},
    session::OpenGate,
};

/// The memory queue, except for what its fields say.
#[derive(Debug, Default)]
pub(super) struct Faulty {
    inner: MemoryQueue,
    /// The next batch is taken in and reported as failed: a connection that broke between commit and reply.
    unclear: AtomicBool,
    /// The next batch is answered only after the one after it.
    late: AtomicBool,
    answered: tokio::sync::Notify,
    /// Nothing is written as long as this is held.
    disk: tokio::sync::Mutex<()>,
    /// No change is written as long as this is held.
    pub(super) changes: tokio::sync::Mutex<()>,
}

/// Changes of requests with this id meet a row that cannot be read.
const DAMAGED: &str = "damaged";

impl Queue for Faulty {
    fn enqueue(&self, requests: Vec<NewRequest>) -> BoxFuture<'_, Result<Vec<Enqueued>, QueueError>> {
        Box::pin(async {
            drop(self.disk.lock().await);
            let outcome = self.inner.enqueue(requests).await;
            if self.unclear.swap(false, Relaxed) {
                return Err(QueueError::Unavailable { operation: "commit", source: "connection lost".into() });
            }
            if self.late.swap(false, Relaxed) {
                self.answered.notified().await;
            } else {
                self.answered.notify_waiters();
            }
            outcome
        })
    }

    fn apply(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<Vec<Applied>, QueueError>> {
        if changes.iter().any(|change| change.pair().request_id.as_str() == DAMAGED) {
            return Box::pin(async { Err(QueueError::Corrupt { detail: format!("request {DAMAGED}: column state") }) });
        }
        Box::pin(async {
            drop(self.changes.lock().await);
            self.inner.apply(changes).await
        })
    }

    fn apply_lazily(&self, changes: Vec<Change>) {
        self.inner.apply_lazily(changes);
    }

    fn get(&self, id: RequestId) -> BoxFuture<'_, Result<Option<Request>, QueueError>> {
        self.inner.get(id)
    }

    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Vec<Request>, QueueError>> {
        self.inner.list(filter)
    }

    fn unfinished(&self, after: i64, limit: usize) -> BoxFuture<'_, Result<Vec<Request>, QueueError>> {
        self.inner.unfinished(after, limit)
    }

    fn known_functions(&self) -> BoxFuture<'_, Result<Vec<FunctionName>, QueueError>> {
        self.inner.known_functions()
    }

    fn remember_functions(&self, functions: Vec<FunctionName>) -> BoxFuture<'_, Result<(), QueueError>> {
        self.inner.remember_functions(functions)
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        self.inner.ready()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        self.inner.close()
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_row_holds_up_no_other_request() {
    let pool = Pool::start_on(Arc::new(Faulty::default())).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    let ids = ["a", DAMAGED, "b", "c"];
    for id in ids {
        pool.submit(durable(id, "echo")).await;
        worker.expect_run(id, 1).await;
    }
    // In one turn of the pool, so that they share a batch.
    for id in ids {
        worker.finish(id, 1, pb::JobStatus::Ok, "").await;
    }
    for id in ["a", "b", "c"] {
        assert_eq!(pool.ended(id).await.state, State::Succeeded, "{id}");
    }
    pool.submit(durable("d", "echo")).await;
    worker.expect_run("d", 1).await;
    worker.finish("d", 1, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("d").await.state, State::Succeeded);
    assert!(!pool.get(DAMAGED).await.state.is_terminal(), "an end that is not on disk is not shown");
}

#[tokio::test(start_paused = true)]
async fn the_repeat_of_a_submit_with_an_unclear_outcome_runs_it() {
    let store = Arc::new(Faulty::default());
    let pool = Pool::start_on(Arc::<Faulty>::clone(&store)).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    store.unclear.store(true, Relaxed);
    let outcome = pool.handle.submit(vec![durable("r", "echo")], false).await;
    assert!(matches!(outcome, Err(PoolError::Store(_))), "{outcome:?}");
    let again = pool.handle.submit(vec![durable("r", "echo")], false).await.expect("open").remove(0);
    assert!(matches!(again, Ok(Submitted::Existing(_))), "{again:?}");
    // Above the attempt that might be anywhere, like after a restart.
    worker.expect_run("r", 2).await;
    worker.finish("r", 2, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn p2_a_repeat_that_is_answered_before_the_first_submit_is_the_same_request() {
    let store = Arc::new(Faulty::default());
    let pool = Pool::start_on(Arc::<Faulty>::clone(&store)).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    store.late.store(true, Relaxed);
    let first = pool.handle.submit(vec![durable("r", "echo")], false);
    let repeat = async {
        while store.late.load(Relaxed) {
            tokio::task::yield_now().await;
        }
        pool.handle.submit(vec![durable("r", "echo")], false).await
    };
    let (first, repeat) = tokio::join!(first, repeat);
    assert!(matches!(first.expect("open").remove(0), Ok(Submitted::Created(_))));
    assert!(matches!(repeat.expect("open").remove(0), Ok(Submitted::Existing(_))));
    let super::harness::down::Msg::RunJob(run) = worker.next().await else { panic!("a job") };
    worker.finish("r", run.attempt, pb::JobStatus::Ok, "").await;
    assert_eq!(pool.ended("r").await.state, State::Succeeded);
    let stored = pool.store.get(run_id()).await.expect("open").expect("known");
    assert_eq!(stored.state, State::Succeeded);
}

fn run_id() -> RequestId {
    RequestId::parse("r").expect("a short id")
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_hangs_fills_the_queue_and_not_the_memory() {
    let store = Arc::new(Faulty::default());
    let options = Options { unfinished_max: 10, ..Options::default() };
    let pool = Pool::start_with(options, Arc::<Faulty>::clone(&store), Arc::new(OpenGate)).await;
    let mut worker = pool.worker(hello("w", &["echo"])).await;
    let hung = store.disk.lock().await;
    let clients = Scope::new("clients");
    let waiting: Vec<_> = (0..10)
        .map(|n| {
            let handle = pool.handle.clone();
            clients.spawn_bare(async move { handle.submit(vec![durable(&format!("r{n}"), "echo")], false).await })
        })
        .collect();
    let full = Some(SubmitError::QueueFull { limit: 10 });
    let mut outcome = None;
    while outcome != full {
        tokio::task::yield_now().await;
        let more = super::harness::memory("more", "echo");
        let counted = pool.handle.submit(vec![more], false).await.expect("open").remove(0);
        outcome = counted.err();
    }
    drop(hung);
    for accepted in waiting {
        let results = accepted.await.expect("no panic").expect("stored in the end");
        assert!(results.iter().all(Result::is_ok));
    }
    for _ in 0..10 {
        let run = worker.next().await;
        assert!(matches!(run, super::harness::down::Msg::RunJob(_)), "{run:?}");
    }
    // One submit of many counts each of them.
    let many = (0..20).map(|n| durable(&format!("m{n}"), "echo")).collect();
    let results = pool.handle.submit(many, false).await.expect("open");
    assert!(results.iter().filter(|result| result.is_ok()).count() <= 10);
}

#[tokio::test(start_paused = true)]
async fn p7_a_failure_is_told_when_the_end_comes_while_its_requeue_is_written() {
    for cancelled in [true, false] {
        let store = Arc::new(Faulty::default());
        let pool = Pool::start_on(Arc::<Faulty>::clone(&store)).await;
        let mut worker = pool.worker(hello("w", &["echo"])).await;
        let deadline = Some(request::UnixMs(now_ms() + 2_000));
        pool.submit(request_with("r", "echo", request::Options { deadline, ..Default::default() })).await;
        worker.expect_run("r", 1).await;
        worker.accept("r", 1).await;
        pool.reaches("r", State::Running).await;
        let hung = store.changes.lock().await;
        worker.finish("r", 1, pb::JobStatus::Retryable, "out of memory").await;
        // The clock moves on when nothing else can: by then the requeue waits for the store.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (id, wait) = (run_id(), Duration::from_secs(if cancelled { 0 } else { 2 }));
        let cancel = async {
            if cancelled {
                pool.handle.cancel(&id).await.expect("open");
            }
        };
        let ((), ()) = tokio::join!(cancel, async {
            // Whoever cancels hears of it once it is written, too.
            tokio::time::sleep(wait + Duration::from_millis(100)).await;
            drop(hung);
        });
        let ended = pool.ended("r").await;
        let error = ended.ending.as_ref().and_then(|ending| ending.error.as_ref()).expect("it failed");
        assert_eq!(error.code, if cancelled { "canceled" } else { "deadline_exceeded" });
        let told: Vec<_> =
            error.attempts.iter().map(|failed| (failed.attempt, failed.class, failed.message.as_str())).collect();
        assert_eq!(told, [(1, ErrorClass::Retryable, "out of memory")]);
        let stored = pool.store.get(run_id()).await.expect("open").expect("known");
        assert_eq!(stored.attempts, error.attempts);
    }
}
