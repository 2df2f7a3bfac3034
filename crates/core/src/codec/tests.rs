use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::{io_type::bytes_field, worker_error::FailureClass};

mod oracle;

#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Inner {
    b: i64,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Color {
    Red,
    Green,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "type")]
enum Shape {
    Circle { radius: f64 },
    Square { side: f64 },
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct All {
    text: String,
    count: u8,
    ratio: f64,
    flag: bool,
    #[serde(with = "bytes_field")]
    data: Vec<u8>,
    maybe: Option<i64>,
    list: Vec<Inner>,
    table: BTreeMap<String, i64>,
    color: Color,
    shape: Shape,
    #[serde(default)]
    later: String,
}

fn all() -> Value {
    json!({
        "text": "t", "count": 1, "ratio": 2, "flag": true, "data": "AQI=", "maybe": null, "list": [{"b": -1}],
        "table": {"k": 1}, "color": "green", "shape": {"type": "Circle", "radius": 1.5},
    })
}

/// Encodes a JSON document whose `data` is base64 as a peer would: with real bytes.
fn packed(document: &Value) -> Vec<u8> {
    let mut document: rmpv::Value = rmpv::ext::to_value(document).expect("a value");
    if let rmpv::Value::Map(entries) = &mut document {
        for (key, value) in entries {
            if key.as_str() == Some("data") && value.as_str() == Some("AQI=") {
                *value = rmpv::Value::Binary(vec![1, 2]);
            }
        }
    }
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, &document).expect("bytes");
    out
}

#[track_caller]
fn refused<T: DeserializeOwned>(payload: &[u8]) -> String {
    let error = decode::<T>(payload).map(drop).expect_err("a refusal");
    assert_eq!(error.class(), FailureClass::Invalid);
    assert!(error.is_decode());
    error.client_message()
}

#[track_caller]
fn refused_with(field: &str, value: Value, want: &str) {
    let mut document = all();
    document[field] = value;
    assert_eq!(refused::<All>(&packed(&document)), want);
}

#[test]
fn w8_1_structs_are_maps_with_every_field_in_declaration_order() {
    #[derive(Serialize)]
    struct Out {
        z: u8,
        a: Option<u8>,
        m: &'static str,
    }
    let encoded = encode(&Out { z: 0, a: None, m: "" }).expect("bytes");
    assert_eq!(&encoded[..], b"\x83\xa1z\x00\xa1a\xc0\xa1m\xa0");
}

