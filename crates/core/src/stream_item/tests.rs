use futures::{StreamExt, stream};
use gen_worker_proto::{FunctionName, Pair};
use serde_json::{Value, json};

use super::*;
use crate::{
    context::{CancelFlag, ContextParts},
    worker_error::FailureClass,
};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Point {
    x: f64,
    #[serde(with = "bytes_field")]
    #[schemars(schema_with = "bytes_field::schema")]
    data: Vec<u8>,
}

impl Output for Point {}
impl StreamItem for Point {}

/// Nothing here waits for anything but itself.
fn block_on<F: Future>(future: F) -> F::Output {
    futures::FutureExt::now_or_never(future).expect("nothing to wait for")
}

fn context(cancel: &CancelFlag) -> RequestContext {
    let pair = Pair::parse("r1", 1).expect("a pair");
    let parts = ContextParts::new(pair, FunctionName::parse("f").expect("a name"));
    RequestContext::new(ContextParts { cancel: cancel.clone(), ..parts })
}

/// Media type and bytes.
type Chunk = (&'static str, Vec<u8>);

/// All frames of a stream, and how it failed if it did.
fn framed<T: StreamItem>(items: Vec<Result<T>>, caller: Caller) -> (Vec<Chunk>, Result<Option<Value>>) {
    let frames: Vec<_> = block_on(frames(stream::iter(items), context(&CancelFlag::new()), caller).collect());
    let mut chunks = Vec::new();
    let mut last = None;
    for frame in frames {
        assert!(last.is_none(), "something follows the end");
        match frame {
            Ok(Frame::Chunk { content_type, data }) => chunks.push((content_type, data.to_vec())),
            Ok(Frame::End(summary)) => {
                last = Some(Ok(summary.map(|bytes| codec::to_json(&bytes).expect("a document"))))
            }
            Err(error) => last = Some(Err(error)),
        }
    }
    (chunks, last.expect("a stream ends"))
}

fn ok<T>(items: impl IntoIterator<Item = T>) -> Vec<Result<T>> {
    items.into_iter().map(Ok).collect()
}

#[test]
fn w2_golden_bytes_of_a_batch_item() {
    let item = BatchItemDelta { index: 1, chunk: Bytes::from_static(&[1, 2]), ..BatchItemDelta::default() };
    let hex: String = codec::encode(&item).expect("bytes").iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "87a5696e64657801a5746f74616c00a76974656d5f6964c0a866696e6973686564c2a56572726f72a0a56368756e6bc4020102ac\
         636f6e74656e745f74797065b86170706c69636174696f6e2f6f637465742d73747265616d"
    );
    let decoded: BatchItemDelta = codec::decode(&codec::encode(&item).expect("bytes")).expect("the same");
    assert_eq!(decoded, item);
}

#[test]
fn w8_5_token_deltas_are_plain_text_even_when_empty() {
    let (chunks, _) = framed(ok([TokenDelta::text("hé"), TokenDelta::of_item("a", "")]), Caller::Wire);
    assert_eq!(chunks, [("text/plain", "hé".as_bytes().to_vec()), ("text/plain", vec![])]);
}

