//! Payloads at the orchestrator's door: JSON in, MessagePack inside, JSON out.

use gen_worker_core::codec;
use gen_worker_orchestrator::payload::{AsJson, Problem, check_map, digest, from_json};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::oracle::{Any, read};

/// JSON is judged as `serde_json` judges it, apart from what is refused on purpose; what is accepted comes back the
/// same; and MessagePack of any kind is shown as JSON or refused.
pub fn json_payload(input: &[u8]) {
    json(input);
    messagepack(input);
}

fn json(input: &[u8]) {
    let theirs = serde_json::from_slice::<Value>(input);
    let bytes = match from_json(input) {
        Ok(bytes) => bytes,
        Err(error) => {
            assert!(!is_syntax(&error.problem) || theirs.is_err(), "good JSON is refused: {error}");
            return;
        }
    };
    assert!(theirs.is_ok_and(|value| value.is_object()), "bad JSON is accepted");
    check_map(&bytes).expect("what was made of JSON is a payload");
    assert!(read(&bytes).is_some(), "what was made of JSON is no MessagePack");
    codec::decode::<Any>(&bytes).expect("a worker reads what was made of JSON");
    let text = show(&bytes).expect("what was made of JSON can be shown");
    assert_eq!(from_json(&text).expect("what was shown is JSON"), bytes, "showing changed the payload");
}

fn messagepack(input: &[u8]) {
    let has_digest = digest(input, &[b"context"]).is_ok();
    if check_map(input).is_ok() {
        assert!(has_digest, "a payload has no digest");
    }
    let shown = show(input);
    if has_digest || shown.is_some() {
        assert!(read(input).is_some(), "what is no MessagePack is taken for it");
    }
    if let Some(text) = shown {
        serde_json::from_slice::<IgnoredAny>(&text).expect("what is shown is JSON");
    }
}

fn show(bytes: &[u8]) -> Option<Vec<u8>> {
    serde_json::to_vec(&AsJson(bytes)).ok()
}

/// Problems that any JSON parser has to have with a text. The rest is refused here and fine elsewhere.
fn is_syntax(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::Empty
            | Problem::Utf8
            | Problem::Expected(_)
            | Problem::End
            | Problem::Trailing
            | Problem::Control
            | Problem::Escape
            | Problem::Surrogate
    )
}