#[test]
fn w8_2_integers_take_their_shortest_form_and_floats_are_float64() {
    let hex = |value: &Value| encode(value).expect("bytes").iter().map(|b| format!("{b:02x}")).collect::<String>();
    let cases = [
        (json!(0), "00"),
        (json!(127), "7f"),
        (json!(128), "cc80"),
        (json!(255), "ccff"),
        (json!(256), "cd0100"),
        (json!(65_536), "ce00010000"),
        (json!(4_294_967_296_u64), "cf0000000100000000"),
        (json!(-1), "ff"),
        (json!(-32), "e0"),
        (json!(-33), "d0df"),
        (json!(-129), "d1ff7f"),
        (json!(-32_769), "d2ffff7fff"),
        (json!(-2_147_483_649_i64), "d3ffffffff7fffffff"),
        (json!(1.5), "cb3ff8000000000000"),
        (json!(true), "c3"),
        (json!(null), "c0"),
        (json!([1]), "9101"),
    ];
    for (value, want) in cases {
        assert_eq!(hex(&value), want, "{value}");
    }
    assert_eq!(&encode(&1.5_f32).expect("bytes")[..], b"\xcb\x3f\xf8\0\0\0\0\0\0");
    assert_eq!(&encode(serde_bytes::Bytes::new(b"ab")).expect("bytes")[..], b"\xc4\x02ab");
    assert_eq!(&encode(&i128::from(u64::MAX)).expect("bytes")[..], b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    assert!(encode(&u128::MAX).is_err());
}

#[test]
fn w8_2_enums_are_their_name_and_tags_come_first() {
    assert_eq!(&encode(&Color::Red).expect("bytes")[..], b"\xa3red");
    let encoded = encode(&Shape::Square { side: 1.0 }).expect("bytes");
    assert!(encoded.starts_with(b"\x82\xa4type\xa6Square\xa4side"), "{encoded:?}");
}

#[test]
fn w8_2_containers_of_unknown_length_get_their_header() {
    #[derive(Serialize)]
    struct Flat {
        first: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u32>,
    }
    for size in [0, 1, 20, 70_000] {
        let rest: BTreeMap<_, _> = (0..size).map(|n| (format!("k{n}"), n)).collect();
        let encoded = encode(&Flat { first: 1, rest: rest.clone() }).expect("bytes");
        let decoded: HashMap<String, u32> = decode(&encoded).expect("the same");
        assert_eq!(decoded.len(), rest.len() + 1);
    }
}

#[test]
fn w8_3_accepts_what_the_contract_allows() {
    let mut document = all();
    document["unknown"] = json!({"deep": [1, {"x": null}]});
    let decoded: All = decode(&packed(&document)).expect("a payload");
    assert_eq!(decoded.ratio, 2.0);
    assert_eq!(decoded.data, [1, 2]);
    assert_eq!((decoded.maybe, decoded.later.as_str()), (None, ""));
    #[derive(Deserialize)]
    struct Nothing {}
    let Nothing {} = decode(&[0x80]).expect("no arguments");
}

#[test]
fn w8_3_refuses_other_tops_and_other_bytes() {
    assert_eq!(refused::<Inner>(&[]), "Input data was truncated");
    assert_eq!(refused::<Inner>(&[0x91, 0x01]), "Expected `object`, got `array`");
    assert_eq!(refused::<Inner>(&[0xc0]), "Expected `object`, got `null`");
    assert_eq!(refused::<Inner>(b"\x81\xa1b\x01\x00"), "MessagePack data is malformed: trailing characters");
    assert_eq!(refused::<Inner>(b"\x81\xa1b"), "Input data was truncated - at `$.b`");
    assert_eq!(refused::<Inner>(b"\x81\xa1b\xc1"), "MessagePack data is malformed: invalid opcode 0xc1 - at `$.b`");
    assert_eq!(refused::<Inner>(b"\x81\xc4\x01b\x01"), "Expected `str`, got `bytes`");
    assert_eq!(refused::<Inner>(b"\x81\xa1\xff\x01"), "Invalid UTF-8");
    // A header that promises more than there is.
    assert_eq!(refused::<Inner>(b"\xdf\xff\xff\xff\xff"), "Input data was truncated");
}

#[test]
fn w8_4_errors_name_types_and_place() {
    refused_with("text", json!(5), "Expected `str`, got `int` - at `$.text`");
    refused_with("text", json!(null), "Expected `str`, got `null` - at `$.text`");
    refused_with("count", json!(1.0), "Expected `int`, got `float` - at `$.count`");
    refused_with("count", json!("1"), "Expected `int`, got `str` - at `$.count`");
    refused_with("count", json!(256), "Expected `int` <= 255 - at `$.count`");
    refused_with("count", json!(-1), "Expected `int` >= 0 - at `$.count`");
    refused_with("flag", json!(1), "Expected `bool`, got `int` - at `$.flag`");
    refused_with("data", json!("AQID"), "Expected `bytes`, got `str` - at `$.data`");
    refused_with("list", json!([{"b": 1}, {"b": "x"}]), "Expected `int`, got `str` - at `$.list[1].b`");
    refused_with("list", json!([{}]), "Object missing required field `b` - at `$.list[0]`");
    refused_with("table", json!({"k": []}), "Expected `int`, got `array` - at `$.table.k`");
    refused_with("color", json!("blue"), "Invalid enum value 'blue' - at `$.color`");
    refused_with("color", json!(1), "Expected `str`, got `int` - at `$.color`");
    refused_with("shape", json!({"type": "Circle", "radius": "x"}), "Expected `float`, got `str` - at `$.shape`");
    let mut document = all();
    document.as_object_mut().expect("an object").remove("text");
    assert_eq!(refused::<All>(&packed(&document)), "Object missing required field `text`");
}

#[test]
fn w8_4_unknown_fields_fail_where_the_struct_forbids_them() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Closed {
        #[expect(dead_code, reason = "only its name matters")]
        a: Option<u8>,
    }
    assert_eq!(refused::<Closed>(&from_json(&json!({"b": 1}))), "Object contains unknown field `b`");
}

