//! What workers can do in a simulation. Every handler writes itself into the ledger and returns what it wrote.

use std::{sync::Arc, time::Duration};

use futures::Stream;
use gen_worker_core::{
    Registry, RequestContext, Result, WorkerError,
    io_type::{Output, Payload},
    stream_item::StreamItem,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Barrier;

use crate::{
    clock::pass,
    ledger::{Fate, Ledger, Running},
};

/// What a handler is asked to do.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Work {
    /// How long it takes, or each item of it, in milliseconds.
    pub(crate) run_ms: u64,
    /// It fails retryably up to this attempt.
    pub(crate) fails_until: i64,
    /// Items of a stream.
    pub(crate) items: u64,
    /// Makes the message as long as it is.
    pub(crate) padding: String,
}

/// Which execution made this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Proof {
    /// Its request.
    pub(crate) request: String,
    /// Its attempt.
    pub(crate) attempt: i64,
    /// Its number in the ledger.
    pub(crate) execution: usize,
    /// Place in the stream, from 0.
    pub(crate) index: u64,
}

impl Payload for Work {}
impl Output for Proof {}
impl StreamItem for Proof {}

/// The functions by name, in the order in which plans pick them.
pub(crate) const FUNCTIONS: [&str; 6] = ["polite", "deaf", "stream", "wrong", "broken", "panicking"];

/// Waits for as many of its kind as there are permits.
pub(crate) const BARRIER: &str = "together";

/// One worker's functions.
#[derive(Clone)]
struct Host {
    ledger: Ledger,
    worker_id: Arc<str>,
    together: Arc<Barrier>,
}

/// The functions of the worker `worker_id`. `together` waits for everyone in the last round.
pub(crate) fn registry(ledger: &Ledger, worker_id: &Arc<str>, together: &Arc<Barrier>) -> Registry {
    let host = || Host { ledger: ledger.clone(), worker_id: Arc::clone(worker_id), together: Arc::clone(together) };
    let (polite, deaf, streams, wrong, broken, panicking, barrier) =
        (host(), host(), host(), host(), host(), host(), host());
    let registry = Registry::builder()
        .asynchronous(FUNCTIONS[0], move |context, work| polite.clone().polite(context, work))
        .asynchronous(FUNCTIONS[1], move |context, work| deaf.clone().deaf(context, work))
        .streaming(FUNCTIONS[2], move |context, work| streams.clone().streams(context, work))
        .asynchronous(FUNCTIONS[3], move |context, work| {
            wrong.clone().fails(context, work, WorkerError::validation("no"))
        })
        .asynchronous(FUNCTIONS[4], move |context, work| {
            broken.clone().fails(context, work, WorkerError::retryable("no"))
        })
        .asynchronous(FUNCTIONS[5], move |context, work| panicking.clone().panics(context, work))
        .asynchronous(BARRIER, move |context, work| barrier.clone().together(context, work))
        .build();
    registry.expect("the functions are sound")
}

impl Host {
    fn begin(&self, context: &RequestContext) -> (Running, Proof) {
        let (request, attempt) = (context.request_id().to_owned(), context.attempt().0);
        let running = self.ledger.begin(&request, attempt, &self.worker_id);
        let proof = Proof { request, attempt, execution: running.number(), index: 0 };
        (running, proof)
    }

    /// Looks at its cancel.
    async fn polite(self, context: RequestContext, work: Work) -> Result<Proof> {
        let (running, proof) = self.begin(&context);
        let slept = context.sleep(Duration::from_millis(work.run_ms)).await;
        if let Err(error) = slept {
            running.end(Fate::Failed);
            return Err(error);
        }
        done(running, proof, &work)
    }

    /// Does not look at it.
    async fn deaf(self, context: RequestContext, work: Work) -> Result<Proof> {
        let (running, proof) = self.begin(&context);
        pass(Duration::from_millis(work.run_ms)).await;
        done(running, proof, &work)
    }

    async fn fails(self, context: RequestContext, work: Work, error: WorkerError) -> Result<Proof> {
        let (running, _) = self.begin(&context);
        pass(Duration::from_millis(work.run_ms)).await;
        running.end(Fate::Failed);
        Err(error)
    }

    async fn panics(self, context: RequestContext, work: Work) -> Result<Proof> {
        let (running, _) = self.begin(&context);
        pass(Duration::from_millis(work.run_ms)).await;
        running.end(Fate::Failed);
        // No hook runs: this panic is planned, every other one is a violation.
        std::panic::resume_unwind(Box::new("planned"))
    }

    async fn together(self, context: RequestContext, _: Work) -> Result<Proof> {
        let (running, proof) = self.begin(&context);
        self.together.wait().await;
        running.end(Fate::Returned);
        Ok(proof)
    }

    fn streams(self, context: RequestContext, work: Work) -> impl Stream<Item = Result<Proof>> + Send + 'static {
        let (running, proof) = self.begin(&context);
        let state = (Some(running), proof, work);
        futures::stream::unfold(state, |(mut running, mut proof, work)| async move {
            let held = running.take()?;
            if proof.index == work.items {
                let failed = proof.attempt <= work.fails_until;
                held.end(if failed { Fate::Failed } else { Fate::Returned });
                return failed.then(|| (Err(WorkerError::retryable("planned")), (None, proof, work)));
            }
            pass(Duration::from_millis(work.run_ms)).await;
            let item = proof.clone();
            proof.index += 1;
            Some((Ok(item), (Some(held), proof, work)))
        })
    }
}

fn done(running: Running, proof: Proof, work: &Work) -> Result<Proof> {
    if proof.attempt <= work.fails_until {
        running.end(Fate::Failed);
        return Err(WorkerError::retryable("planned"));
    }
    running.end(Fate::Returned);
    Ok(proof)
}
