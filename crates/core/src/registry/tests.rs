use futures::{StreamExt, stream};
use gen_worker_proto::Pair;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::{
    binding::{hf, hub},
    codec,
    context::{ContextParts, RequestContext},
    endpoint::{
        HandlerDecl, Isolation, Kind, LifecycleDecl, OutputShape, ResourcesDecl, SetupParameter, SlotsDecl, Work,
    },
    function::{Frame, Invocation},
    io_type::{Output, Payload},
    stream_item::{StreamItem, TokenDelta},
    worker_error::{FailureClass, WorkerError},
};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Text {
    text: String,
}

impl Payload for Text {}
impl Output for Text {}
impl StreamItem for Text {}

fn handler(method: &'static str) -> HandlerDecl {
    HandlerDecl {
        method,
        name: None,
        payload: <Text as Payload>::type_decl(),
        output: <Text as Output>::type_decl(),
        shape: OutputShape::Single,
        blocking: false,
        slots: Vec::new(),
        call: Arc::new(|_| Err(WorkerError::validation("not called"))),
    }
}

fn lifecycle(parameters: Vec<SetupParameter>) -> LifecycleDecl {
    LifecycleDecl {
        parameters,
        declared_setup: true,
        setup: Arc::new(|_| Work::Blocking(Box::new(|| Ok(Arc::new(()) as _)))),
        warmup: None,
        shutdown: None,
    }
}

fn type_decl(handlers: Vec<HandlerDecl>, parameters: Vec<SetupParameter>, slots: SlotsDecl) -> EndpointDecl {
    EndpointDecl { handlers, slots, ..EndpointDecl::of_type("m", "Painter", lifecycle(parameters)) }
}

/// Nothing here waits for anything but itself.
fn block_on<F: Future>(future: F) -> F::Output {
    futures::FutureExt::now_or_never(future).expect("nothing to wait for")
}

fn context() -> RequestContext {
    let pair = Pair::parse("r1", 1).expect("a pair");
    RequestContext::new(ContextParts::new(pair, FunctionName::parse("f").expect("a name")))
}

#[track_caller]
fn codes(decls: Vec<EndpointDecl>) -> Vec<&'static str> {
    let errors = Registry::from_decls(decls).expect_err("a refusal");
    errors.iter().map(|error| error.code.as_str()).collect()
}

#[test]
fn e80_names_become_slugs() {
    for (spelling, slug) in [("marco_polo", "marco-polo"), ("Marco  Polo!", "marco-polo"), ("v1.5", "v1.5")] {
        let registry = Registry::from_decls(vec![EndpointDecl::function("m", handler(spelling))]).expect("a registry");
        assert_eq!(registry.functions()[0].name().as_str(), slug);
    }
}

#[test]
fn e81_lookups_take_both_spellings() {
    let registry = Registry::from_decls(vec![EndpointDecl::function("m", handler("marco_polo"))]).expect("a registry");
    for name in ["marco-polo", "marco_polo", " Marco_Polo "] {
        assert!(registry.get(name).is_some(), "{name}");
    }
    assert!(registry.get("marco").is_none());
    assert_eq!(registry.functions()[0].spelling(), "marco_polo");
}

#[test]
fn e82_listings_are_sorted_whatever_the_order_of_registration() {
    let decl = |name| EndpointDecl::function("m", handler(name));
    let names = |registry: Registry| registry.functions().iter().map(|f| f.name().to_string()).collect::<Vec<_>>();
    let one = Registry::from_decls(vec![decl("b"), decl("c_a"), decl("a")]).expect("a registry");
    let two = Registry::from_decls(vec![decl("a"), decl("b"), decl("c_a")]).expect("a registry");
    assert_eq!(names(one), ["a", "b", "c-a"]);
    assert_eq!(names(two), ["a", "b", "c-a"]);
}

#[test]
fn v4_a_type_needs_handlers() {
    assert_eq!(codes(vec![type_decl(vec![], vec![], SlotsDecl::default())]), ["no_handlers"]);
}

#[test]
fn e40_producers_do_not_stream() {
    let streaming = HandlerDecl { shape: OutputShape::Incremental, ..handler("f") };
    for kind in [Kind::Conversion, Kind::Training, Kind::Dataset] {
        let streaming = HandlerDecl { call: streaming.call.clone(), ..streaming_copy(&streaming) };
        assert_eq!(codes(vec![EndpointDecl { kind, ..EndpointDecl::function("m", streaming) }]), ["producer_streams"]);
    }
    assert!(Registry::from_decls(vec![EndpointDecl::function("m", streaming)]).is_ok());
}

