use super::from_json;

fn message(text: &str) -> String {
    from_json(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn messages_name_the_place() {
    assert_eq!(
        message("{\"a\": [1, {\"b\": tru}]}"),
        "malformed JSON: expected a value - at `$.a[1].b` (line 1, column 17)"
    );
    assert_eq!(
        message("{\n  \"a\": 1\n  \"b\": 2}"),
        "malformed JSON: expected `,` or `}` - at `$.a` (line 3, column 3)"
    );
    assert_eq!(message("{\"a\": [1 2]}"), "malformed JSON: expected `,` or `]` - at `$.a[0]` (line 1, column 10)");
    assert_eq!(
        message("{\"a\": 1, b: 2}"),
        "malformed JSON: expected a key in double quotes - at `$` (line 1, column 10)"
    );
    assert_eq!(message("{\"a\": {\"b\": 1"), "malformed JSON: it ends too early - at `$.a.b` (line 1, column 14)");
    assert_eq!(message("{\"a\" 1}"), "malformed JSON: expected `:` - at `$.a` (line 1, column 6)");
    assert_eq!(message("{} x"), "malformed JSON: something follows the object - at `$` (line 1, column 4)");
    assert_eq!(message("{\"a\": 01}"), "malformed JSON: expected a number - at `$.a` (line 1, column 7)");
    assert_eq!(message("{\"a\": \"\\q\"}"), "malformed JSON: unknown escape in a string - at `$.a` (line 1, column 8)");
    assert_eq!(
        message("{\"a\": \"\\ud800\"}"),
        "malformed JSON: surrogate without its other half - at `$.a` (line 1, column 8)"
    );
    assert_eq!(message("[1]"), "expected a JSON object - at `$` (line 1, column 1)");
}

#[test]
fn messages_stay_short() {
    let key = "k".repeat(10_000);
    let deep = format!("{}!", format!("{{\"{key}\":").repeat(60));
    assert!(message(&deep).len() < 600);
}

#[test]
fn invalid_utf8_is_placed() {
    let error = from_json(b"{\"a\": \"x\xff\"}").unwrap_err();
    assert_eq!(error.to_string(), "malformed JSON: not UTF-8 - at `$` (line 1, column 9)");
}

#[test]
fn escapes_are_resolved() {
    let bytes = from_json(br#"{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 plain"}"#).unwrap();
    assert_eq!(bytes.get(4..), Some("\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600} plain".as_bytes()));
}
