use serde_json::json;

use super::*;

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
fn h6_create_says_only_what_is_known() {
    let hash = "6e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279";
    let bare = serde_json::to_value(commit(vec![add("a", b"{}")])).unwrap();
    let operation = json!({"type": "add", "path": "a", "blake3": hash, "size_bytes": 2});
    assert_eq!(bare, json!({"operations": [operation], "mode": "replace"}));
    let mut full = bare.clone();
    for (name, value) in [
        ("tags", json!([{"tag": "v1", "default_flavor": "bf16"}, {"tag": "v2"}])),
        ("flavor", json!("int4:nf4")),
        ("metadata", json!({"dtype": "bf16"})),
        ("library_name", json!("diffusers")),
        ("merge_base", json!("flavor")),
        ("lineage", json!([{"parent_repo": "o/r", "parent_checkpoint_id": "c", "relationship_kind": "quantized"}])),
        ("auto_create_external_parent", json!(true)),
    ] {
        full[name] = value;
    }
    let read: CommitCreate = serde_json::from_value(full.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), full);
    full["merge_base"] = json!(format!("blake3:{hash}"));
    let read: CommitCreate = serde_json::from_value(full).unwrap();
    assert_eq!(read.merge_base, Some(MergeBase::Checkpoint(Blake3Hash::of(b"{}").into())));
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
    assert_eq!(CommitFinalized::from_reply(b"{}"), Err(ReplyError::Missing("checkpoint_id")));
    assert_eq!(CommitFinalized::from_reply(b"{\"checkpoint_id\":\"r1\"}"), Err(ReplyError::Invalid("checkpoint_id")));
}

#[test]
fn h6_15_deletes_and_copies() {
    let texts = [
        json!({"type": "delete", "path": "a"}),
        json!({"type": "copy", "path": "b", "from_path": "c"}),
        json!({"type": "copy", "path": "b", "from_path": "c", "from_checkpoint": Digest::sha256(b"")}),
    ];
    for text in texts {
        let operation: CommitOperation = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(serde_json::to_value(operation).unwrap(), text);
    }
    for bad in [json!({"type": "move", "path": "a"}), json!({"type": "delete", "path": "../a"}), json!({"path": "a"})] {
        assert!(serde_json::from_value::<CommitOperation>(bad).is_err());
    }
}

#[test]
fn h6_18_paths_of_a_commit_are_unique() {
    let delete = |path: &str| CommitOperation::Delete { path: path.parse().unwrap() };
    assert!(commit(vec![add("a", b""), add("a", b"")]).check_paths().is_err());
    assert!(commit(vec![add("a", b""), delete("a")]).check_paths().is_err());
    assert!(commit(vec![add("a", b""), add("A", b"")]).check_paths().is_err());
    // A file may take the place of a directory that goes.
    assert!(commit(vec![add("a", b""), delete("a/b")]).check_paths().is_ok());
}
