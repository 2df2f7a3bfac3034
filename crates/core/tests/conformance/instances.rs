//! Functions of a type: set up while the stream opens, offered once ready, disabled when setup fails, shut down once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::FutureExt;
use gen_worker_core::{
    Invocation, Registry, RegistryBuilder, Result, WorkerError, codec,
    endpoint::{EndpointDecl, HandlerDecl, InstanceValue, LifecycleDecl, OutputShape, Work},
    function::Call,
    io_type::{Output, Payload},
};
use gen_worker_proto::pb::{JobStatus, WorkerPhase, worker_message::Msg};
use tokio::sync::Notify;

use crate::{
    fixture::Fixture,
    functions::{Probe, Text, text},
};

/// A type whose setup waits for a sign and then succeeds or fails.
#[derive(Clone, Default)]
struct Lifecycle {
    go: Arc<Notify>,
    setups: Arc<AtomicUsize>,
    shutdowns: Arc<AtomicUsize>,
    fails: bool,
    /// Fails the first time, for a reason that passes.
    hesitates: bool,
}

fn functions(lifecycle: &Lifecycle) -> RegistryBuilder {
    let (setup, closing) = (lifecycle.clone(), lifecycle.clone());
    let decl = LifecycleDecl {
        parameters: Vec::new(),
        declared_setup: true,
        setup: Arc::new(move |_| {
            let setup = setup.clone();
            Work::Async(
                async move {
                    let earlier = setup.setups.fetch_add(1, Ordering::SeqCst);
                    setup.go.notified().await;
                    if setup.hesitates && earlier == 0 {
                        return Err(WorkerError::retryable("the disk is full at the moment"));
                    }
                    if setup.fails { Err(WorkerError::resource("no card")) } else { Ok(Arc::new(()) as InstanceValue) }
                }
                .boxed(),
            )
        }),
        warmup: None,
        shutdown: Some(Arc::new(move |_| {
            closing.shutdowns.fetch_add(1, Ordering::SeqCst);
            Work::Async(async { Ok(()) }.boxed())
        })),
    };
    let mut endpoint = EndpointDecl::of_type("conformance", "Model", decl);
    endpoint.handlers.push(HandlerDecl {
        method: "ask",
        name: None,
        payload: <Text as Payload>::type_decl(),
        output: <Text as Output>::type_decl(),
        shape: OutputShape::Single,
        blocking: false,
        slots: Vec::new(),
        call: Arc::new(ask),
    });
    Registry::builder().endpoint(endpoint)
}

fn ask(call: Call) -> Result<Invocation> {
    let input: Text = call.decode()?;
    Ok(Invocation::Async(async move { codec::encode(&input) }.boxed()))
}