#[test]
fn e73_a_duplicate_key_keeps_its_last_value() {
    // The first value has another type: it must not even be looked at.
    let twice = b"\x83\xa1b\xa1x\xa1c\x07\xa1b\x02";
    assert_eq!(decode::<Inner>(twice).expect("a payload"), Inner { b: 2 });
    // The same text written with another header.
    let forms = b"\x82\xa1b\x01\xd9\x01b\x02";
    assert_eq!(decode::<Inner>(forms).expect("a payload"), Inner { b: 2 });
    let nested = b"\x81\xa4list\x92\x82\xa1b\x01\xa1b\x05\x81\xa1b\x06";
    let lists: HashMap<String, Vec<Inner>> = decode(nested).expect("a payload");
    assert_eq!(lists["list"], [Inner { b: 5 }, Inner { b: 6 }]);
    // What is wrong elsewhere stays wrong, with its place.
    let wrong = b"\x83\xa1b\x01\xa1b\xa1y\xa1c\x01";
    assert_eq!(refused::<Inner>(wrong), "Expected `int`, got `str` - at `$.b`");
    assert_eq!(refused::<Inner>(b"\x82\xa1b\x01\xa1b\x02\x00"), "MessagePack data is malformed: trailing characters");
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| {
        let mut payload = b"\x81\xa1v".to_vec();
        payload.extend(std::iter::repeat_n(0x91, levels));
        payload.push(0xc0);
        payload
    };
    type Any = HashMap<String, Value>;
    assert!(decode::<Any>(&deep(DEPTH_MAX - 1)).is_ok());
    assert!(refused::<Any>(&deep(DEPTH_MAX)).starts_with("Nesting is deeper than 128 levels"));
    assert!(to_json(&deep(DEPTH_MAX)).is_err());
    // What nobody reads is passed over without a stack.
    let mut payload = b"\x82\xa1b\x01\xa1v".to_vec();
    payload.extend(std::iter::repeat_n(0x91, 1_000_000));
    payload.push(0xc0);
    assert_eq!(decode::<Inner>(&payload).expect("a payload"), Inner { b: 1 });
}

#[test]
fn json_carries_bytes_as_base64() {
    let decoded: All = decode_from_json(&from_json(&all())).expect("a payload");
    assert_eq!(decoded.data, [1, 2]);
    let mut back = to_json(&encode(&decoded).expect("bytes")).expect("a document");
    assert_eq!(back["data"], json!("AQI="));
    back.as_object_mut().expect("an object").remove("later");
    let mut want = all();
    want["ratio"] = json!(2.0);
    assert_eq!(back, want);
    let mut bad = all();
    bad["data"] = json!("***");
    let error = decode_from_json::<All>(&from_json(&bad)).expect_err("a refusal");
    assert_eq!(error.client_message(), "Invalid base64 encoded string - at `$.data`");
}

#[test]
fn json_has_no_nan() {
    #[derive(Serialize)]
    struct Out<'a> {
        x: f64,
        y: f32,
        #[serde(with = "serde_bytes")]
        data: &'a [u8],
    }
    let out = Out { x: f64::NAN, y: f32::INFINITY, data: b"\x01\x02" };
    assert_eq!(encode_json(&out).expect("bytes"), r#"{"x":null,"y":null,"data":"AQI="}"#);
    assert_eq!(to_json(&encode(&out).expect("bytes")).expect("a document")["x"], Value::Null);
}

proptest! {
    #[test]
    fn w8_decoder_and_reference_agree(value in oracle::map()) {
        let mut packed = Vec::new();
        rmpv::encode::write_value(&mut packed, &value).expect("bytes");
        let ours: oracle::Any = decode(&packed).expect("a value");
        prop_assert_eq!(ours.0, value);
    }

    #[test]
    fn w8_encoder_and_reference_agree(value in oracle::map()) {
        let ours = encode(&value).expect("bytes");
        let read = rmpv::decode::read_value(&mut &ours[..]).expect("a value");
        prop_assert_eq!(read, value);
    }

    #[test]
    fn w8_arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        drop(decode::<All>(&bytes));
        drop(decode::<oracle::Any>(&bytes));
        drop(to_json(&bytes));
        drop(dedup::keep_last(&bytes));
    }

    #[test]
    fn w8_damaged_payloads_never_panic(at in 0_usize..80, byte in any::<u8>(), cut in 0_usize..80) {
        let mut bytes = packed(&all());
        let length = bytes.len();
        bytes[at % length] = byte;
        drop(decode::<All>(&bytes));
        bytes.truncate(cut % length);
        prop_assert!(decode::<All>(&bytes).is_err());
    }

    #[test]
    fn e73_keeping_the_last_is_what_a_map_does(
        pairs in proptest::collection::vec((0_u8..4, any::<i64>()), 0..12),
    ) {
        let entries: Vec<_> = pairs.iter().map(|(key, value)| (key.to_string().into(), (*value).into())).collect();
        let mut packed = Vec::new();
        rmpv::encode::write_value(&mut packed, &rmpv::Value::Map(entries)).expect("bytes");
        let want: HashMap<String, i64> = pairs.iter().map(|(key, value)| (key.to_string(), *value)).collect();
        let unique = dedup::keep_last(&packed);
        prop_assert_eq!(unique.is_some(), want.len() < pairs.len());
        let unique = unique.unwrap_or(packed);
        prop_assert_eq!(decode::<HashMap<String, i64>>(&unique).expect("a map"), want);
    }
}
