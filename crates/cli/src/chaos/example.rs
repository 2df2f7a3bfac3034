//! A payload made from a schema, when the schema has values for every field that must be there.

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::{Map, Value};

/// Deepest nesting of required structs that is followed; a schema that refers to itself has no end.
const DEPTH_MAX: usize = 16;

/// The path of a required field without any value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing(Vec<String>);

impl Missing {
    /// The field of the payload itself.
    pub(super) fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// A payload that `schema` allows: its own example, or an object with a value for each required field. Other fields are
/// left out, so that their defaults hold.
pub(super) fn example(schema: &Value) -> Result<Value, Missing> {
    value(schema, schema, &mut Vec::new())
}

fn value(schema: &Value, root: &Value, path: &mut Vec<String>) -> Result<Value, Missing> {
    let schema = resolved(schema, root);
    let first = |key: &str| schema.get(key)?.as_array()?.first();
    let given = ["const", "default"].iter().find_map(|key| schema.get(key)).or_else(|| first("examples"));
    if let Some(value) = given.or_else(|| first("enum")) {
        return Ok(value.clone());
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    // The payload itself is always an object, also one without fields.
    if (properties.is_none() && !path.is_empty()) || path.len() >= DEPTH_MAX {
        return Err(Missing(path.clone()));
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut object = Map::new();
    for name in required {
        path.push(name.to_owned());
        let property = properties.and_then(|properties| properties.get(name)).unwrap_or(&Value::Null);
        object.insert(name.to_owned(), value(property, root, path)?);
        path.pop();
    }
    Ok(Value::Object(object))
}

/// The definition that a schema refers to, or the schema itself.
fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    reference.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}
