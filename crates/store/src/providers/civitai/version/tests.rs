use gen_worker_hub::Digest;
use serde_json::{Value, json};

use super::*;

fn files(files: Value) -> Result<Vec<VersionFile>, &'static str> {
    serde_json::from_value::<Version>(json!({"id": 1, "modelId": 2, "files": files})).unwrap().files()
}

#[test]
fn m5_3_only_safetensors_with_an_address_by_primary_number_and_name() {
    let found = files(json!([
        {"id": 9, "name": "late.safetensors", "downloadUrl": "https://x/9"},
        {"id": 3, "name": "b.safetensors", "downloadUrl": "https://x/3b"},
        {"id": 3, "name": "a.safetensors", "downloadUrl": "https://x/3a"},
        {"id": 7, "name": "dir/../main.SafeTensors", "downloadUrl": "https://x/7", "primary": true},
        {"id": 1, "name": "B.safetensors", "downloadUrl": "https://x/1"},
        {"id": 4, "name": "model.ckpt", "downloadUrl": "https://x/4"},
        {"id": 5, "name": "nowhere.safetensors"},
        {"id": 6, "name": "..", "downloadUrl": "https://x/6"},
    ]))
    .unwrap();
    let names: Vec<_> = found.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(names, ["main.SafeTensors", "B.safetensors", "a.safetensors", "late.safetensors"]);
}

#[test]
fn m5_4_sizes_are_rounded_and_hashes_are_hashes() {
    let one = |entry: Value| {
        let mut file = json!({"name": "a.safetensors", "downloadUrl": "https://x"});
        file.as_object_mut().unwrap().extend(entry.as_object().unwrap().clone());
        files(json!([file])).map(|mut files| files.remove(0))
    };
    assert_eq!(one(json!({"sizeBytes": 5000, "sizeKB": 1})).unwrap().size, Size::About(5000));
    assert_eq!(one(json!({"sizeKB": 2.5})).unwrap().size, Size::About(2560));
    for strange in [json!({}), json!({"sizeKB": -1}), json!({"sizeKB": 1e300})] {
        assert_eq!(one(strange).unwrap().size, Size::Unknown);
    }
    let hex = Digest::sha256(b"x").hex();
    let said = one(json!({"hashes": {"AutoV2": "12", "SHA256": hex.to_uppercase()}})).unwrap();
    assert_eq!(said.expected, Expected::Digest(Digest::sha256(b"x")));
    assert_eq!(one(json!({"hashes": {"AutoV2": "12"}})).unwrap().expected, Expected::Unsaid);
    assert_eq!(one(json!({"hashes": {"SHA256": "zz"}})), Err("a file whose hash is none"));
}

#[test]
fn m5_1_the_first_listed_version_is_the_newest() {
    let model = |versions: Value| serde_json::from_value::<Model>(json!({"modelVersions": versions})).unwrap().newest();
    assert_eq!(model(json!([{"id": 30}, {"id": 40}])).as_deref(), Some("30"));
    assert_eq!(model(json!([])), None);
}
