use std::fs;

use serde_json::json;

use super::*;

fn fields() -> Fields {
    Fields::from_schema(&json!({
        "type": "object",
        "properties": {
            "prompt": {"type": "string", "minLength": 1},
            "steps": {"type": "integer", "minimum": 1},
            "scale": {"type": "number"},
            "fast": {"type": "boolean"},
            "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "size": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "extra": {"type": "object", "additionalProperties": {"type": "string"}},
            "mode": {"$ref": "#/$defs/Mode"},
            "level": {"enum": [1, 2, "three"]},
            "data": {"type": "string", "contentEncoding": "base64"},
            "nested": {"$ref": "#/$defs/Nested"},
            "again": {"$ref": "#/$defs/Again"},
        },
        "required": ["steps", "prompt"],
        "$defs": {
            "Mode": {"oneOf": [{"const": "42"}, {"const": "slow"}]},
            "Nested": {"type": "object", "properties": {"a": {"type": "string"}}},
            "Again": {"$ref": "#/$defs/Again"},
        },
    }))
    .expect("a struct")
}

fn apply(words: &[&str]) -> Result<Value, String> {
    let fields = fields();
    apply_to(Some(&fields), json!({}), words)
}

fn apply_to(fields: Option<&Fields>, base: Value, words: &[&str]) -> Result<Value, String> {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    Tokens { fields }.apply(base, &words).map_err(|error| error.to_string())
}

#[test]
fn c40_primary_field() {
    let primary = |schema: Value| {
        Fields::from_schema(&schema).and_then(|fields| fields.primary().map(|(name, _)| name.to_owned()))
    };
    let properties = json!({"n": {"type": "integer"}, "s": {"type": "string", "maxLength": 3}});
    assert_eq!(primary(json!({"properties": properties, "required": ["n", "s"]})).as_deref(), Some("s"));
    assert_eq!(primary(json!({"properties": properties, "required": ["n"]})).as_deref(), Some("n"));
    assert_eq!(primary(json!({"properties": properties})).as_deref(), Some("n"));
    assert_eq!(primary(json!({"properties": {}})), None);
    assert_eq!(primary(json!({})), None);
    assert_eq!(apply(&["a cat"]).unwrap(), json!({"prompt": "a cat"}));
    assert!(apply(&["one", "two"]).unwrap_err().contains("second bare value"));
    assert!(apply_to(None, json!({}), &["one"]).unwrap_err().contains("no primary field"));
}

#[test]
fn c41_coercion_by_type() {
    let ok = |word: &str, expected: Value| assert_eq!(apply(&[word]).unwrap(), expected, "{word}");
    let bad = |word: &str, text: &str| {
        let error = apply(&[word]).unwrap_err();
        assert!(error.contains(text), "{word}: {error}");
    };
    ok("prompt=42", json!({"prompt": "42"}));
    ok("prompt=", json!({"prompt": ""}));
    for yes in ["true", "1", " YES ", "y", "On"] {
        ok(&format!("fast={yes}"), json!({"fast": true}));
    }
    for no in ["false", "0", "no", "N", "off"] {
        ok(&format!("fast={no}"), json!({"fast": false}));
    }
    bad("fast=maybe", "expected a boolean");
    ok("steps= 1_000 ", json!({"steps": 1000}));
    ok("steps=+7", json!({"steps": 7}));
    ok("steps=-7", json!({"steps": -7}));
    ok("steps=18446744073709551615", json!({"steps": u64::MAX}));
    for wrong in ["1.0", "", "1__0", "_1", "1_", "0x10", "--1", "18446744073709551616"] {
        bad(&format!("steps={wrong}"), "expected an integer");
    }
    ok("scale=1e3", json!({"scale": 1000.0}));
    ok("scale=-.5", json!({"scale": -0.5}));
    for wrong in ["nan", "inf", "-Infinity", "1e999", "", "e"] {
        bad(&format!("scale={wrong}"), "expected a finite number");
    }
    ok("seed=", json!({"seed": null}));
    ok("seed=5", json!({"seed": 5}));
    bad("seed=null", "none of the field's types fits");
    ok("seed:=null", json!({"seed": null}));
    ok("size=5", json!({"size": 5}));
    ok("size=big", json!({"size": "big"}));
    bad("tags=a", "use `FIELD:=JSON`");
    bad("extra=a", "use `FIELD:=JSON`");
    ok("nested=5", json!({"nested": 5}));
    ok("again=x", json!({"again": "x"}));
}

