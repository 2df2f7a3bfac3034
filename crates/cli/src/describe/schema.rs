//! The form of a payload schema in listings.

use serde_json::{Map, Value};

const DEFS: &str = "$defs";

/// The schema with its root definition inlined, so that `properties` is directly reachable. Definitions that are
/// still referred to stay under `$defs`. What is no schema of a struct comes out as `{}`.
pub(crate) fn inlined(schema: Value) -> Value {
    let Value::Object(mut root) = schema else { return Value::Object(Map::new()) };
    root.remove("$schema");
    let Some(name) = root.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/")) else {
        return Value::Object(root);
    };
    let name = name.to_owned();
    let mut defs = match root.remove(DEFS) {
        Some(Value::Object(defs)) => defs,
        _ => Map::new(),
    };
    let Some(Value::Object(mut inlined)) = defs.get(&name).cloned() else { return Value::Object(Map::new()) };
    // Only a type that contains itself refers to the root again.
    let own = format!("#/$defs/{name}");
    if !refers_to(&Value::Object(inlined.clone()), &own) && !defs.values().any(|def| refers_to(def, &own)) {
        defs.remove(&name);
    }
    if !defs.is_empty() {
        inlined.insert(DEFS.to_owned(), Value::Object(defs));
    }
    Value::Object(inlined)
}

fn refers_to(schema: &Value, target: &str) -> bool {
    match schema {
        Value::Object(map) => {
            map.get("$ref").and_then(Value::as_str) == Some(target)
                || map.values().any(|value| refers_to(value, target))
        }
        Value::Array(items) => items.iter().any(|value| refers_to(value, target)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn c32_root_definition_is_inlined() {
        let schema = json!({
            "$schema": "x", "$ref": "#/$defs/P",
            "$defs": {"P": {"properties": {"m": {"$ref": "#/$defs/M"}}}, "M": {"enum": ["a"]}},
        });
        let expected = json!({"properties": {"m": {"$ref": "#/$defs/M"}}, "$defs": {"M": {"enum": ["a"]}}});
        assert_eq!(inlined(schema), expected);
        let alone = json!({"$ref": "#/$defs/P", "$defs": {"P": {"properties": {}}}});
        assert_eq!(inlined(alone), json!({"properties": {}}));
        let inline = json!({"$schema": "x", "type": "object", "properties": {}});
        assert_eq!(inlined(inline), json!({"type": "object", "properties": {}}));
    }

    #[test]
    fn c32_recursive_types_keep_their_definition() {
        let schema = json!({"$ref": "#/$defs/T", "$defs": {"T": {"properties": {"t": {"$ref": "#/$defs/T"}}}}});
        let inlined = inlined(schema);
        assert!(inlined.pointer("/properties/t").is_some() && inlined.pointer("/$defs/T").is_some());
    }

    #[test]
    fn c32_no_schema_is_an_empty_one() {
        assert_eq!(inlined(json!(true)), json!({}));
        assert_eq!(inlined(json!({"$ref": "#/$defs/Lost"})), json!({}));
    }
}
