use serde_json::json;

use super::*;

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

#[test]
fn h7_1_what_is_left_out_has_a_meaning() {
    let read = |text: &str| RepoMetadata::from_reply(text.as_bytes()).unwrap();
    assert_eq!(read(r#"{"metadata":{"a":1}}"#), RepoMetadata { metadata: map(json!({"a": 1})), exists: true });
    assert_eq!(read(r#"{"metadata":[1],"exists":false}"#), RepoMetadata::default());
    assert!(RepoMetadata::from_reply(b"[]").is_err());
}

#[test]
fn h7_2_no_attributes_in_the_reply_means_as_sent() {
    let sent = map(json!({"a": 1}));
    for (reply, want) in [("", json!({"a": 1})), ("{}", json!({"a": 1})), (r#"{"metadata":{"b":2}}"#, json!({"b": 2}))]
    {
        assert_eq!(RepoMetadata::from_put_reply(reply.as_bytes(), &sent).unwrap().metadata, map(want));
    }
}
