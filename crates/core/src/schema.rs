//! JSON Schemas of payloads and outputs: draft 2020-12, shared definitions under `$defs`, options as `anyOf` with
//! null, closed sets of names as `enum`. Pure.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, transform::transform_subschemas};
use serde_json::{Map, Value, json};

/// Schema of what a payload type accepts.
#[must_use]
pub fn of_input<T: JsonSchema>() -> Value {
    generate::<T>(SchemaSettings::draft2020_12().for_deserialize())
}

/// Schema of what an output type writes.
#[must_use]
pub fn of_output<T: JsonSchema>() -> Value {
    generate::<T>(SchemaSettings::draft2020_12().for_serialize())
}

/// The schema with the root definition in place, so that `properties` is directly reachable; the other definitions
/// stay under `$defs`.
#[must_use]
pub fn inlined(schema: &Value) -> Value {
    let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix(DEFINITIONS)) else {
        return schema.clone();
    };
    let mut definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    let Some(Value::Object(mut root)) = definitions.get(name).cloned() else {
        return schema.clone();
    };
    // A type that contains itself is still referred to from inside.
    if !definitions.values().any(|definition| refers_to(definition, name)) {
        definitions.remove(name);
    }
    if !definitions.is_empty() {
        root.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Value::Object(root)
}

/// Where references to definitions begin.
const DEFINITIONS: &str = "#/$defs/";

fn generate<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut generator = SchemaGenerator::new(settings);
    // As a member rather than as the root, so that the type itself lands among the definitions.
    let root = generator.subschema_for::<T>();
    let mut definitions = generator.take_definitions(true);
    for (name, definition) in &mut definitions {
        if let Ok(schema) = <&mut Schema>::try_from(definition) {
            settle(schema);
            if let Some(object) = schema.as_object_mut() {
                object.entry("title").or_insert_with(|| Value::String(name.clone()));
            }
        }
    }
    let mut root = root.to_value();
    if let (Some(object), false) = (root.as_object_mut(), definitions.is_empty()) {
        object.insert("$defs".to_owned(), Value::Object(definitions));
    }
    root
}

/// Turns our generator's habits into the ones of the contract.
fn settle(schema: &mut Schema) {
    transform_subschemas(&mut settle, schema);
    if let Some(object) = schema.as_object_mut() {
        drop_machine_format(object);
        split_nullable(object);
        join_constants(object);
    }
}

/// `"format": "uint32"` and its like say how wide the number is in Rust, which is nobody's business.
fn drop_machine_format(object: &mut Map<String, Value>) {
    let is_machine = |format: &str| {
        let digits = format.trim_start_matches("uint").trim_start_matches("int");
        matches!(format, "float" | "double" | "int" | "uint") || digits.parse::<u8>().is_ok()
    };
    if object.get("format").and_then(Value::as_str).is_some_and(is_machine) {
        object.remove("format");
    }
}

/// `"type": ["string", "null"]` becomes `anyOf` of the two. What describes the property stays outside, what
/// describes the value moves inside.
fn split_nullable(object: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = object.get("type") else { return };
    let [plain, Value::String(null)] = types.as_slice() else { return };
    if null != "null" {
        return;
    }
    let plain = plain.clone();
    object.remove("type");
    let mut value = Map::from_iter([("type".to_owned(), plain)]);
    let mut property = Map::new();
    for (keyword, setting) in std::mem::take(object) {
        let outside = matches!(keyword.as_str(), "description" | "title" | "default");
        let side = if outside { &mut property } else { &mut value };
        side.insert(keyword, setting);
    }
    property.insert("anyOf".to_owned(), json!([value, {"type": "null"}]));
    *object = property;
}

/// A closed set of names is `enum` and nothing else, sorted: that is how peers write it. Ours comes as `oneOf`
/// when members have comments.
fn join_constants(object: &mut Map<String, Value>) {
    let members = match (object.get("enum"), object.get("oneOf")) {
        (Some(Value::Array(names)), _) => names.clone(),
        (None, Some(Value::Array(members))) => members.iter().flat_map(constants).collect(),
        _ => return,
    };
    let names: Option<Vec<&str>> = members.iter().map(Value::as_str).collect();
    let Some(mut names) = names else { return };
    names.sort_unstable();
    let names = json!(names);
    object.remove("oneOf");
    object.remove("type");
    object.insert("enum".to_owned(), names);
}

/// The names that a member of `oneOf` stands for; null when it stands for something else.
fn constants(member: &Value) -> Vec<Value> {
    match (member.get("const"), member.get("enum")) {
        (Some(name), _) => vec![name.clone()],
        (None, Some(Value::Array(names))) => names.clone(),
        _ => vec![Value::Null],
    }
}

fn refers_to(schema: &Value, name: &str) -> bool {
    match schema {
        Value::Object(object) => object.iter().any(|(keyword, value)| {
            let reference = value.as_str().filter(|_| keyword == "$ref");
            reference.and_then(|path| path.strip_prefix(DEFINITIONS)) == Some(name) || refers_to(value, name)
        }),
        Value::Array(items) => items.iter().any(|item| refers_to(item, name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
