use serde_json::json;

use super::*;
use crate::api::CommitMode;

fn add(path: &str, content: &[u8]) -> CommitOperation {
    CommitOperation::Add {
        path: path.parse().unwrap(),
        blake3: Blake3Hash::of(content),
        size_bytes: content.len() as u64,
    }
}

fn commit(operations: Vec<CommitOperation>) -> CommitCreate {
    CommitCreate::new(CommitMode::Replace, operations)
}

fn created(reply: &Value) -> Result<CommitCreated, ReplyError> {
    CommitCreated::from_reply(reply.to_string().as_bytes(), &commit(vec![add("a", b"{}"), add("b", b"{}")]))
}

#[test]
fn h6_2_known_files_are_not_wanted_and_unknown_ones_refused() {
    let reply = json!({"revision_id": "r1", "uploads": [
        {"path": "a", "exists": true},
        {"path": "b", "exists": false, "upload_id": "u1", "part_urls": ["http://h/1"], "complete_url": "http://elsewhere"},
    ]});
    let found = created(&reply).unwrap();
    assert_eq!((found.revision_id.as_str(), found.uploads.len()), ("r1", 1));
    assert_eq!((found.uploads[0].path.as_str(), found.uploads[0].size_bytes), ("b", 2));
    assert_eq!(created(&json!({"revision_id": "r", "uploads": [{"path": "x"}]})), Err(ReplyError::UnknownPath));
    assert_eq!(created(&json!({})), Err(ReplyError::Missing("revision_id")));
    let other = json!({"revision_id": "r", "uploads": [{"path": "a", "blake3": Blake3Hash::of(b"other")}]});
    assert_eq!(created(&other), Err(ReplyError::Invalid("blake3")));
}

#[test]
fn h6_3_only_transfer_grant_counts() {
    let grant =
        json!({"endpoint_url": "http://s3", "bucket": "b", "key": "k", "access_key_id": "i", "secret_access_key": "s"});
    let with = |name: &str| {
        let mut entry = json!({"path": "a", "upload_id": "u"});
        entry[name] = grant.clone();
        created(&json!({"revision_id": "r", "uploads": [entry]}))
    };
    assert!(matches!(with("transfer_grant").unwrap().uploads[0].source, UploadSource::Grant(_)));
    assert_eq!(with("s3_transfer_grant"), Err(ReplyError::Missing("part_urls")));
}

#[test]
fn h6_8_the_checkpoint_is_a_digest() {
    let hash = Blake3Hash::of(b"{}");
    let reply = json!({"checkpoint_id": format!("blake3:{hash}"), "normalized_flavor": "int4-nf4"});
    let done = CommitFinalized::from_reply(reply.to_string().as_bytes()).unwrap();
    assert_eq!((done.checkpoint_id, done.normalized_flavor.as_deref()), (hash.into(), Some("int4-nf4")));
    assert!(!done.unsafe_weights);
    let reply = json!({"checkpoint_id": format!("blake3:{hash}"), "unsafe_weights": true});
    assert!(CommitFinalized::from_reply(reply.to_string().as_bytes()).unwrap().unsafe_weights);
    let nested = json!({"checkpoint": {"checkpoint_id": reply["checkpoint_id"]}});
    assert_eq!(CommitFinalized::from_reply(nested.to_string().as_bytes()).unwrap().checkpoint_id, done.checkpoint_id);
    assert_eq!(CommitFinalized::from_reply(b"{}"), Err(ReplyError::Missing("checkpoint_id")));
    assert_eq!(CommitFinalized::from_reply(b"{\"checkpoint_id\":\"r1\"}"), Err(ReplyError::Invalid("checkpoint_id")));
}
