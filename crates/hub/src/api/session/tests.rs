use serde_json::json;

use super::*;
use crate::digest::{Blake3Hash, Digest};

#[test]
fn h5_5_the_older_finalize_becomes_commits() {
    let (a, b) = (Blake3Hash::of(b"a"), Blake3Hash::of(b"b"));
    let body = json!({
        "tags": [{"tag": "v1", "default_flavor": "fp8"}],
        "checkpoint_flavors": [{
            "snapshot_manifest": [
                {"path": "a", "digest": format!("blake3:{a}"), "size_bytes": 1},
                {"path": "b", "digest": b.to_string(), "size_bytes": 1},
            ],
            "flavor": "fp8", "flavors": ["int8"], "lineage": [], "deletions": ["b"], "dtype": null,
            "metadata": {"steps": "3"}, "display_label": "Three", "unknown": 1,
        }, {"snapshot_manifest": [], "flavor": null, "flavors": [], "lineage": [
            {"parent_repo": "acme/base", "parent_checkpoint_id": "x", "relationship_kind": "finetune"}]}],
        "auto_create_external_parent": true,
    });
    let finalize: SessionFinalize = serde_json::from_value(body).unwrap();
    let [first, second] = &finalize.into_commits().unwrap()[..] else { panic!("two commits") };
    let add = CommitOperation::Add { path: "a".parse().unwrap(), blake3: a, size_bytes: 1 };
    assert_eq!((first.operations.as_slice(), first.mode), (&[add][..], CommitMode::Replace));
    assert_eq!((first.flavor.as_str(), first.flavors.as_slice()), ("fp8", &["int8".to_owned()][..]));
    assert_eq!((first.message.as_str(), first.tags[0].tag.as_str()), ("Three", "v1"));
    assert_eq!(first.auto_create_external_parent, None);
    assert_eq!(second.auto_create_external_parent, Some(true), "it goes with lineage");
    let other = json!({"checkpoint_flavors": [{"snapshot_manifest": [
        {"path": "x", "digest": Digest::sha256(b"x"), "size_bytes": 1}]}]});
    let other: SessionFinalize = serde_json::from_value(other).unwrap();
    assert_eq!(other.into_commits().unwrap_err().as_str(), "x");
}