fn streaming_copy(decl: &HandlerDecl) -> HandlerDecl {
    HandlerDecl { shape: decl.shape, ..handler(decl.method) }
}

#[test]
fn v6_model_and_slots_exclude_each_other() {
    let slots = SlotsDecl::default().model(hf("a/b")).slot("x", hf("a/b"));
    let decl = type_decl(vec![handler("f")], vec![SetupParameter::Slot("x")], slots);
    assert_eq!(codes(vec![decl]), ["model_and_slots"]);
}

#[test]
fn v7_slots_are_identifiers_with_bindings() {
    let slots = SlotsDecl::default().slot("not one", hub("a/b")).slot("x", hf("solo")).slot("x", hub("a/b"));
    let decl = type_decl(vec![handler("f")], vec![SetupParameter::Slot("x")], slots);
    assert_eq!(codes(vec![decl]), ["bad_slot", "bad_slot", "bad_slot"]);
}

#[test]
fn v8_the_shorthand_needs_one_parameter() {
    let model = || SlotsDecl::default().model(hub("a/b"));
    let two = vec![SetupParameter::Slot("x"), SetupParameter::Slot("y")];
    assert_eq!(codes(vec![type_decl(vec![handler("f")], two, model())]), ["ambiguous_slot"]);
    assert_eq!(
        codes(vec![EndpointDecl { slots: model(), ..EndpointDecl::function("m", handler("f")) }]),
        ["ambiguous_slot"]
    );
    let decl = type_decl(vec![handler("f")], vec![SetupParameter::Slot("unet")], model());
    let registry = Registry::from_decls(vec![decl]).expect("a registry");
    assert_eq!(registry.functions()[0].slots().keys().collect::<Vec<_>>(), ["unet"]);
    let taking = HandlerDecl { slots: vec!["vae"], ..handler("f") };
    let decl = EndpointDecl { slots: model(), ..EndpointDecl::function("m", taking) };
    let registry = Registry::from_decls(vec![decl]).expect("a registry");
    assert_eq!(registry.functions()[0].slots().keys().collect::<Vec<_>>(), ["vae"]);
    assert!(registry.functions()[0].instance().is_some());
}

#[test]
fn v9_every_slot_is_taken_unless_setup_takes_all() {
    let slots = || SlotsDecl::default().slot("x", hub("a/b")).slot("y", hub("a/c"));
    let decl = type_decl(vec![handler("f")], vec![SetupParameter::Slot("x")], slots());
    assert_eq!(codes(vec![decl]), ["unused_slot"]);
    let decl = type_decl(vec![handler("f")], vec![SetupParameter::All], slots());
    assert!(Registry::from_decls(vec![decl]).is_ok());
    // A handler takes the other one per call.
    let taking = HandlerDecl { slots: vec!["y"], ..handler("f") };
    assert!(Registry::from_decls(vec![type_decl(vec![taking], vec![SetupParameter::Slot("x")], slots())]).is_ok());
}

#[test]
fn v10_every_parameter_has_a_slot() {
    let decl = type_decl(vec![handler("f")], vec![SetupParameter::Slot("x")], SlotsDecl::default());
    assert_eq!(codes(vec![decl]), ["unfilled_setup"]);
}

#[test]
fn v16_handlers_of_a_type_have_no_other_name() {
    let named = HandlerDecl { name: Some("other"), ..handler("f") };
    assert_eq!(codes(vec![type_decl(vec![named], vec![], SlotsDecl::default())]), ["name_on_type"]);
}

#[test]
fn processes_are_as_many_as_calls_at_once_and_not_too_many() {
    let isolated = |max_concurrency| EndpointDecl {
        isolation: Isolation::Process,
        resources: ResourcesDecl { max_concurrency, ..ResourcesDecl::default() },
        ..EndpointDecl::function("m", HandlerDecl { blocking: true, ..handler("f") })
    };
    let registry = Registry::from_decls(vec![isolated(None)]).expect("sound");
    let function = registry.get("f").expect("it is there");
    assert_eq!(function.resources().max_concurrency().map(|limit| limit.get()), Some(1));
    assert!(function.instance().is_some(), "it is prepared like an instance");
    assert!(!function.is_blocking(), "it blocks no thread of the worker");
    assert!(Registry::from_decls(vec![isolated(Some(64))]).is_ok());
    assert_eq!(codes(vec![isolated(Some(65))]), ["bad_isolation"]);
    let resources = ResourcesDecl { offload: true, ..ResourcesDecl::default() };
    let spread = EndpointDecl { resources, ..isolated(None) };
    assert_eq!(codes(vec![spread]), ["bad_isolation"], "nobody there would spread its models");
}

