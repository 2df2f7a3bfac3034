use super::*;

#[test]
fn h1_9_the_code_is_found_and_everything_else_tolerated() {
    let body = serde_json::to_vec(&ErrorBody::new("ref_exists", "it is there")).unwrap();
    assert_eq!(ErrorBody::code_of(&body).as_deref(), Some("ref_exists"));
    for other in [
        &b""[..],
        b"Bad Gateway",
        b"{}",
        br#"{"error":"text"}"#,
        br#"{"error":{"code":7}}"#,
        br#"{"error":{"code":"Not A Word"}}"#,
        b"[1]",
        b"\xff\xfe",
    ] {
        assert_eq!(ErrorBody::code_of(other), None, "{other:?}");
    }
}

#[test]
fn h1_9_more_fields_stand_beside_the_code() {
    let text = r#"{"error":{"code":"upload_incomplete","message":"m","missing":["a"]}}"#;
    let body: ErrorBody = serde_json::from_str(text).unwrap();
    assert_eq!(body.error.more.get("missing"), Some(&serde_json::json!(["a"])));
    assert_eq!(serde_json::to_string(&body).unwrap(), text);
}
