//! The worker's payload codec on any bytes, as types that authors declare and beside another implementation.

use std::{collections::BTreeMap, fmt::Debug};

use gen_worker_core::{
    codec::{decode, decode_from_json, encode, encode_json, from_json, to_json},
    io_type::bytes_field,
};
use rmpv::Value;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::oracle::{Any, has_repeated_keys, is_payload, normal, read};

/// A payload with a field of every kind.
#[derive(Debug, Serialize, Deserialize)]
struct All {
    text: String,
    count: u8,
    ratio: f64,
    #[serde(default)]
    small: f32,
    #[serde(default)]
    flag: bool,
    #[serde(with = "bytes_field")]
    data: Vec<u8>,
    maybe: Option<i64>,
    #[serde(default)]
    list: Vec<Inner>,
    #[serde(default)]
    table: BTreeMap<String, i64>,
    color: Option<Color>,
    shape: Option<Shape>,
    #[serde(default)]
    pair: (u16, String),
    #[serde(default)]
    choice: Choice,
    #[serde(flatten)]
    rest: BTreeMap<String, Plain>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Inner {
    b: i64,
    inner: Option<Box<Inner>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Color {
    Red,
    Green,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Shape {
    Circle { radius: f64 },
    Square { side: f64 },
}

#[derive(Debug, Default, Serialize, Deserialize)]
enum Choice {
    #[default]
    None,
    One(i32),
    Two(i8, char),
    Named {
        name: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Plain {
    Flag(bool),
    Number(f64),
    Text(String),
    Many(Vec<Plain>),
}

/// A payload that refuses what it does not know.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    text: String,
    count: Option<u64>,
}

/// Nothing panics; what is accepted survives encoding; and whatever the other implementation reads is accepted exactly
/// if a payload may be that, with the same meaning.
pub fn payload_codec(input: &[u8]) {
    typed::<All>(input);
    typed::<Strict>(input);
    typed::<BTreeMap<String, i64>>(input);
    typed::<BTreeMap<String, Plain>>(input);
    untyped(input);
    shown(input);
}

fn typed<T: DeserializeOwned + Serialize + Debug>(input: &[u8]) {
    let from_json = decode_from_json::<T>(input);
    let Ok(value) = decode::<T>(input) else { return };
    let text = format!("{value:?}");
    let lenient = from_json.expect("where binary is accepted, base64 beside it changes nothing");
    assert_eq!(format!("{lenient:?}"), text);
    let bytes = encode(&value).expect("what was decoded encodes");
    let again = decode::<T>(&bytes).expect("what was encoded decodes");
    assert_eq!(format!("{again:?}"), text, "encoding changed the value");
    drop(encode_json(&value));
}

fn untyped(input: &[u8]) {
    let ours = decode::<Any>(input).ok().map(|Any(value)| value);
    let theirs = read(input);
    if theirs.as_ref().is_some_and(has_repeated_keys) {
        return;
    }
    let expected = theirs.filter(is_payload);
    assert_eq!(ours.clone().map(normal), expected.map(normal), "the implementations disagree");
    let Some(value) = ours else { return };
    let bytes = encode(&value).expect("what was decoded encodes");
    let Any(again) = decode(&bytes).expect("what was encoded decodes");
    assert_eq!(normal(again), normal(value.clone()), "encoding changed the value");
    assert_eq!(read(&bytes).map(normal), Some(normal(value)), "the implementations disagree about our encoding");
}

/// What can be shown as JSON is a document that comes back as one.
fn shown(input: &[u8]) {
    let Ok(document) = to_json(input) else { return };
    let packed = from_json(&document);
    assert_eq!(to_json(&packed).expect("packed JSON can be shown"), document);
    assert!(!matches!(read(&packed), None | Some(Value::Ext(..))));
}