#[tokio::test(start_paused = true)]
async fn a_function_is_loading_until_its_setup_is_done() {
    let lifecycle = Lifecycle::default();
    let mut fixture = Fixture::serving(functions(&lifecycle), Probe::default(), |_| {});
    let (mut session, hello) = fixture.orchestrator.connect().await;
    let state = hello.state.expect("state");
    assert_eq!((state.phase(), state.loading_functions), (WorkerPhase::LoadingPipelines, vec!["ask".to_owned()]));
    session.run("r1", 1, "ask", &text("cold")).await;
    assert_eq!(session.accepted().await, ("r1".into(), 1), "accepted before the setup is done");
    session.run("r2", 1, "ask", &text("never")).await;
    assert_eq!(session.accepted().await, ("r2".into(), 1));
    session.cancel("r2", 1).await;
    let result = session.result().await;
    assert_eq!((result.request_id.as_str(), result.status()), ("r2", JobStatus::Canceled), "W16: not after setup");
    lifecycle.go.notify_one();
    let result = session.result().await;
    assert_eq!((result.request_id.as_str(), result.status()), ("r1", JobStatus::Ok));
    assert_eq!(lifecycle.setups.load(Ordering::SeqCst), 1);
    session.run("r3", 1, "ask", &text("warm")).await;
    assert_eq!(session.result().await.status(), JobStatus::Ok);
    session.drain(1_000).await;
    while session.try_next().await.is_some() {}
    session.finish();
    fixture.ended().await.expect("a good end");
    assert_eq!(lifecycle.shutdowns.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_setup_disables_the_function_and_is_told_on_every_connection() {
    let lifecycle = Lifecycle { fails: true, ..Lifecycle::default() };
    let mut fixture = Fixture::serving(functions(&lifecycle), Probe::default(), |_| {});
    let (mut session, _) = fixture.orchestrator.connect().await;
    session.state().await;
    session.run("r1", 1, "ask", &text("cold")).await;
    session.accepted().await;
    lifecycle.go.notify_one();
    let mut told = 0;
    let result = loop {
        match session.next().await {
            Msg::FnUnavailable(why) => {
                assert_eq!((why.function_name.as_str(), why.reason.as_str()), ("ask", "setup_failed"));
                told += 1;
            }
            Msg::JobResult(result) => break result,
            _ => {}
        }
    };
    assert_eq!((result.status(), result.metrics), (JobStatus::Retryable, None), "never the client's fault");
    session.run("r2", 1, "ask", &text("again")).await;
    let result = session.result().await;
    assert_eq!(
        (result.status(), result.safe_message.as_str()),
        (JobStatus::Retryable, "function unavailable: setup_failed")
    );
    session.cut();
    let (mut session, _) = fixture.orchestrator.connect().await;
    // W6: results that may not have been written, then what is disabled, then the state.
    let first = loop {
        match session.next().await {
            Msg::JobResult(_) => {}
            other => break other,
        }
    };
    assert!(matches!(first, Msg::FnUnavailable(_)), "before the state");
    let state = session.state().await;
    assert!(state.available_functions.is_empty() && state.loading_functions.is_empty());
    assert_eq!(told, 1, "once per connection");
}

#[tokio::test(start_paused = true)]
async fn w12_6_a_setup_that_fails_for_a_passing_reason_disables_nothing() {
    let lifecycle = Lifecycle { hesitates: true, ..Lifecycle::default() };
    let mut fixture = Fixture::serving(functions(&lifecycle), Probe::default(), |_| {});
    let (mut session, _) = fixture.orchestrator.connect().await;
    session.run("r1", 1, "ask", &text("cold")).await;
    session.accepted().await;
    lifecycle.go.notify_one();
    let result = loop {
        match session.next().await {
            Msg::FnUnavailable(why) => panic!("{why:?}"),
            Msg::JobResult(result) => break result,
            _ => {}
        }
    };
    assert_eq!((result.request_id.as_str(), result.status()), ("r1", JobStatus::Retryable));
    lifecycle.go.notify_one();
    session.run("r2", 1, "ask", &text("again")).await;
    let (mut result, mut available) = (None, Vec::new());
    while result.is_none() || available.is_empty() {
        match session.next().await {
            Msg::JobResult(end) => result = Some(end),
            Msg::StateDelta(state) => available = state.available_functions,
            _ => {}
        }
    }
    let result = result.expect("the loop ends with it");
    assert_eq!((result.request_id.as_str(), result.status()), ("r2", JobStatus::Ok), "the next job brings it up");
    assert_eq!(available, ["ask"]);
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_outlives_its_job_still_offers_the_function() {
    let lifecycle = Lifecycle { hesitates: true, ..Lifecycle::default() };
    let mut fixture = Fixture::serving(functions(&lifecycle), Probe::default(), |_| {});
    let (mut session, _) = fixture.orchestrator.connect().await;
    // The set-up at the start fails; the one that a job begins goes on after the job.
    lifecycle.go.notify_one();
    session.ready().await;
    session.run("r1", 1, "ask", &text("cold")).await;
    session.accepted().await;
    session.cancel("r1", 1).await;
    assert_eq!(session.result().await.status(), JobStatus::Canceled);
    lifecycle.go.notify_one();
    let state = session.state().await;
    assert_eq!((state.available_functions, state.loading_functions), (vec!["ask".to_owned()], vec![]));
}