#[test]
fn v17_resources_are_possible() {
    let resources = ResourcesDecl { vram_gb: Some(-1.0), max_concurrency: Some(0), ..ResourcesDecl::default() };
    let decl = EndpointDecl { resources, ..EndpointDecl::function("m", handler("f")) };
    assert_eq!(codes(vec![decl]), ["bad_resources", "bad_resources"]);
    let timeout = Some(std::time::Duration::ZERO);
    assert_eq!(codes(vec![EndpointDecl { timeout, ..EndpointDecl::function("m", handler("f")) }]), ["bad_timeout"]);
}

#[test]
fn v19_a_name_keeps_something() {
    let named = HandlerDecl { name: Some("!!!"), ..handler("f") };
    assert_eq!(codes(vec![EndpointDecl::function("m", named)]), ["empty_slug"]);
}

#[test]
fn v20_names_are_unique_as_slugs() {
    let decls = vec![EndpointDecl::function("m", handler("a_b")), EndpointDecl::function("n", handler("a-b"))];
    assert_eq!(codes(decls), ["duplicate_name"]);
}

#[test]
fn all_errors_come_at_once_and_name_their_endpoint() {
    let first = type_decl(vec![], vec![SetupParameter::Slot("x")], SlotsDecl::default());
    let second = EndpointDecl::function("n", HandlerDecl { name: Some("-"), ..handler("g") });
    let errors = Registry::from_decls(vec![second, first]).expect_err("a refusal");
    let text = errors.to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("m::Painter: no_handlers: "), "{text}");
    assert!(text.contains("n::g: empty_slug: "), "{text}");
}

#[test]
fn e2_handlers_of_a_type_share_one_instance() {
    let decl = type_decl(vec![handler("f"), handler("g")], vec![], SlotsDecl::default());
    let registry = Registry::from_decls(vec![decl]).expect("a registry");
    let [f, g] = registry.functions() else { panic!("two functions") };
    assert!(Arc::ptr_eq(f.instance().expect("an instance"), g.instance().expect("an instance")));
    let plain = Registry::from_decls(vec![EndpointDecl::function("m", handler("h"))]).expect("a registry");
    assert!(plain.functions()[0].instance().is_none());
}

#[test]
fn e41_functions_built_by_hand_run_in_their_three_ways() {
    let registry = Registry::builder()
        .blocking("shout", |_, p: Text| Ok(Text { text: p.text.to_uppercase() }))
        .asynchronous("echo", |_, p: Text| async move { Ok(p) })
        .streaming("tokens", |_, p: Text| {
            stream::iter(p.text.chars().map(|c| Ok(TokenDelta::text(c))).collect::<Vec<_>>())
        })
        .build()
        .expect("a registry");
    let payload = codec::from_json(&json!({"text": "ab"}));
    let invoke = |name: &str| {
        let function = registry.get(name).expect("a function");
        function.invoke(context(), payload.clone(), None).expect("work")
    };
    let Invocation::Blocking(work) = invoke("shout") else { panic!("blocking") };
    assert_eq!(codec::to_json(&work().expect("bytes")).expect("a document"), json!({"text": "AB"}));
    let Invocation::Async(work) = invoke("echo") else { panic!("async") };
    assert_eq!(codec::to_json(&block_on(work).expect("bytes")).expect("a document"), json!({"text": "ab"}));
    let Invocation::Stream(frames) = invoke("tokens") else { panic!("stream") };
    let frames: Vec<_> = block_on(frames.collect());
    assert_eq!(frames.len(), 3);
    assert!(matches!(frames.last(), Some(Ok(Frame::End(Some(_))))));
    assert!(registry.get("tokens").is_some_and(|function| function.is_streaming()));
    assert!(registry.get("shout").is_some_and(|function| function.is_blocking()));
}

#[test]
fn w8_4_a_payload_that_does_not_decode_never_reaches_the_handler() {
    let registry = Registry::builder()
        .blocking("never", |_, _: Text| -> crate::Result<Text> { panic!("reached") })
        .build()
        .expect("a registry");
    let function = registry.get("never").expect("a function");
    let error = function.invoke(context(), codec::from_json(&json!({"text": 1})), None).expect_err("a refusal");
    assert_eq!(error.class(), FailureClass::Invalid);
    assert_eq!(error.client_message(), "Expected `str`, got `int` - at `$.text`");
    assert!(function.invoke(context(), bytes::Bytes::new(), None).is_err());
}
