use serde_json::json;

use super::*;

#[test]
fn fields_with_defaults_are_left_out() {
    let schema = json!({"type": "object", "properties": {"text": {"type": "string", "default": "marco"}}});
    assert_eq!(example(&schema), Ok(json!({})));
    assert_eq!(example(&json!({})), Ok(json!({})));
}

#[test]
fn required_fields_take_what_the_schema_says() {
    let schema = json!({
        "properties": {
            "a": {"examples": [1, 2]}, "b": {"enum": ["x", "y"]}, "c": {"const": true},
            "d": {"$ref": "#/$defs/D"}, "e": {"type": "integer"}
        },
        "required": ["a", "b", "c", "d"],
        "$defs": {"D": {"properties": {"inner": {"default": null}}, "required": ["inner"]}}
    });
    assert_eq!(example(&schema), Ok(json!({"a": 1, "b": "x", "c": true, "d": {"inner": null}})));
    assert_eq!(example(&json!({"examples": [{"any": 1}], "required": ["z"]})), Ok(json!({"any": 1})));
}

#[test]
fn a_required_field_without_a_value_is_named() {
    let schema = json!({
        "properties": {"outer": {"properties": {"inner": {"type": "string"}}, "required": ["inner"]}},
        "required": ["outer"]
    });
    let missing = example(&schema).unwrap_err();
    assert_eq!((missing.to_string().as_str(), missing.first()), ("outer.inner", "outer"));
}

#[test]
fn a_schema_that_needs_itself_has_no_example() {
    let schema = json!({"properties": {"again": {"$ref": "#"}}, "required": ["again"]});
    assert_eq!(example(&schema).unwrap_err().first(), "again");
}
