use serde_json::json;

use super::*;

#[test]
fn h9_3_renewals_carry_tokens_and_hide_them() {
    let request: RenewRequest =
        serde_json::from_value(json!({"request_id": "r", "attempt": 2, "capability_token": "hush"})).unwrap();
    assert!(!format!("{request:?}").contains("hush"));
    assert_eq!(serde_json::to_value(&request).unwrap()["capability_token"], "hush");
    let reply = RenewReply::from_reply(br#"{"capability_token":"new","expires_at_unix":17,"more":1}"#).unwrap();
    assert_eq!((reply.capability_token.reveal(), reply.expires_at_unix), ("new", 17));
    let error = RenewReply::from_reply(br#"{"capability_token":"hu sh","expires_at_unix":17}"#).unwrap_err();
    assert!(!error.to_string().contains("hu sh"));
}

#[test]
fn h9_8_addresses_of_media() {
    let reply = json!({"urls": {"a": {"url": "http://h/a?sig=1", "expires_at": "soon"}}, "missing": ["b"]});
    let urls = MediaUrls::from_reply(reply.to_string().as_bytes()).unwrap();
    assert_eq!(serde_json::to_value(&urls).unwrap(), reply);
    assert!(!format!("{urls:?}").contains("sig"));
}
