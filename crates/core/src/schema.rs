//! JSON Schemas of payloads and outputs: draft 2020-12, shared definitions under `$defs`, options as `anyOf` with
//! null. Pure.

use schemars::{
    JsonSchema, SchemaGenerator,
    generate::SchemaSettings,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Map, Value};

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
    let mut schema = schema.clone();
    let Some(object) = schema.as_object_mut() else { return schema };
    let Some(name) = root_definition(object) else { return schema };
    let Some(definitions) = object.get_mut("$defs").and_then(Value::as_object_mut) else { return schema };
    // A type that contains itself is still referred to from inside.
    let again = refers_to(definitions, &name);
    let root = if again { definitions.get(&name).cloned() } else { definitions.remove(&name) };
    let rest = std::mem::take(definitions);
    let Some(Value::Object(mut root)) = root else { return schema };
    if !rest.is_empty() {
        root.insert("$defs".to_owned(), Value::Object(rest));
    }
    Value::Object(root)
}

fn generate<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut settings = settings;
    settings.meta_schema = None;
    let mut generator = SchemaGenerator::new(settings);
    // As a member rather than as the root, so that the type itself lands among the definitions.
    let root = generator.subschema_for::<T>();
    let mut schema = Map::new();
    if let Value::Object(root) = root.to_value() {
        schema.extend(root);
    }
    let mut definitions = generator.take_definitions(true);
    for definition in definitions.values_mut() {
        if let Ok(definition) = definition.try_into() {
            Nullable.transform(definition);
        }
    }
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Value::Object(schema)
}

/// `"type": ["string", "null"]` becomes `anyOf` with null.
struct Nullable;

impl Transform for Nullable {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        let Some(Value::Array(types)) = object.get("type") else { return };
        let [Value::String(plain), Value::String(null)] = types.as_slice() else { return };
        if null != "null" {
            return;
        }
        let plain = plain.clone();
        // What describes the property stays where it is; what describes the value moves inside.
        let mut inside = Map::new();
        inside.insert("type".to_owned(), Value::String(plain));
        for keyword in ["description", "title", "default"] {
            if let Some(value) = object.remove(keyword) {
                inside.insert(format!("\0{keyword}"), value);
            }
        }
        object.remove("type");
        let mut outside = Map::new();
        for (keyword, value) in std::mem::take(object) {
            inside.insert(keyword, value);
        }
        for keyword in ["description", "title", "default"] {
            if let Some(value) = inside.remove(&format!("\0{keyword}")) {
                outside.insert(keyword.to_owned(), value);
            }
        }
        let null = serde_json::json!({"type": "null"});
        outside.insert("anyOf".to_owned(), Value::Array(vec![Value::Object(inside), null]));
        *object = outside;
    }
}

fn root_definition(schema: &Map<String, Value>) -> Option<String> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/").map(str::to_owned)
}

fn refers_to(definitions: &Map<String, Value>, name: &str) -> bool {
    let reference = format!("#/$defs/{name}");
    fn any(value: &Value, reference: &str) -> bool {
        match value {
            Value::Object(object) => {
                object.get("$ref").and_then(Value::as_str) == Some(reference)
                    || object.values().any(|inner| any(inner, reference))
            }
            Value::Array(items) => items.iter().any(|inner| any(inner, reference)),
            _ => false,
        }
    }
    definitions.values().any(|definition| any(definition, &reference))
}

#[cfg(test)]
mod tests;
