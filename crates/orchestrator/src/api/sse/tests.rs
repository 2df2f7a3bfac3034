use super::{Kind, chunk};

fn data(content_type: &str, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    chunk(content_type, bytes, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn p11_chunks_are_shown_by_their_type() {
    assert_eq!(data("text/plain", "a\n\"é".as_bytes()), r#"{"text":"a\n\"é"}"#);
    assert_eq!(data("application/json; charset=utf-8", b" {\"a\":\r\n1} "), "{\"value\": {\"a\":  1} }");
    assert_eq!(data("application/x+json", b"[]"), r#"{"value":[]}"#);
    assert_eq!(data("audio/opus", &[255]), r#"{"content_type":"audio/opus","base64":"/w=="}"#);
}

#[test]
fn chunks_that_are_not_what_they_say_are_binary() {
    assert_eq!(data("text/plain", &[255]), r#"{"content_type":"text/plain","base64":"/w=="}"#);
    assert_eq!(data("application/json", b"{"), r#"{"content_type":"application/json","base64":"ew=="}"#);
    let deep = "[".repeat(100_000);
    assert!(data("application/json", deep.as_bytes()).starts_with(r#"{"content_type""#));
}

#[test]
fn types_are_read_without_their_parameters() {
    assert_eq!(Kind::of("Text/Plain; charset=utf-8"), Kind::Text);
    assert_eq!(Kind::of("application/x-batch-item+msgpack"), Kind::Binary);
    assert_eq!(Kind::of(""), Kind::Binary);
}
