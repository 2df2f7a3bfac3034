//! What payloads name.
use serde_json::{Value, json};

use super::*;

fn encoded(payload: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(payload).expect("encodes")
}

fn found(payload: &Value) -> Option<(String, Provider)> {
    let payload = encoded(payload);
    named(&payload).expect("valid").map(|named| (named.reference.to_owned(), named.provider))
}

fn refused(payload: &Value) -> String {
    named(&encoded(payload)).expect_err("invalid").to_string()
}

#[test]
fn m3_10_w9_8_a_source_is_read_where_it_stands() {
    let expected = |provider| Some(("acme/base:v1".to_owned(), provider));
    assert_eq!(
        found(&json!({"steps": [1, {"source": 2}], "source": {"ref": "acme/base:v1"}, "z": null})),
        expected(Provider::Hub)
    );
    let hf = json!({"source": {"provider": "hf", "x": {"ref": "no"}, "ref": "acme/base:v1"}});
    assert_eq!(found(&hf), expected(Provider::HuggingFace));
    let null = json!({"source": {"provider": null, "ref": "acme/base:v1"}});
    assert_eq!(found(&null), expected(Provider::Hub));
}

#[test]
fn m3_10_w9_8_no_source_is_nothing_to_do() {
    for payload in [
        json!({}),
        json!({"source": null}),
        json!({"source": {}}),
        json!({"source": "a text of the author's"}),
        json!({"source": ["acme/base"]}),
        json!({"inner": {"source": {"ref": "acme/base"}}}),
    ] {
        assert_eq!(found(&payload), None, "{payload}");
        assert!(!concerns(Kind::Conversion, &encoded(&payload)));
    }
    for bytes in [&b""[..], b"\x81", b"\x81\xa6source", b"\x81\xa6source\xdf\xff\xff\xff\xff", b"\xc1"] {
        assert_eq!(named(bytes).expect("decoding says what is wrong"), None, "{bytes:?}");
    }
}

#[test]
fn m3_10_w9_8_a_blank_ref_is_invalid() {
    for source in [json!({"ref": " "}), json!({"ref": ""}), json!({"ref": null}), json!({"ref": 7}), json!({"x": 1})] {
        let payload = json!({ "source": source });
        assert_eq!(refused(&payload), "payload.source.ref: must be the ref of a model", "{payload}");
        assert!(concerns(Kind::Training, &encoded(&payload)), "somebody has to say so");
        assert!(!concerns(Kind::Inference, &encoded(&payload)), "an inference may call anything its source");
    }
    let long = json!({"source": {"ref": "x".repeat(REF_BYTES_MAX + 1)}});
    assert!(refused(&long).contains("longer than 1024 bytes"));
    let nowhere = json!({"source": {"ref": "a/b", "provider": "floppy"}});
    assert!(refused(&nowhere).contains("payload.source.provider: \"floppy\" is no provider"));
    assert!(refused(&json!({"source": {"ref": "a/b", "provider": 1}})).contains("not a text"));
}

#[test]
fn m3_10_the_last_of_two_sources_counts_as_in_every_payload() {
    let one = |reference: &str| encoded(&json!({"source": {"ref": reference}})).split_off(1);
    let payload = [vec![0x82], one("a/first"), one("a/last")].concat();
    assert_eq!(named(&payload).unwrap().unwrap().reference, "a/last");
}

#[test]
fn m3_10_a_ref_is_what_its_provider_calls_one() {
    let binding = |provider, reference| Named { reference, provider }.binding().map(|binding| binding.wire_ref());
    assert_eq!(binding(Provider::Hub, " a/b:v1#fp8 ").unwrap(), "a/b:v1#fp8");
    assert_eq!(binding(Provider::HuggingFace, "a/b@main").unwrap(), "a/b@main");
    assert_eq!(binding(Provider::ModelScope, "a/b").unwrap(), "a/b");
    let civitai = Named { reference: "versions/7", provider: Provider::Civitai }.binding().unwrap();
    assert_eq!((civitai.wire_ref().as_str(), civitai.version()), ("versions/7", "versions/7"));
    assert!(binding(Provider::HuggingFace, "gpt2").unwrap_err().to_string().starts_with("payload.source.ref: "));
}
