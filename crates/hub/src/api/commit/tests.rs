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
