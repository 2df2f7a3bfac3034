//! `#[endpoint]` on functions.

use std::time::Duration;

use futures::{FutureExt, stream::BoxStream};
use gen_worker::{FailureClass, prelude::*};
use gen_worker_core::{CancelFlag, Invocation, LocalModels, codec, endpoint::Kind};
use serde_json::json;

use crate::support::{ask, call, chunks, context, function};

#[derive(Payload)]
pub struct Text {
    text: String,
}

#[derive(Output)]
struct Count {
    number: usize,
}

#[endpoint]
async fn echo(_ctx: &RequestContext, payload: Text) -> Result<Text> {
    Ok(payload)
}

/// Computes, so it runs off the event loop.
#[endpoint(name = "Count Letters", timeout = "30s", resources(libraries(" cuda ", ""), max_concurrency = 2))]
fn count(ctx: RequestContext, Text { text }: Text) -> Result<Count> {
    ctx.check_cancelled()?;
    Ok(Count { number: text.len() })
}

#[endpoint]
async fn fails(_ctx: &RequestContext, payload: Text) -> Result<Count> {
    let number = payload.text.parse().invalid()?;
    Ok(Count { number })
}

#[endpoint]
fn letters(ctx: &RequestContext, payload: Text) -> impl Stream<Item = Result<Text>> + Send {
    try_stream! {
        for letter in payload.text.chars() {
            ctx.check_cancelled()?;
            if letter == '!' {
                Err(WorkerError::validation("no shouting"))?;
            }
            yield Text { text: letter.into() };
        }
    }
}

#[endpoint]
fn words(_ctx: &RequestContext, payload: Text) -> BoxStream<'static, Result<StreamEvent>> {
    let words: Vec<_> = payload.text.split(' ').map(|word| Ok(StreamEvent::Token(TokenDelta::text(word)))).collect();
    futures::stream::iter(words).boxed()
}

#[derive(Output)]
#[serde(tag = "type")]
enum Event {
    Started {
        total: u64,
    },
    #[serde(rename = "finished")]
    Finished(Summary),
}

#[derive(Output)]
struct Summary {
    kept: Option<bool>,
}

#[endpoint(kind = "inference")]
fn events(_ctx: &RequestContext, _payload: Text) -> impl Stream<Item = Result<Event>> + Send {
    stream! {
        yield Ok(Event::Started { total: 1 });
        yield Ok(Event::Finished(Summary { kept: None }));
    }
}

#[endpoint(kind = "conversion", resources(vram_gb = 1.5))]
async fn convert(_ctx: &RequestContext, _payload: Text) -> Result<Count> {
    Ok(Count { number: 0 })
}

#[endpoint(model = hf("o/r").revision("main").dtype(Bf16))]
async fn files(_ctx: &RequestContext, payload: Text, _weights: ModelDir) -> Result<Text> {
    let _ = payload;
    Ok(Text { text: _weights.path().display().to_string() })
}

#[endpoint]
async fn sleepy(ctx: &RequestContext, _payload: Text) -> Result<Count> {
    ctx.sleep(Duration::from_secs(3600)).await?;
    Ok(Count { number: 0 })
}

#[tokio::test]
async fn e5_async_handlers_run_on_the_event_loop_and_sync_ones_off_it() {
    assert!(!function("echo").is_blocking());
    assert!(function("count-letters").is_blocking());
    assert!(!function("letters").is_blocking());
    assert_eq!(ask("echo", json!({"text": "hi"})).await.expect("an answer"), json!({"text": "hi"}));
    assert_eq!(ask("count-letters", json!({"text": "four"})).await.expect("an answer"), json!({"number": 4}));
}

#[tokio::test]
async fn e41_the_return_type_decides_the_mode() {
    assert!(!function("echo").is_streaming());
    assert!(function("letters").is_streaming() && function("words").is_streaming());
    let (seen, summary) = chunks("letters", json!({"text": "ab"})).await.expect("a stream");
    assert_eq!(seen, [r#"{"text":"a"}"#, r#"{"text":"b"}"#]);
    assert_eq!(summary, None);
    let (seen, summary) = chunks("words", json!({"text": "a b"})).await.expect("a stream");
    assert_eq!((seen, summary), (vec!["a".to_owned(), "b".to_owned()], Some(json!({"text": "ab"}))));
    let (seen, _) = chunks("events", json!({"text": ""})).await.expect("a stream");
    assert_eq!(seen, [r#"{"type":"Started","total":1}"#, r#"{"type":"finished","kept":null}"#]);
}

#[tokio::test]
async fn e110_errors_keep_the_class_the_author_gave_them() {
    let error = ask("fails", json!({"text": "x"})).await.expect_err("a failure");
    assert_eq!(error.class(), FailureClass::Invalid);
    let error = chunks("letters", json!({"text": "a!b"})).await.expect_err("a failure");
    assert_eq!((error.class(), error.client_message().as_str()), (FailureClass::Invalid, "no shouting"));
}

#[tokio::test]
async fn e3_a_slot_parameter_takes_the_model_per_call() {
    let files = function("files");
    assert_eq!(files.slots()["weights"].wire_ref(), "o/r@main");
    let dir = std::env::temp_dir();
    let models = LocalModels::new().with("o/r@main", &dir);
    let answer = call(&files, json!({"text": ""}), models).await.expect("an answer");
    assert_eq!(answer["text"], dir.display().to_string());
    let error = ask("files", json!({"text": ""})).await.expect_err("no models");
    assert_eq!(error.unavailable_model(), Some("o/r@main"));
}

#[test]
fn e1_declarations_say_what_was_written() {
    let count = function("count-letters");
    assert_eq!((count.method(), count.spelling()), ("count", "Count Letters"));
    assert_eq!(count.timeout(), Some(Duration::from_secs(30)));
    assert_eq!(count.resources().libraries(), ["cuda"]);
    assert_eq!(count.resources().max_concurrency().map(u32::from), Some(2));
    assert_eq!((count.payload().name(), count.output().name()), ("Text", "Count"));
    assert_eq!(count.module(), "authoring::functions");
    assert_eq!(count.type_name(), None);
    let convert = function("convert");
    assert_eq!(convert.kind(), Kind::Conversion);
    assert!(convert.resources().gpu());
}

#[tokio::test]
async fn cancellation_ends_a_sleep() {
    let sleepy = function("sleepy");
    let cancel = CancelFlag::new();
    let payload = codec::from_json(&json!({"text": ""}));
    let Ok(Invocation::Async(mut work)) = sleepy.invoke(context(&sleepy, &cancel), payload, None) else {
        panic!("async work")
    };
    assert!((&mut work).now_or_never().is_none());
    cancel.set();
    assert_eq!(work.await.expect_err("a cancel").class(), FailureClass::Canceled);
}
