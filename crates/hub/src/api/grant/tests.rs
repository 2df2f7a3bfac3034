use serde_json::json;

use super::*;

fn grant(value: Value) -> Result<TransferGrant, ReplyError> {
    TransferGrant::from_object(value.as_object().unwrap())
}

#[test]
fn h4_5_grants_are_read_in_both_cases() {
    let snake = grant(json!({
        "endpoint_url": "http://s3:1/prefix", "bucket": "b", "key": "k", "access_key_id": "id", "secret_access_key": "hush",
        "session_token": "hush", "region": "eu",
    }))
    .unwrap();
    let camel = grant(json!({
        "endpointUrl": "http://s3:1/prefix", "bucket": " ", "bucketName": "b", "objectKey": "k", "accessKeyId": "id",
        "secretAccessKey": "hush", "sessionToken": "hush", "region": "eu", "extra": 1,
    }))
    .unwrap();
    assert_eq!(snake, camel);
    assert!(!format!("{snake:?}").contains("hush"));
    let again = serde_json::from_value::<TransferGrant>(serde_json::to_value(&snake).unwrap()).unwrap();
    assert_eq!(again, snake);
}

#[test]
fn h4_5_a_grant_that_cannot_sign_is_refused() {
    let full = json!({
        "endpoint_url": "http://s3", "bucket": "b", "key": "k", "access_key_id": "id", "secret_access_key": "s",
    });
    assert_eq!(grant(full.clone()).unwrap().region, "auto");
    for field in ["endpoint_url", "bucket", "key", "access_key_id", "secret_access_key"] {
        let mut less = full.clone();
        less.as_object_mut().unwrap().remove(field);
        assert_eq!(grant(less), Err(ReplyError::Missing(field)));
    }
    for field in ["access_key_id", "session_token", "region"] {
        let mut bad = full.clone();
        bad[field] = "two\nlines".into();
        assert_eq!(grant(bad), Err(ReplyError::Invalid(field)), "it goes into a header");
    }
    let mut bad = full;
    bad["endpoint_url"] = "file:///etc".into();
    assert_eq!(grant(bad), Err(ReplyError::Invalid("endpoint_url")));
}
