//! What the worker under test can do.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use gen_worker_core::{
    Registry, RegistryBuilder, RequestContext, Result, WorkerError,
    context::Level,
    io_type::{Output, Payload},
    stream_item::{BatchItemDelta, Done, Error, StreamEvent, StreamItem, TokenDelta},
};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Text {
    pub text: String,
}

impl Payload for Text {}
impl Output for Text {}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    pub count: u64,
}

impl Payload for Count {}
impl Output for Count {}
impl StreamItem for Count {}

/// What tests look at and turn on while handlers run.
#[derive(Clone, Default)]
pub struct Probe {
    runs: watch::Sender<usize>,
    gates: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
}

impl Probe {
    /// Handlers started.
    pub fn runs(&self) -> usize {
        *self.runs.borrow()
    }

    /// Waits until so many have started.
    pub async fn ran(&self, runs: usize) {
        self.runs.subscribe().wait_for(|so_far| *so_far >= runs).await.expect("the sender is here");
    }

    /// A handler starts.
    pub fn begun(&self) {
        self.runs.send_modify(|runs| *runs += 1);
    }

    /// Lets the `gated` handler with this text return.
    pub fn open(&self, text: &str) {
        self.gate(text).notify_one();
    }

    pub fn gate(&self, text: &str) -> Arc<Notify> {
        self.gates.lock().entry(text.to_owned()).or_default().clone()
    }
}

/// MessagePack of `{text}`.
pub fn text(text: &str) -> Vec<u8> {
    rmp_serde::to_vec_named(&Text { text: text.into() }).expect("encodes")
}

/// MessagePack of `{count}`.
pub fn count(count: u64) -> Vec<u8> {
    rmp_serde::to_vec_named(&Count { count }).expect("encodes")
}

pub fn registry(probe: &Probe) -> RegistryBuilder {
    let (echoed, gated) = (probe.clone(), probe.clone());
    Registry::builder()
        .asynchronous("echo", move |_: RequestContext, input: Text| {
            echoed.begun();
            async move { Ok(input) }
        })
        .asynchronous("gated_echo", move |_: RequestContext, input: Text| {
            gated.begun();
            let gate = gated.gate(&input.text);
            async move {
                gate.notified().await;
                Ok(input)
            }
        })
        .asynchronous("slow", |_: RequestContext, input: Count| async move {
            tokio::time::sleep(Duration::from_millis(input.count)).await; // tidy: a handler on the paused clock of its test; nothing waits in real time
            Ok(input)
        })
        .asynchronous("refuse", |_: RequestContext, input: Text| async move {
            Err::<Text, _>(WorkerError::validation(input.text))
        })
        .asynchronous("retry", |_: RequestContext, input: Text| async move {
            Err::<Text, _>(WorkerError::retryable(input.text))
        })
        .asynchronous("panics", |_: RequestContext, input: Text| async move { panic_with::<Text>(&input.text) })
        .asynchronous("large", |_: RequestContext, input: Count| async move {
            Ok(Text { text: "x".repeat(usize::try_from(input.count).expect("small")) })
        })
        .asynchronous("chatty", |context: RequestContext, input: Count| async move {
            (0..input.count).for_each(|at| context.progress(at as f64, None));
            Ok(input)
        })
        .asynchronous("polite", |context: RequestContext, input: Text| async move {
            context.cancelled().await;
            Ok(input)
        })
        .blocking("busy", |context: RequestContext, input: Count| {
            // A thread that looks at the flag from time to time; `count` tells how often it may.
            for _ in 0..input.count {
                context.check_cancelled()?;
                std::thread::yield_now();
            }
            Ok(input)
        })
        .blocking("until_cancelled", |context: RequestContext, _: Text| until_cancelled(&context))
        .asynchronous("leaky", |_: RequestContext, input: Text| async move {
            // A task that nobody owns any more, as careless authors leave behind.
            let scope = Scope::new("leaked");
            scope.spawn("leaked", std::future::pending());
            std::mem::forget(scope);
            Ok(input)
        })
        .streaming("numbers", |_: RequestContext, input: Count| {
            stream::iter((1..=input.count).map(|count| Ok(Count { count })))
        })
        .streaming("tokens", |_: RequestContext, input: Count| {
            // A kilobyte each.
            stream::iter((0..input.count).map(|_| Ok(TokenDelta::text("x".repeat(1_000)))))
        })
        .streaming("mixed", |_: RequestContext, input: Text| {
            let last = if input.text == "fail" {
                StreamEvent::Error(Error { message: "no more paint".into() })
            } else {
                StreamEvent::Done(Done {})
            };
            let batch = BatchItemDelta { index: 1, chunk: vec![1, 2].into(), ..BatchItemDelta::default() };
            let items = [
                StreamEvent::Token(TokenDelta::text("a")),
                StreamEvent::Token(TokenDelta::text("b")),
                StreamEvent::Batch(batch),
                last,
                StreamEvent::Token(TokenDelta::text("never read")),
            ];
            stream::iter(items.map(Ok))
        })
        .streaming("narrated", |context: RequestContext, input: Count| {
            stream::iter((1..=input.count).map(move |count| {
                context.progress(count as f64, None);
                Ok(Count { count })
            }))
        })
        .streaming("sore_loser", |_: RequestContext, input: Count| {
            let sore = SoreLoser;
            stream::iter((1..=input.count).map(move |count| {
                let _kept = &sore;
                Ok(Count { count })
            }))
        })
        .asynchronous("shouts", |context: RequestContext, input: Count| async move {
            context.log(Level::Info, "A".repeat(usize::try_from(input.count).expect("small")));
            Ok(input)
        })
        .streaming("ticks", |_: RequestContext, input: Count| {
            stream::iter(1..=input.count).then(|count| async move {
                tokio::time::sleep(Duration::from_secs(1)).await; // tidy: a handler on the paused clock of its test; nothing waits in real time
                Ok(Count { count })
            })
        })
}

/// Panics when it is dropped.
struct SoreLoser;

impl Drop for SoreLoser {
    fn drop(&mut self) {
        panic!("not like this");
    }
}

fn panic_with<T>(text: &str) -> Result<T> {
    panic!("{text}")
}

fn until_cancelled(context: &RequestContext) -> Result<Text> {
    loop {
        context.check_cancelled()?;
        std::thread::yield_now();
    }
}
