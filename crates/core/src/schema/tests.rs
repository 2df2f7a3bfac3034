use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::*;
use crate::io_type::bytes_field;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Prompt {
    /// What to paint.
    text: String,
    seed: Option<u32>,
    #[serde(default = "steps")]
    steps: u8,
    style: Style,
    #[serde(with = "bytes_field")]
    #[schemars(schema_with = "bytes_field::schema")]
    image: Vec<u8>,
    size: Size,
    scale: f64,
    extra: BTreeMap<String, f32>,
}

fn steps() -> u8 {
    20
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Style {
    /// As a photo.
    Photo,
    Drawing,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Size {
    width: i64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Tree {
    children: Vec<Tree>,
}

#[test]
fn e74_the_root_is_a_reference_and_there_is_no_dialect() {
    let schema = of_input::<Prompt>();
    assert_eq!(schema["$ref"], "#/$defs/Prompt");
    assert!(schema.get("$schema").is_none());
    let names: Vec<_> = schema["$defs"].as_object().expect("definitions").keys().cloned().collect();
    assert_eq!(names, ["Prompt", "Size", "Style"]);
}

#[test]
fn e74_required_are_the_fields_without_default() {
    let schema = of_input::<Prompt>();
    assert_eq!(schema["$defs"]["Prompt"]["required"], json!(["text", "style", "image", "size", "scale", "extra"]));
}

#[test]
fn e74_properties_have_the_agreed_forms() {
    let schema = of_input::<Prompt>();
    let properties = &schema["$defs"]["Prompt"]["properties"];
    assert_eq!(properties["text"], json!({"type": "string", "description": "What to paint."}));
    assert_eq!(properties["seed"], json!({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}));
    assert_eq!(properties["steps"], json!({"type": "integer", "minimum": 0, "maximum": 255, "default": 20}));
    assert_eq!(properties["image"], json!({"type": "string", "contentEncoding": "base64"}));
    assert_eq!(properties["scale"], json!({"type": "number"}));
    assert_eq!(properties["extra"], json!({"type": "object", "additionalProperties": {"type": "number"}}));
    assert_eq!(schema["$defs"]["Style"], json!({"enum": ["drawing", "photo"], "title": "Style"}));
    assert_eq!(schema["$defs"]["Prompt"]["title"], "Prompt");
}

#[test]
fn e74_listings_inline_the_root() {
    let inlined = inlined(&of_input::<Prompt>());
    assert_eq!(inlined["properties"]["size"], json!({"$ref": "#/$defs/Size"}));
    let names: Vec<_> = inlined["$defs"].as_object().expect("definitions").keys().cloned().collect();
    assert_eq!(names, ["Size", "Style"]);
    // Nothing is left to refer to.
    let small = super::inlined(&of_output::<Size>());
    assert!(small.get("$defs").is_none() && small.get("$ref").is_none());
    // A type that contains itself keeps its definition.
    let tree = super::inlined(&of_input::<Tree>());
    assert!(tree["$defs"].get("Tree").is_some());
}