#[test]
fn c42_guessing() {
    let cases = [
        (" TRUE ", json!(true)),
        ("false", json!(false)),
        ("None", json!(null)),
        ("null", json!(null)),
        ("12", json!(12)),
        ("1_2", json!(12)),
        ("1.5", json!(1.5)),
        ("1e2", json!(100.0)),
        ("nan", json!("nan")),
        ("infinity", json!("infinity")),
        (" text ", json!(" text ")),
        ("", json!("")),
    ];
    for (text, expected) in cases {
        assert_eq!(guess(text), expected, "{text:?}");
    }
}

#[test]
fn c43_nesting_and_order() {
    assert_eq!(apply_to(None, json!({}), &["a.b=1", "a.c=x"]).unwrap(), json!({"a": {"b": 1, "c": "x"}}));
    assert_eq!(apply_to(None, json!({"a": 5}), &["a.b=1"]).unwrap(), json!({"a": {"b": 1}}));
    assert_eq!(apply_to(None, json!([1, 2]), &["a=1"]).unwrap(), json!({"a": 1}));
    assert_eq!(apply_to(None, json!([1, 2]), &[]).unwrap(), json!([1, 2]));
    assert_eq!(apply(&["prompt=a", "prompt=b"]).unwrap(), json!({"prompt": "b"}));
    let deep = format!("{}=1", vec!["a"; 65].join("."));
    assert!(apply_to(None, json!({}), &[&deep]).unwrap_err().contains("deeper than 64"));
}

#[test]
fn c44_edge_cases() {
    assert_eq!(Token::parse("a@b=c"), Token::File { key: "a", path: "b=c" });
    assert_eq!(Token::parse("user@host"), Token::File { key: "user", path: "host" });
    assert_eq!(Token::parse("x=y z"), Token::Set { key: "x", value: "y z" });
    assert_eq!(Token::parse("x=two\nlines"), Token::Set { key: "x", value: "two\nlines" });
    assert_eq!(Token::parse("{\"a\":1}"), Token::Bare("{\"a\":1}"));
    assert_eq!(Token::parse(":=1"), Token::Bare(":=1"));
    assert_eq!(Token::parse("k==v"), Token::Set { key: "k", value: "=v" });
    assert_eq!(Token::parse("k:v"), Token::Bare("k:v"));
    assert_eq!(Token::parse("größe=1"), Token::Set { key: "größe", value: "1" });
    assert_eq!(Token::parse("öl=1"), Token::Bare("öl=1"));
    assert_eq!(Token::parse("1a=1"), Token::Bare("1a=1"));
    assert_eq!(Token::parse(""), Token::Bare(""));
    assert_eq!(Token::parse("-5"), Token::Bare("-5"));
    assert_eq!(apply(&["a.=1"]).unwrap(), json!({"a": {"": 1}}));
    assert_eq!(apply(&["n:= 5"]).unwrap(), json!({"n": 5}));
    assert!(apply(&["n:=nope"]).unwrap_err().contains("not valid JSON"));
    let error = apply(&["nope=1"]).unwrap_err();
    assert!(error.contains("unknown field `nope`") && error.contains("prompt"), "{error}");
}

#[test]
fn c45_enums_match_as_text_first() {
    assert_eq!(apply(&["mode=42"]).unwrap(), json!({"mode": "42"}));
    assert_eq!(apply(&["level=2"]).unwrap(), json!({"level": 2}));
    assert_eq!(apply(&["level=three"]).unwrap(), json!({"level": "three"}));
    assert_eq!(apply(&["level=7"]).unwrap(), json!({"level": 7}));
}

#[test]
fn c45_file_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let text = write("text", b"a cat\n");
    let number = write("number", b" 12 ");
    let binary = write("binary", &[0xff, 0x00]);
    assert_eq!(apply(&[&format!("prompt@{text}")]).unwrap(), json!({"prompt": "a cat\n"}));
    assert_eq!(apply(&[&format!("steps@{number}")]).unwrap(), json!({"steps": 12}));
    assert_eq!(apply(&[&format!("data@{binary}")]).unwrap(), json!({"data": "/wA="}));
    assert_eq!(apply(&[&format!("unknown@{number}")]).unwrap(), json!({"unknown": 12}));
    assert_eq!(apply(&[&format!("a.b@{number}")]).unwrap(), json!({"a": {"b": 12}}));
    assert!(apply(&[&format!("prompt@{binary}")]).unwrap_err().contains("not UTF-8"));
    assert!(apply(&["user@host"]).unwrap_err().contains("user@host"));
    assert!(apply(&[&format!("steps@{text}")]).unwrap_err().contains("expected an integer"));
}
