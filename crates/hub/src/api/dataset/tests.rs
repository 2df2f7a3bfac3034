use serde_json::json;

use super::*;
use crate::digest::Blake3Hash;

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn tree() -> Snapshot {
    let file = SnapshotFile { path: "a/b".parse().unwrap(), size_bytes: 2, blake3: Blake3Hash::of(b"{}") };
    Snapshot::new(vec![file]).unwrap()
}

#[test]
fn h8_1_names_match_in_any_case() {
    let list: DatasetList =
        serde_json::from_value(json!({"items": [{"id": "d1", "name": "Other"}, {"id": "d2", "name": "Faces"}]}))
            .unwrap();
    assert_eq!(list.named(" fACES ").unwrap().id.as_str(), "d2");
    assert_eq!(list.named("face"), None);
}

#[test]
fn h8_6_a_tag_is_no_part_of_the_name() {
    let list: DatasetList = serde_json::from_value(json!({"items": [{"id": "d1", "name": "faces"}]})).unwrap();
    assert!(list.named("faces:v1").is_some() && list.named("faces@7").is_some());
}

#[test]
fn h8_3_features_are_wrapped_once() {
    let bare = DatasetSchema::of_features(map(json!({"image": "bytes"})));
    assert_eq!(serde_json::to_value(&bare).unwrap(), json!({"features": {"image": "bytes"}}));
    let wrapped = DatasetSchema::of_features(bare.as_object().clone());
    assert_eq!(wrapped, bare);
    let full = bare.with_kind("image").with_info(json!({"rows": 3})).with_files(&tree());
    let names: Vec<_> = full.as_object().keys().map(String::as_str).collect();
    assert_eq!(names.len(), 4);
    assert_eq!(full.as_object()[MANIFEST][0]["path"], "a/b");
}

#[test]
fn h8_4_files_are_found_in_schema_or_features() {
    let schema = DatasetSchema::of_features(Map::new()).with_files(&tree());
    for name in ["schema", "features"] {
        let mut row = json!({"id": "d1", "name": "n"});
        row[name] = serde_json::to_value(&schema).unwrap();
        let dataset: Dataset = serde_json::from_value(row).unwrap();
        assert_eq!(dataset.files().unwrap(), tree(), "{name}");
    }
}

#[test]
fn h8_5_unsafe_and_missing_files_are_refused() {
    let files = |manifest: Value| {
        let row = json!({"id": "d1", "schema": {MANIFEST: manifest}});
        serde_json::from_value::<Dataset>(row).unwrap().files()
    };
    let digest = Digest::from(Blake3Hash::of(b"{}"));
    let file = |path: &str| json!({"path": path, "digest": digest, "size_bytes": 2});
    assert!(files(json!([file("a")])).is_ok());
    assert_eq!(files(json!([file("../a")])), Err(ReplyError::Invalid(MANIFEST)));
    assert_eq!(files(json!([file("a"), file("A")])), Err(ReplyError::Invalid(MANIFEST)));
    assert_eq!(files(json!([])), Err(ReplyError::Missing(MANIFEST)));
    assert_eq!(files(Value::Null), Err(ReplyError::Missing(MANIFEST)));
}
