//! What payloads name.
use serde_json::{Value, json};

use super::*;

fn encoded(payload: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(payload).expect("encodes")
}

#[test]
fn m3_10_w9_8_a_source_is_read_where_it_stands() {
    for payload in [
        json!({"steps": [1, {"source": 2}], "source": {"ref": "acme/base:v1"}, "z": null}),
        json!({"source": {"attributes": {"ref": "no"}, "ref": " acme/base:v1\n"}}),
    ] {
        assert_eq!(named(&encoded(&payload)).expect("valid"), Some("acme/base:v1"));
    }
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
        assert_eq!(named(&encoded(&payload)).expect("valid"), None, "{payload}");
    }
    for bytes in [&b""[..], b"\x81", b"\x81\xa6source", b"\x81\xa6source\xdf\xff\xff\xff\xff", b"\xc1"] {
        assert_eq!(named(bytes).expect("decoding says what is wrong"), None, "{bytes:?}");
    }
}

#[test]
fn m3_10_w9_8_a_blank_ref_is_invalid() {
    for source in [json!({"ref": " "}), json!({"ref": ""}), json!({"ref": null}), json!({"ref": 7}), json!({"x": 1})] {
        let refused = named(&encoded(&json!({ "source": source }))).expect_err("invalid");
        assert_eq!(refused.client_message(), "payload.source.ref: must be the ref of a model", "{source}");
    }
}

#[test]
fn m3_10_the_last_of_two_sources_counts_as_in_every_payload() {
    let one = |reference: &str| encoded(&json!({"source": {"ref": reference}})).split_off(1);
    let payload = [vec![0x82], one("a/first"), one("a/last")].concat();
    assert_eq!(named(&payload).expect("valid"), Some("a/last"));
}

#[test]
fn m3_10_w9_8_only_a_producer_whose_payload_has_the_field_has_a_source() {
    let with = json!({"type": "object", "properties": {"source": true, "x": true}});
    let without = json!({"type": "object", "properties": {"x": true}});
    for kind in [Kind::Conversion, Kind::Training, Kind::Dataset] {
        let has = |schema: &Value| has_place(kind, || schema.clone());
        assert!(has(&with) && has(&json!({})) && !has(&without));
    }
    assert!(!has_place(Kind::Inference, || with));
}
