//! What a conversion is made from.

use std::{fs, sync::Arc};

use futures::FutureExt as _;
use gen_worker_core::{
    Invocation, ModelError, Registry, RegistryBuilder, SlotOptions, WorkerError, codec,
    endpoint::{EndpointDecl, HandlerDecl, Isolation, Kind, OutputShape},
    function::Call,
    io_type::{Output, Payload},
    slot::InMemorySlots,
};
use gen_worker_proto::pb::{self, JobResult, JobStatus, ModelState, job_result, worker_message::Msg};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    fixture::Fixture,
    functions::{Probe, Text},
    orchestrator::Session,
    shelf::{Failure, Shelf},
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    text: String,
    source: Option<Value>,
}

impl Payload for Order {}

/// A function that says what lies at its source, when it is told to.
fn teller(name: &'static str, kind: Kind, isolation: Isolation, probe: &Probe) -> EndpointDecl {
    let probe = probe.clone();
    let handler = HandlerDecl {
        method: name,
        name: None,
        payload: <Order as Payload>::type_decl(),
        output: <Text as Output>::type_decl(),
        shape: OutputShape::Single,
        blocking: false,
        slots: Vec::new(),
        call: Arc::new(move |call: Call| {
            let (input, context, probe) = (call.decode::<Order>()?, call.context, probe.clone());
            Ok(Invocation::Async(
                async move {
                    probe.begun();
                    let gate = probe.gate(&input.text);
                    if input.text == "wait" {
                        gate.notified().await;
                    }
                    let read = |path: &std::path::Path| fs::read_to_string(path.join("weights"));
                    let found = context.source_path().map(read).transpose();
                    let found = found.map_err(|error| WorkerError::fatal("Gone", error.to_string()))?;
                    codec::encode(&Text { text: found.unwrap_or_else(|| "none".into()) })
                }
                .boxed(),
            ))
        }),
    };
    let mut endpoint = EndpointDecl::function("conformance", handler);
    (endpoint.kind, endpoint.isolation) = (kind, isolation);
    endpoint
}

fn functions(probe: &Probe) -> RegistryBuilder {
    Registry::builder()
        .endpoint(teller("infer", Kind::Inference, Isolation::Shared, probe))
        .endpoint(teller("convert", Kind::Conversion, Isolation::Shared, probe))
        .endpoint(teller("train", Kind::Training, Isolation::Shared, probe))
        .endpoint(teller("gather", Kind::Dataset, Isolation::Shared, probe))
        .endpoint(teller("convert_apart", Kind::Conversion, Isolation::Process, probe))
}

fn fixture(shelf: &Arc<Shelf>) -> Fixture {
    let probe = Probe::default();
    let children = probe.clone();
    let slots = Arc::new(InMemorySlots::new(move || functions(&children).build().expect("sound")));
    Fixture::with_models(functions(&probe), probe.clone(), shelf.clone(), |options| {
        options.slots = Some(SlotOptions::new(slots));
    })
}

/// Dispatches an order with the files of `o/base`.
async fn order(session: &mut Session, id: &str, function: &str, text: &str, source: Value) {
    let payload = json!({ "text": text, "source": source });
    session
        .run_job(pb::RunJob {
            request_id: id.into(),
            attempt: 1,
            function_name: function.into(),
            input_payload: rmp_serde::to_vec_named(&payload).expect("encodes").into(),
            snapshots: [("o/base".to_owned(), pb::Snapshot { digest: "d1".into(), ..Default::default() })].into(),
            ..Default::default()
        })
        .await;
}

async fn run(session: &mut Session, id: &str, function: &str, source: Value) -> JobResult {
    order(session, id, function, "now", source).await;
    session.result().await
}