#[test]
fn w8_5_other_structs_are_compact_json() {
    let point = Point { x: f64::NAN, data: vec![1, 2] };
    let (chunks, end) = framed(ok([point]), Caller::Wire);
    assert_eq!(chunks, [("application/json", br#"{"x":null,"data":"AQI="}"#.to_vec())]);
    assert_eq!(end.expect("an end"), None);
    let usage = TokenUsage { prompt_tokens: 1, completion_tokens: 2, tokens_per_second: 0.5 };
    let (chunks, end) = framed(ok([usage]), Caller::Wire);
    let json = br#"{"prompt_tokens":1,"completion_tokens":2,"tokens_per_second":0.5}"#;
    assert_eq!(chunks, [("application/json", json.to_vec())]);
    assert_eq!(end.expect("an end").expect("a summary")["usage"]["completion_tokens"], 2);
}

#[test]
fn w8_5_done_ends_the_stream_and_later_items_are_not_read() {
    let items = ok([StreamEvent::Token(TokenDelta::text("a")), StreamEvent::Done(Done {})])
        .into_iter()
        .chain(std::iter::from_fn(|| panic!("read past the end")));
    let all = block_on(frames(stream::iter(items), context(&CancelFlag::new()), Caller::Wire).collect::<Vec<_>>());
    assert_eq!(all.len(), 2);
    assert!(matches!(all.last(), Some(Ok(Frame::End(Some(_))))));
}

#[test]
fn w8_5_error_fails_the_stream_as_invalid_input() {
    for (message, want) in [("bad prompt", "bad prompt"), ("", "stream error")] {
        let items = ok([StreamEvent::Error(Error { message: message.into() })]);
        let (chunks, end) = framed(items, Caller::Wire);
        let error = end.expect_err("a failure");
        assert!(chunks.is_empty());
        assert_eq!((error.class(), error.client_message().as_str()), (FailureClass::Invalid, want));
    }
}

#[test]
fn e42_a_failed_item_does_not_fail_the_stream() {
    let bad = BatchItemDelta { error: "no".into(), ..BatchItemDelta::default() };
    let good =
        BatchItemDelta { index: 1, finished: true, chunk: Bytes::from_static(b"x"), ..BatchItemDelta::default() };
    let (chunks, end) = framed(ok([bad, good]), Caller::Wire);
    assert!(chunks.iter().all(|(content_type, _)| *content_type == "application/x-batch-item+msgpack"));
    let summary = end.expect("an end").expect("a summary");
    assert_eq!(
        summary,
        json!({"items": [
            {"item_id": null, "index": 0, "content": "", "content_type": "application/octet-stream", "error": "no"},
            {"item_id": null, "index": 1, "content": "eA==", "content_type": "application/octet-stream", "error": ""},
        ]})
    );
}

#[test]
fn e43_cancellation_is_seen_before_each_chunk() {
    let cancel = CancelFlag::new();
    let flag = cancel.clone();
    let items = stream::iter(1..=3).map(move |n| {
        if n == 2 {
            flag.set();
        }
        Ok(TokenDelta::text(n.to_string()))
    });
    let all = block_on(frames(items, context(&cancel), Caller::Wire).collect::<Vec<_>>());
    let [Ok(Frame::Chunk { .. }), Err(error)] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(error.class(), FailureClass::Canceled);
}

#[test]
fn e44_local_callers_see_items_and_signals_keep_their_meaning() {
    let batch = BatchItemDelta { chunk: Bytes::from_static(&[1, 2]), ..BatchItemDelta::default() };
    let items =
        ok([StreamEvent::Token(TokenDelta::of_item("a", "x")), StreamEvent::Batch(batch), StreamEvent::Done(Done {})]);
    let (chunks, end) = framed(items, Caller::Local);
    let shown: Vec<Value> = chunks
        .iter()
        .map(|(content_type, data)| {
            assert_eq!(*content_type, "application/json");
            serde_json::from_slice(data).expect("a document")
        })
        .collect();
    assert_eq!(shown[0], json!({"text": "x", "item_id": "a"}));
    assert_eq!(shown[1]["chunk"], "AQI=");
    assert_eq!(shown.len(), 2);
    assert!(end.is_ok());
    assert!(framed(ok([StreamEvent::Error(Error::default())]), Caller::Local).1.is_err());
}

#[test]
fn w8_7_the_result_sums_up_what_was_streamed() {
    let (_, end) = framed(ok([TokenDelta::text("a"), TokenDelta::text("b")]), Caller::Wire);
    assert_eq!(end.expect("an end"), Some(json!({"text": "ab"})));
    let (_, end) = framed(ok([TokenDelta::of_item("x", "1"), TokenDelta::of_item("y", "2")]), Caller::Wire);
    assert_eq!(end.expect("an end"), Some(json!({"texts": {"x": "1", "y": "2"}})));
    // The only text is also the text.
    let (_, end) = framed(ok([TokenDelta::of_item("x", "1")]), Caller::Wire);
    assert_eq!(end.expect("an end"), Some(json!({"text": "1", "texts": {"x": "1"}})));
    let (_, end) = framed(ok([TokenDelta::text("")]), Caller::Wire);
    assert_eq!(end.expect("an end"), None);
    let (_, end) = framed(Vec::<Result<TokenDelta>>::new(), Caller::Wire);
    assert_eq!(end.expect("an end"), None);
}

#[test]
fn w8_7_items_are_joined_and_text_items_are_text() {
    let part = |chunk: &'static [u8], finished| BatchItemDelta {
        item_id: Some("i".into()),
        chunk: Bytes::from_static(chunk),
        finished,
        content_type: "text/markdown".into(),
        ..BatchItemDelta::default()
    };
    let unfinished = BatchItemDelta { index: 9, ..BatchItemDelta::default() };
    let (_, end) = framed(ok([part(b"a", false), unfinished, part(b"b", true)]), Caller::Wire);
    assert_eq!(
        end.expect("an end"),
        Some(json!({"items": [
            {"item_id": "i", "index": 0, "content": "ab", "content_type": "text/markdown", "error": ""},
        ]}))
    );
}

#[test]
fn w8_7_content_beyond_the_cap_is_dropped_and_said_so() {
    let big = Bytes::from(vec![0_u8; 40 * 1024 * 1024]);
    let part = |index| BatchItemDelta { index, chunk: big.clone(), finished: true, ..BatchItemDelta::default() };
    let mut summary = Summary::default();
    for index in 0..2 {
        summary.add(Signal::Batch(&part(index)));
    }
    let result =
        codec::to_json(&codec::encode(&summary.finish().expect("a result")).expect("bytes")).expect("a document");
    assert_eq!(result["truncated"], true);
    assert_eq!(result["items"][1]["content"], "");
    assert_eq!(result["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn an_error_item_ends_the_stream() {
    let items = vec![Ok(TokenDelta::text("a")), Err(WorkerError::retryable("later")), Ok(TokenDelta::text("b"))];
    let (chunks, end) = framed(items, Caller::Wire);
    assert_eq!(chunks.len(), 1);
    assert_eq!(end.expect_err("a failure").class(), FailureClass::Retryable);
}

#[test]
fn a_summary_that_has_to_fit_is_cut_and_says_so() {
    let cut = |items: Vec<StreamEvent>, summary_bytes_max| {
        let pair = Pair::parse("r1", 1).expect("a pair");
        let parts = ContextParts::new(pair, FunctionName::parse("f").expect("a name"));
        let context = RequestContext::new(ContextParts { summary_bytes_max, ..parts });
        let frames: Vec<_> = block_on(frames(stream::iter(ok(items)), context, Caller::Wire).collect());
        let Some(Ok(Frame::End(Some(bytes)))) = frames.into_iter().last() else { panic!("a summary") };
        assert!(bytes.len() <= summary_bytes_max, "{} bytes", bytes.len());
        codec::to_json(&bytes).expect("a document")
    };
    let usage = StreamEvent::Usage(TokenUsage { prompt_tokens: 3, completion_tokens: 4, tokens_per_second: 1.0 });
    let token = |text: String| StreamEvent::Token(TokenDelta::text(text));
    let whole = cut(vec![token("a".repeat(1_000)), usage.clone()], 65_536);
    assert_eq!((whole["text"].as_str().map(str::len), whole.get("truncated")), (Some(1_000), None));
    // Two bytes a letter, so that the cut has to look for a boundary.
    let text = cut(vec![token("ä".repeat(50_001)), usage.clone()], 65_536);
    assert!(text["text"].as_str().expect("text").len() > 64_000);
    assert_eq!((&text["truncated"], &text["usage"]["completion_tokens"]), (&json!(true), &json!(4)));
    let item = |index, bytes| {
        StreamEvent::Batch(BatchItemDelta {
            index,
            finished: true,
            chunk: vec![0; bytes].into(),
            ..BatchItemDelta::default()
        })
    };
    let items = cut(vec![item(0, 30_000), item(1, 30_000), item(2, 30_000), item(3, 10)], 65_536);
    assert_eq!((items["items"].as_array().map(Vec::len), &items["truncated"]), (Some(2), &json!(true)));
}
