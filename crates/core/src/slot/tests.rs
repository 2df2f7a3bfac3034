//! Calls in slots on a paused clock: against real children that are tasks of the test, and against children and workers
//! that do what the test says.
mod child;
mod real;
mod scripted;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{FutureExt as _, StreamExt as _, future::pending, stream};
use gen_worker_proto::{FunctionName, Pair};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{InMemorySlots, SlotExit, SlotLauncher, SlotOptions, attach};
use crate::{
    CancelFlag, ContextParts, EventSink, Frame, Function, Instance, Invocation, LocalModels, ModelSource, Registry,
    RequestContext, RequestEvent, WorkerError, codec,
    endpoint::{EndpointDecl, HandlerDecl, InstanceValue, Isolation, LifecycleDecl, OutputShape, Work},
    function::Call,
    gpu::NoGpus,
    io_type::{Output, Payload},
    memory::SystemMemory,
    stream_item::StreamItem,
    worker_error::Result,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Text {
    text: String,
}

impl Payload for Text {}
impl Output for Text {}
impl StreamItem for Text {}

/// What tests see of the handlers, and how they turn them.
#[derive(Clone, Default)]
struct Probe {
    /// Handlers of `hold` that wait.
    held: Arc<AtomicUsize>,
    /// Items of `flood` made.
    made: Arc<AtomicUsize>,
    setups: Arc<AtomicUsize>,
    shutdowns: Arc<AtomicUsize>,
    setup_fails: Arc<Mutex<Option<WorkerError>>>,
    events: Arc<Mutex<Vec<RequestEvent>>>,
}

impl EventSink for Probe {
    fn emit(&self, event: RequestEvent) {
        self.events.lock().push(event);
    }
}

/// Bytes of one item of `flood`.
const ITEM_BYTES: usize = 16 * 1024;

fn registry(probe: &Probe) -> Registry {
    let (held, waiting, made) = (probe.held.clone(), probe.held.clone(), probe.made.clone());
    Registry::builder()
        .asynchronous("echo", |context: RequestContext, input: Text| async move {
            context.progress(0.5, Some("half"));
            let about = format!("{} for {} on {:?}", input.text, context.owner(), context.device());
            Ok(Text { text: about })
        })
        .isolation(Isolation::Process)
        .asynchronous("hold", move |_: RequestContext, _: Text| {
            let held = held.clone();
            async move {
                held.fetch_add(1, Ordering::SeqCst);
                pending::<Result<Text>>().await
            }
        })
        .isolation(Isolation::Process)
        .asynchronous("fail", |_: RequestContext, input: Text| async move {
            Err::<Text, _>(WorkerError::fatal("Boom", input.text))
        })
        .isolation(Isolation::Process)
        .asynchronous("panics", |_: RequestContext, input: Text| async move {
            assert!(input.text.is_empty(), "not empty");
            Ok(input)
        })
        .isolation(Isolation::Process)
        .blocking("until_cancelled", move |context: RequestContext, input: Text| {
            waiting.fetch_add(1, Ordering::SeqCst);
            while !context.is_cancelled() {
                std::thread::yield_now();
            }
            Ok(input)
        })
        .isolation(Isolation::Process)
        .streaming("flood", move |_: RequestContext, input: Text| {
            let made = made.clone();
            let count = input.text.parse().unwrap_or(0);
            stream::iter(0..count).map(move |_: usize| {
                made.fetch_add(1, Ordering::SeqCst);
                Ok(Text { text: "x".repeat(ITEM_BYTES) })
            })
        })
        .isolation(Isolation::Process)
        .endpoint(model(probe))
        .isolation(Isolation::Process)
        .build()
        .expect("a sound registry")
}

/// A type with everything a type can have.
fn model(probe: &Probe) -> EndpointDecl {
    let (setup, shutdowns) = (probe.clone(), probe.shutdowns.clone());
    let lifecycle = LifecycleDecl {
        parameters: Vec::new(),
        declared_setup: true,
        setup: Arc::new(move |_| {
            let number = setup.setups.fetch_add(1, Ordering::SeqCst);
            let outcome = match setup.setup_fails.lock().take() {
                Some(error) => Err(error),
                None => Ok(Arc::new(number) as InstanceValue),
            };
            Work::Async(async { outcome }.boxed())
        }),
        warmup: None,
        shutdown: Some(Arc::new(move |_| {
            shutdowns.fetch_add(1, Ordering::SeqCst);
            Work::Async(async { Ok(()) }.boxed())
        })),
    };
    let mut decl = EndpointDecl::of_type("slots", "Model", lifecycle);
    decl.resources.max_concurrency = Some(2);
    decl.handlers.push(HandlerDecl {
        method: "number",
        name: None,
        payload: <Text as Payload>::type_decl(),
        output: <Text as Output>::type_decl(),
        shape: OutputShape::Single,
        blocking: false,
        slots: Vec::new(),
        call: Arc::new(|call: Call| {
            call.decode::<Text>()?;
            let number = call.borrow_instance::<usize>()?;
            Ok(Invocation::Async(async move { codec::encode(&Text { text: number.to_string() }) }.boxed()))
        }),
    });
    decl
}

/// A registry whose isolated functions run where `options` say.
fn hosted(probe: &Probe, options: &SlotOptions) -> Registry {
    let registry = registry(probe);
    attach(&registry, Some(options)).expect("there are options");
    registry
}

fn function(registry: &Registry, name: &str) -> Arc<Function> {
    registry.get(name).cloned().expect("it is there")
}

async fn instance(function: &Function) -> Result<Instance> {
    let models: Arc<dyn ModelSource> = Arc::new(LocalModels::new());
    function.instance().expect("isolated functions have one").get(&models, &HashMap::new()).await
}

fn context(id: &str, attempt: i64, probe: &Probe) -> ContextParts {
    ContextParts {
        tenant: "acme".into(),
        events: Arc::new(probe.clone()),
        ..ContextParts::new(
            Pair::parse(id, attempt).expect("a pair"),
            FunctionName::parse("set by invoke").expect("a name"),
        )
    }
}

fn payload(text: &str) -> bytes::Bytes {
    codec::encode(&Text { text: text.into() }).expect("it encodes")
}

/// Starts a call of `name` and polls nothing.
async fn invoke(registry: &Registry, name: &str, parts: ContextParts, text: &str) -> Result<Invocation> {
    let function = function(registry, name);
    let instance = instance(&function).await?;
    let context = RequestContext::new(ContextParts { function: function.name().clone(), ..parts });
    function.invoke(context, payload(text), Some(instance))
}

/// Runs a call of a function that gives one value.
async fn run(registry: &Registry, name: &str, parts: ContextParts, text: &str) -> Result<String> {
    match invoke(registry, name, parts, text).await? {
        Invocation::Async(work) => Ok(codec::decode::<Text>(&work.await?)?.text),
        other => panic!("{other:?} is not one value"),
    }
}

/// Lets everybody else run until nothing more happens.
async fn settle() {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await; // tidy: the clock is paused: it moves when all others wait
}
