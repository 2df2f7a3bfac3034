use super::write_output;

#[test]
fn outputs_are_json_or_packed() {
    let shown = |raw: &[u8]| {
        let mut out = Vec::new();
        write_output(raw, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(shown(&[0x81, 0xa1, b'a', 1]), r#"{"a":1}"#);
    assert_eq!(shown(&[0xc0]), "null");
    // Half of it is JSON before the trouble shows; nothing of that half may stay.
    assert_eq!(shown(&[0x82, 0xa1, b'a', 1, 0x90, 1]), r#"{"$msgpack":"gqFhAZAB"}"#);
}
