//! Both directions against each other and against serde_json and rmp-serde.

use proptest::{collection, prelude::*, test_runner::Config};
use serde_json::{Value, json};

use super::{
    AsJson, Problem, digest, from_json,
    number::Number,
    write::{self, Container},
};

fn show(bytes: &[u8]) -> String {
    serde_json::to_string(&AsJson(bytes)).unwrap()
}

fn refused(text: &str) -> (Problem, String) {
    let error = from_json(text.as_bytes()).unwrap_err();
    (error.problem, error.path)
}

#[test]
fn p4_integers_stay_integers_and_others_become_floats() {
    let bytes =
        from_json(br#"{"a":0,"b":-1,"c":18446744073709551615,"d":-9223372036854775808,"e":1.0,"f":1e2,"g":-0}"#);
    let expected = [
        &[0x87, 0xa1, b'a', 0x00, 0xa1, b'b', 0xff, 0xa1, b'c', 0xcf][..],
        &[0xff; 8],
        &[0xa1, b'd', 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0, 0xa1, b'e', 0xcb],
        &1.0_f64.to_be_bytes(),
        &[0xa1, b'f', 0xcb],
        &100.0_f64.to_be_bytes(),
        &[0xa1, b'g', 0x00],
    ]
    .concat();
    assert_eq!(bytes.unwrap(), expected);
}

#[test]
fn p4_bytes_objects_become_bin_and_come_back() {
    for text in [r#"{"d":{"$bytes":"AAEC/w=="}}"#, r#"{"d":{"$bytes":""}}"#, r#"{"d":[{"$bytes":"AAEC/w=="},1]}"#] {
        assert_eq!(show(&from_json(text.as_bytes()).unwrap()), text);
    }
    assert_eq!(from_json(br#"{"d":{"$bytes":"AAEC\/w"}}"#).unwrap(), [0x81, 0xa1, b'd', 0xc4, 4, 0, 1, 2, 255]);
    let at_d = "$.d.$bytes".to_owned();
    assert_eq!(refused(r#"{"d":{"$bytes":5}}"#), (Problem::BytesText, at_d.clone()));
    assert_eq!(refused(r#"{"d":{"$bytes":"%"}}"#), (Problem::Base64, at_d.clone()));
    assert_eq!(refused(r#"{"d":{"$bytes":"AAEC","x":1}}"#), (Problem::BytesAlone, at_d.clone()));
    assert_eq!(refused(r#"{"d":{"x":1,"$bytes":"AAEC"}}"#), (Problem::BytesAlone, at_d));
    assert_eq!(refused(r#"{"$bytes":"AAEC"}"#).0, Problem::NotAnObject);
}

#[test]
fn p4_numbers_beyond_64_bits_are_refused() {
    for number in ["18446744073709551616", "-9223372036854775809", "1e400", "-1e400", "123456789012345678901234567890"]
    {
        assert_eq!(refused(&format!(r#"{{"a":[1,{number}]}}"#)), (Problem::NumberRange, "$.a[1]".to_owned()));
    }
}

#[test]
fn p4_duplicate_keys_are_refused_with_their_place() {
    let error = from_json(b"{\"a\":{\"x\":1,\n \"y\":2, \"x\":3}}").unwrap_err();
    assert_eq!(error.to_string(), "duplicate key `x` - at `$.a` (line 2, column 9)");
    let many: Vec<_> = (0..40).map(|n| format!("\"k{n}\":{n}")).collect();
    assert!(from_json(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
    assert_eq!(refused(&format!("{{{},\"k7\":0}}", many.join(","))).0, Problem::DuplicateKey("k7".to_owned()));
    // The same key by another spelling.
    assert_eq!(refused("{\"ab\":1,\"a\\u0062\":2}").0, Problem::DuplicateKey("ab".to_owned()));
}

#[test]
fn p4_depth_over_64_is_refused() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let deepest = from_json(nested(64).as_bytes()).unwrap();
    assert_eq!(show(&deepest), nested(64));
    assert!(digest(&deepest, &[]).is_ok());
    assert_eq!(refused(&nested(65)).0, Problem::TooDeep);
    assert_eq!(refused(&nested(1_000_000)).0, Problem::TooDeep);
    let deeper = [&[0x81, 0xa1, b'a'][..], &[0x91; 64], &[0x90]].concat();
    assert!(serde_json::to_string(&AsJson(&deeper)).is_err());
    assert!(digest(&deeper, &[]).is_err());
}

#[test]
fn p4_the_top_is_an_object() {
    for text in ["[]", "1", "\"a\"", "null"] {
        assert_eq!(refused(text), (Problem::NotAnObject, "$".to_owned()));
    }
    assert_eq!(refused("").0, Problem::Empty);
    assert_eq!(refused(" \n\t ").0, Problem::Empty);
    assert_eq!(from_json(b" { } ").unwrap(), [0x80]);
}

fn json_tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-40_i64..300).prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |value| value.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z]{0,40}".prop_map(Value::from),
    ];
    let nested = leaf.prop_recursive(6, 80, 20, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            collection::hash_map("[a-z\"\\\\é]{0,6}", inner, 0..20).prop_map(|map| map.into_iter().collect()),
        ]
    });
    collection::hash_map(any::<String>(), nested, 0..20).prop_map(|map| map.into_iter().collect())
}

#[derive(Clone, Debug)]
enum Tree {
    Nil,
    Bool(bool),
    Number(Number),
    Text(String),
    Bin(Vec<u8>),
    Array(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => out.push(0xc0),
            Self::Bool(value) => out.push(0xc2 + u8::from(*value)),
            Self::Number(value) => write::number(out, *value),
            Self::Text(value) => write::text(out, value.as_bytes()),
            Self::Bin(value) => write::bin(out, value),
            Self::Array(items) => {
                let marker = write::open(out);
                items.iter().for_each(|item| item.encode(out));
                write::close(out, marker, items.len(), Container::Array);
            }
            Self::Map(entries) => {
                let marker = write::open(out);
                for (key, value) in entries {
                    write::text(out, key.as_bytes());
                    value.encode(out);
                }
                write::close(out, marker, entries.len(), Container::Map);
            }
        }
    }
}

fn pack_tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Nil),
        any::<bool>().prop_map(Tree::Bool),
        any::<u64>().prop_map(|value| Tree::Number(Number::Unsigned(value))),
        (i64::MIN..0).prop_map(|value| Tree::Number(Number::Negative(value))),
        any::<f64>()
            .prop_filter("JSON has no others", |value| value.is_finite())
            .prop_map(|value| Tree::Number(Number::Float(value))),
        any::<String>().prop_map(Tree::Text),
        collection::vec(any::<u8>(), 0..300).prop_map(Tree::Bin),
    ];
    let nested = leaf.prop_recursive(5, 60, 18, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..18).prop_map(Tree::Array),
            collection::hash_map("[a-z]{0,6}", inner, 0..18).prop_map(|map| Tree::Map(map.into_iter().collect())),
        ]
    });
    collection::hash_map("[a-zé]{0,9}", nested, 0..18).prop_map(|map| Tree::Map(map.into_iter().collect()))
}

/// What the grammar of JSON says, as opposed to our further rules.
fn is_syntax(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::Empty
            | Problem::Utf8
            | Problem::Expected(_)
            | Problem::End
            | Problem::Trailing
            | Problem::Control
            | Problem::Escape
            | Problem::Surrogate
    )
}

proptest! {
    #![proptest_config(Config::with_cases(48))]

    #[test]
    fn p4_json_goes_through_and_comes_back(tree in json_tree(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
        let bytes = from_json(text.as_bytes()).unwrap();
        prop_assert_eq!(&bytes, &rmp_serde::to_vec(&tree).unwrap());
        prop_assert_eq!(from_json(show(&bytes).as_bytes()).unwrap(), bytes);
    }

    #[test]
    fn p4_messagepack_goes_through_and_comes_back(tree in pack_tree()) {
        let mut bytes = Vec::new();
        tree.encode(&mut bytes);
        prop_assert_eq!(from_json(show(&bytes).as_bytes()).unwrap(), bytes);
    }

    #[test]
    fn p4_damaged_json_is_judged_as_serde_json_judges_it(
        tree in json_tree(),
        edits in collection::vec((any::<prop::sample::Index>(), "[\\x00-\\x7f]"), 1..4),
    ) {
        let mut text = serde_json::to_vec(&tree).unwrap();
        for (at, byte) in edits {
            let at = at.index(text.len());
            text[at] = byte.as_bytes()[0];
        }
        match from_json(&text) {
            Ok(bytes) => {
                prop_assert!(serde_json::from_slice::<Value>(&text).is_ok());
                prop_assert_eq!(from_json(show(&bytes).as_bytes()).unwrap(), bytes);
            }
            Err(error) if is_syntax(&error.problem) => prop_assert!(serde_json::from_slice::<Value>(&text).is_err()),
            Err(_) => {}
        }
    }

    #[test]
    fn p4_any_bytes_are_survived(bytes in collection::vec(any::<u8>(), 0..400)) {
        let _ = from_json(&bytes);
        let _ = serde_json::to_vec(&AsJson(&bytes));
        let _ = digest(&bytes, &[]);
        let _ = super::check_map(&bytes);
    }

    #[test]
    fn p4_damaged_messagepack_is_survived(
        tree in pack_tree(),
        edits in collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = Vec::new();
        tree.encode(&mut bytes);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Whatever is shown is JSON.
        if let Ok(text) = serde_json::to_vec(&AsJson(&bytes)) {
            prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok());
        }
        let _ = digest(&bytes, &[]);
    }

    #[test]
    fn p2_the_digest_ignores_the_order_of_keys(tree in pack_tree(), seed in any::<u64>()) {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        tree.encode(&mut one);
        shuffled(&tree, seed).encode(&mut other);
        prop_assert_eq!(digest(&one, &[b"f"]).unwrap(), digest(&other, &[b"f"]).unwrap());
    }
}

/// The same tree with the entries of its maps rotated.
fn shuffled(tree: &Tree, seed: u64) -> Tree {
    match tree {
        Tree::Array(items) => Tree::Array(items.iter().map(|item| shuffled(item, seed / 3)).collect()),
        Tree::Map(entries) => {
            let mut entries: Vec<_> =
                entries.iter().map(|(key, value)| (key.clone(), shuffled(value, seed / 3))).collect();
            let by = if entries.is_empty() { 0 } else { seed as usize % entries.len() };
            entries.rotate_left(by);
            Tree::Map(entries)
        }
        leaf => leaf.clone(),
    }
}

#[test]
fn the_output_of_a_worker_is_shown_whatever_it_holds() {
    let with = |value: &[u8]| show(&[&[0x81, 0xa1, b'v'][..], value].concat());
    assert_eq!(with(&[&[0xcb][..], &f64::NAN.to_be_bytes()].concat()), r#"{"v":null}"#);
    assert_eq!(with(&[&[0xca][..], &f32::INFINITY.to_be_bytes()].concat()), r#"{"v":null}"#);
    assert_eq!(with(&[&[0xca][..], &0.1_f32.to_be_bytes()].concat()), r#"{"v":0.1}"#);
    assert_eq!(with(&[0xd6, 0xff, 0, 0, 0, 1]), r#"{"v":"1970-01-01T00:00:01Z"}"#);
    assert_eq!(with(&[0xd4, 5, 9]), r#"{"v":{"$ext":{"type":5,"data":"CQ=="}}}"#);
    assert_eq!(with(&[0x82, 0x07, 0x01, 0xc3, 0x02]), r#"{"v":{"7":1,"true":2}}"#);
    assert!(serde_json::to_string(&AsJson(&[0x81, 0x90, 0x01])).is_err());
    assert_eq!(serde_json::to_value(AsJson(&[0x80])).unwrap(), json!({}));
}