/// The next word on a model.
async fn model_event(session: &mut Session) -> pb::ModelEvent {
    loop {
        if let Msg::ModelEvent(event) = session.next().await {
            assert_eq!(event.r#ref, "o/base");
            return event;
        }
    }
}

fn told(result: &JobResult) -> String {
    let Some(job_result::Output::Inline(output)) = &result.output else { panic!("inline: {result:?}") };
    rmp_serde::from_slice::<Text>(output).expect("a text").text
}

#[tokio::test(start_paused = true)]
async fn m3_10_w9_8_a_source_is_here_before_the_handler_of_a_producer_and_of_nobody_else() {
    let shelf = Shelf::new();
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    let source = json!({"ref": "o/base", "attributes": {}});
    for (number, function) in ["convert", "train", "gather", "convert-apart"].into_iter().enumerate() {
        let result = run(&mut session, &format!("r{number}"), function, source.clone()).await;
        assert_eq!(told(&result), "weights of o/base", "{function}");
    }
    assert_eq!(told(&run(&mut session, "r5", "convert", Value::Null).await), "none", "nothing was asked for");
    shelf.asked();
    assert_eq!(told(&run(&mut session, "r6", "infer", source).await), "none");
    assert_eq!(told(&run(&mut session, "r7", "infer", json!({"ref": ""})).await), "none");
    assert!(shelf.asked().is_empty(), "an inference calls what it likes its source");
}

#[tokio::test(start_paused = true)]
async fn m3_10_w9_8_a_blank_ref_is_invalid_before_anything_is_fetched() {
    let shelf = Shelf::new();
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    let result = run(&mut session, "r1", "convert", json!({"ref": "  "})).await;
    assert_eq!(result.status(), JobStatus::Invalid);
    assert_eq!(result.safe_message, "payload.source.ref: must be the ref of a model");
    assert!(shelf.asked().is_empty());
    assert_eq!(fixture.probe.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn m3_10_a_source_is_tried_as_models_are_and_one_that_cannot_be_had_is_no_fault_of_the_function() {
    let shelf = Shelf::new();
    let broken: Failure = |reference| ModelError::Source { reference: reference.into(), source: "it broke".into() };
    shelf.fails("o/base", &[broken; 2]);
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    let source = json!({"ref": "o/base"});
    assert_eq!(told(&run(&mut session, "r1", "convert", source.clone()).await), "weights of o/base");
    assert_eq!(shelf.asked().len(), 3);

    // What lies on this disk, or could be had as whom the worker is, may be of others.
    shelf.has("o/other");
    shelf.asked();
    let result = run(&mut session, "r2", "convert", json!({"ref": "o/other"})).await;
    assert_eq!(result.status(), JobStatus::Retryable, "{}", result.safe_message);
    assert!(result.safe_message.contains("o/other"), "{}", result.safe_message);
    assert!(shelf.asked().is_empty());
    assert_eq!(told(&run(&mut session, "r3", "convert", source).await), "weights of o/base", "it serves on");
}

#[tokio::test(start_paused = true)]
async fn m3_10_nothing_is_fetched_for_a_payload_that_is_refused() {
    let shelf = Shelf::new();
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    let payload = json!({"text": 7, "source": {"ref": "o/base"}});
    let snapshots = [("o/base".to_owned(), pb::Snapshot { digest: "d1".into(), ..Default::default() })].into();
    session
        .run_job(pb::RunJob {
            request_id: "r1".into(),
            attempt: 1,
            function_name: "convert".into(),
            input_payload: rmp_serde::to_vec_named(&payload).expect("encodes").into(),
            snapshots,
            ..Default::default()
        })
        .await;
    let result = session.result().await;
    assert_eq!(result.status(), JobStatus::Invalid, "{}", result.safe_message);
    assert!(result.safe_message.contains("$.text"), "{}", result.safe_message);
    assert!(shelf.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn m8_3_a_source_that_does_not_come_is_told_with_its_reason() {
    let shelf = Shelf::new();
    let full: Failure =
        |reference| ModelError::InsufficientDisk { reference: reference.into(), required_bytes: 2, available_bytes: 1 };
    shelf.fails("o/base", &[full]);
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    order(&mut session, "r1", "convert", "now", json!({"ref": "o/base"})).await;
    let event = model_event(&mut session).await;
    assert_eq!((event.state(), event.error.as_str()), (ModelState::Failed, "insufficient_disk"));
    assert_eq!(session.result().await.status(), JobStatus::Retryable);
}

#[tokio::test(start_paused = true)]
async fn m3_10_a_source_stays_for_the_whole_job_and_no_longer() {
    let shelf = Shelf::new();
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    order(&mut session, "r1", "convert", "wait", json!({"ref": "o/base"})).await;
    fixture.probe.ran(1).await;
    assert_eq!(shelf.held(), 1, "nothing may evict it");
    fixture.probe.open("wait");
    assert_eq!(told(&session.result().await), "weights of o/base");
    order(&mut session, "r2", "convert", "wait", json!({"ref": "o/base"})).await;
    fixture.probe.ran(2).await;
    session.cancel("r2", 1).await;
    assert_eq!(session.result().await.status(), JobStatus::Canceled);
    assert_eq!(told(&run(&mut session, "r3", "infer", Value::Null).await), "none");
    assert_eq!(shelf.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn m3_10_a_job_that_is_cancelled_while_its_source_comes_ends_at_once_and_the_download_is_told() {
    let shelf = Shelf::new();
    shelf.seconds.store(3_600, std::sync::atomic::Ordering::SeqCst);
    let mut fixture = fixture(&shelf);
    let mut session = fixture.session().await;
    order(&mut session, "r1", "convert", "now", json!({"ref": "o/base"})).await;
    assert_eq!(model_event(&mut session).await.state(), ModelState::Downloading);
    assert_eq!(shelf.under_way(), 1);
    session.cancel("r1", 1).await;
    let (mut result, mut left) = (None, None);
    while result.is_none() || left.is_none() {
        match session.next().await {
            Msg::JobResult(end) => result = Some(end),
            Msg::ModelEvent(event) if event.state() != ModelState::Downloading => left = Some(event),
            _ => {}
        }
    }
    assert_eq!(result.expect("it came").status(), JobStatus::Canceled);
    let left = left.expect("it came");
    assert_eq!((left.r#ref.as_str(), left.state()), ("o/base", ModelState::Evicted), "it is not here");
    assert_eq!((fixture.probe.runs(), shelf.under_way()), (0, 0));
    assert_eq!(fixture.cache.download_progress("o/base"), None);
}
