//! `#[derive(Payload)]` and `#[derive(Output)]`.

use std::collections::BTreeMap;

use gen_worker::prelude::*;
use gen_worker_core::{codec, schema};
use serde_json::{Value, json};

/// A prompt.
#[derive(Debug, PartialEq, Payload)]
struct Prompt {
    /// What to paint.
    #[field(min_len = 1, max_len = 5)]
    text: String,
    #[field(min = 1, max = 9, default = 2)]
    times: u32,
    #[field(exclusive_min = 0.0, exclusive_max = 1)]
    strength: Option<f64>,
    #[field(multiple_of = 8, default = 64)]
    width: i64,
    #[field(pattern = "^[a-z]+$", default = "plain")]
    style: String,
    #[field(max_len = 2, default)]
    tags: Vec<String>,
    #[field(max_len = 3)]
    image: Option<Vec<u8>>,
    #[serde(rename = "mode", default)]
    kind: Mode,
    #[serde(default)]
    area: Vec<Area>,
    #[field(default)]
    extra: BTreeMap<String, f64>,
    #[field(min = -5, default = -1)]
    offset: Option<i8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Payload)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Fast,
    VerySlow,
}

#[derive(Debug, PartialEq, Payload)]
struct Area {
    width: Meters,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Payload)]
struct Meters(f64);

#[derive(Debug, Default, PartialEq, Payload)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    a: u8,
    r#type: String,
}

#[derive(Output)]
struct Data {
    bytes: Vec<u8>,
    more: Option<Vec<u8>>,
    none: Option<i64>,
    small: f32,
}

fn decoded<T: Payload>(document: Value) -> Result<T> {
    codec::decode_from_json(&codec::from_json(&document))
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Value)) -> String {
    let mut document = json!({"text": "x"});
    change(&mut document);
    decoded::<Prompt>(document).expect_err("a refusal").client_message()
}

#[test]
fn e70_defaults_fill_what_is_left_out() {
    let prompt: Prompt = decoded(json!({"text": "abc"})).expect("a payload");
    let want = Prompt {
        text: "abc".into(),
        times: 2,
        strength: None,
        width: 64,
        style: "plain".into(),
        tags: vec![],
        image: None,
        kind: Mode::Fast,
        area: vec![],
        extra: BTreeMap::new(),
        offset: Some(-1),
    };
    assert_eq!(prompt, want);
    assert_eq!(decoded::<Settings>(json!({})).expect("a payload"), Settings::default());
}

#[test]
fn e70_bounds_hold_at_decode_with_their_place() {
    assert_eq!(refused(|d| d["text"] = json!("")), "Expected `str` of length >= 1 - at `$.text`");
    assert_eq!(refused(|d| d["text"] = json!("123456")), "Expected `str` of length <= 5 - at `$.text`");
    assert_eq!(refused(|d| d["times"] = json!(0)), "Expected `int` >= 1 - at `$.times`");
    assert_eq!(refused(|d| d["times"] = json!(10)), "Expected `int` <= 9 - at `$.times`");
    assert_eq!(refused(|d| d["strength"] = json!(0)), "Expected `float` > 0.0 - at `$.strength`");
    assert_eq!(refused(|d| d["strength"] = json!(1.0)), "Expected `float` < 1 - at `$.strength`");
    assert_eq!(refused(|d| d["width"] = json!(12)), "Expected `int` that's a multiple of 8 - at `$.width`");
    assert_eq!(refused(|d| d["style"] = json!("A")), "Expected `str` matching regex '^[a-z]+$' - at `$.style`");
    assert_eq!(refused(|d| d["tags"] = json!(["a", "b", "c"])), "Expected `array` of length <= 2 - at `$.tags`");
    assert_eq!(refused(|d| d["image"] = json!("AAAAAA==")), "Expected `bytes` of length <= 3 - at `$.image`");
    assert_eq!(refused(|d| d["mode"] = json!("slow")), "Invalid enum value 'slow' - at `$.mode`");
    assert_eq!(refused(|d| d["area"] = json!([{}])), "Object missing required field `width` - at `$.area[0]`");
    assert!(decoded::<Prompt>(json!({"text": "x", "strength": null, "image": null, "offset": null})).is_ok());
}

#[test]
fn e70_bounds_are_published() {
    let schema = schema::inlined(&schema::of_input::<Prompt>());
    let properties = &schema["properties"];
    assert_eq!(
        properties["text"],
        json!({"type": "string", "description": "What to paint.", "minLength": 1, "maxLength": 5})
    );
    assert_eq!(properties["times"], json!({"type": "integer", "minimum": 1, "maximum": 9, "default": 2}));
    assert_eq!(properties["width"], json!({"type": "integer", "multipleOf": 8, "default": 64}));
    assert_eq!(properties["style"], json!({"type": "string", "pattern": "^[a-z]+$", "default": "plain"}));
    let image = json!({"anyOf": [{"type": "string", "contentEncoding": "base64"}, {"type": "null"}], "maxLength": 4, "default": null});
    assert_eq!(properties["image"], image);
    assert_eq!(schema["required"], json!(["text"]));
    assert_eq!(schema["description"], "A prompt.");
    assert_eq!(schema["$defs"]["Mode"]["enum"], json!(["fast", "very_slow"]));
}

#[test]
fn e73_unknown_fields_are_ignored_unless_forbidden() {
    assert!(decoded::<Prompt>(json!({"text": "x", "surprise": [1]})).is_ok());
    let error = decoded::<Settings>(json!({"b": 1})).expect_err("a refusal");
    assert_eq!(error.client_message(), "Object contains unknown field `b`");
    assert_eq!(decoded::<Settings>(json!({"type": "x"})).expect("a payload").r#type, "x");
}

#[test]
fn e73_flattened_fields_and_newtypes_decode() {
    let prompt: Prompt = decoded(json!({"text": "x", "area": [{"width": 2, "x": 1}]})).expect("a payload");
    assert_eq!(prompt.area, [Area { width: Meters(2.0), rest: BTreeMap::from([("x".into(), 1)]) }]);
}

#[test]
fn w8_2_vectors_of_bytes_are_binary() {
    let data = Data { bytes: vec![1, 2], more: Some(vec![3]), none: None, small: 0.5 };
    let encoded = codec::encode(&data).expect("bytes");
    assert_eq!(
        &encoded[..],
        b"\x84\xa5bytes\xc4\x02\x01\x02\xa4more\xc4\x01\x03\xa4none\xc0\xa5small\xcb\x3f\xe0\0\0\0\0\0\0"
    );
    assert_eq!(codec::encode_json(&data).expect("bytes"), r#"{"bytes":"AQI=","more":"Aw==","none":null,"small":0.5}"#);
    let schema = schema::inlined(&schema::of_output::<Data>());
    assert_eq!(schema["properties"]["bytes"], json!({"type": "string", "contentEncoding": "base64"}));
}

#[test]
fn e70_a_payload_can_be_sent_too() {
    let prompt: Prompt = decoded(json!({"text": "abc", "image": "AQI="})).expect("a payload");
    let again: Prompt = codec::decode(&codec::encode(&prompt).expect("bytes")).expect("the same");
    assert_eq!(again, prompt);
}
