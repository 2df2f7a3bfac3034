//! Where files of payloads are found, and what becomes of what they say. What is fetched is tested with a worker around it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    found::find,
    rewrite::{Edit, NewWords, rewritten},
    *,
};
use crate::{Asset, codec, schema::of_input};

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is looked at")]
struct Everything {
    one: Asset,
    maybe: Option<Asset>,
    many: Vec<Asset>,
    named: std::collections::BTreeMap<String, Asset>,
    either: Either,
    tagged: Tagged,
    around: Around,
    tree: Option<Box<Tree>>,
    numbers: Vec<f64>,
    words: String,
    free: Value,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is looked at")]
enum Either {
    File(Box<Asset>),
    Text(String),
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "type")]
#[expect(dead_code, reason = "only its schema is looked at")]
enum Tagged {
    Picture { file: Box<Asset> },
    Words { text: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Around {
    #[serde(flatten)]
    file: Asset,
    duration_s: Option<f64>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is looked at")]
struct Tree {
    leaf: Option<Asset>,
    branches: Vec<Tree>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is looked at")]
struct Plain {
    text: String,
    tree: std::collections::BTreeMap<String, Vec<Option<u8>>>,
    inner: Option<Box<Plain>>,
}

fn file(name: &str) -> Value {
    json!({"ref": format!("https://example.com/{name}")})
}

/// A tree with its only leaf below so many branches.
fn tree(levels: usize) -> Value {
    (0..levels).fold(json!({"leaf": file("leaf"), "branches": []}), |tree, _| json!({"branches": [tree]}))
}

fn places(payload: &Value) -> Vec<String> {
    let shapes = FileShapes::of(&of_input::<Everything>()).expect("it has files");
    let payload = codec::from_json(payload);
    find(&shapes, &payload, 100).into_iter().map(|found| found.place).collect()
}

#[test]
fn h14_1_files_are_found_through_structs_lists_and_maps_of_all_kinds() {
    let payload = json!({
        "free": file("free"), "one": file("1"), "maybe": file("2"), "many": [file("3"), {"ref": "own/ref"}, file("4")],
        "named": {"a": file("5")}, "either": file("6"), "tagged": {"type": "Picture", "file": file("7")},
        "around": {"ref": "HTTP://example.com/8", "duration_s": 1.5}, "tree": tree(1), "words": "https://example.com",
        "numbers": [1.0, 2.0], "unknown": file("9"),
    });
    let mut found = places(&payload);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "$.around",
            "$.either",
            "$.many[0]",
            "$.many[2]",
            "$.maybe",
            "$.named.a",
            "$.one",
            "$.tagged.file",
            "$.tree.branches[0].leaf",
        ]
    );
    assert!(places(&json!({"maybe": null, "either": "text", "tagged": {"type": "Words", "text": "a"}})).is_empty());
}

#[test]
fn h14_1_files_are_found_down_to_the_eighth_level() {
    assert_eq!(places(&json!({"tree": tree(3)})).len(), 1, "at level 8");
    assert!(places(&json!({"tree": tree(4)})).is_empty(), "at level 10");
}

#[test]
fn types_without_files_are_not_looked_at() {
    assert_eq!(FileShapes::of(&of_input::<Plain>()), None);
    assert_eq!(FileShapes::of(&json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}})), None);
    assert_eq!(FileShapes::of(&json!(true)), None);
}

#[test]
fn what_does_not_decode_names_no_files() {
    let shapes = FileShapes::of(&of_input::<Everything>()).expect("it has files");
    let whole = codec::from_json(&json!({"one": file("1"), "words": "a"}));
    for length in 0..whole.len() {
        assert!(find(&shapes, &whole[..length], 100).is_empty(), "{length}");
    }
    assert!(find(&shapes, b"\x93\x01\x02\x03", 100).is_empty());
}

#[test]
fn no_more_files_are_looked_for_than_may_come() {
    let shapes = FileShapes::of(&of_input::<Everything>()).expect("it has files");
    let payload = codec::from_json(&json!({"many": vec![file("a"); 50]}));
    assert_eq!(find(&shapes, &payload, 3).len(), 4);
}

#[test]
fn e120_only_what_is_known_now_is_said_otherwise() {
    let shapes = FileShapes::of(&of_input::<Everything>()).expect("it has files");
    let payload = json!({
        "words": "before", "around": {"local_path": "/etc/passwd", "ref": "https://example.com/8", "duration_s": 1.5},
        "one": {"ref": "own/ref", "local_path": "/etc/shadow", "mime_type": "text/plain"}, "numbers": [1],
    });
    let packed = codec::from_json(&payload);
    let found = find(&shapes, &packed, 100);
    let edits: Vec<_> = found
        .into_iter()
        .map(|found| {
            let words = match found.says.url() {
                Some(_) => NewWords {
                    local_path: Some("/tmp/1".into()),
                    size_bytes: Some(7),
                    mime_type: Some("video/mp4".into()),
                },
                None => NewWords::default(),
            };
            Edit { bytes: found.bytes, words }
        })
        .collect();
    let told = codec::to_json(&rewritten(&packed, &edits).expect("its own places")).expect("a payload");
    let expected = json!({
        "words": "before", "numbers": [1],
        "around": {"local_path": "/tmp/1", "ref": "https://example.com/8", "duration_s": 1.5, "size_bytes": 7,
            "mime_type": "video/mp4"},
        "one": {"ref": "own/ref", "local_path": null, "mime_type": "text/plain"},
    });
    assert_eq!(told, expected);
}

#[test]
fn e120_a_file_of_another_form_names_no_place_either() {
    let shapes = FileShapes::of(&of_input::<Everything>()).expect("it has files");
    let payload = codec::from_json(&json!({"one": {"ref": 7, "local_path": "/etc/passwd"}}));
    let found = find(&shapes, &payload, 100);
    assert!(found.len() == 1 && found[0].says.url().is_none(), "{found:?}");
}
