//! The older selection of files (section 4b).

use std::fs;

use gen_worker_store::{LegacySelection, Reach, Store};
use gen_worker_tasks::Cancel;
use serde_json::json;

use super::{Hub, Kept, REVISION, request};
use crate::providers::world::fetch;

/// A safetensors file of one tensor of this format.
fn weights_of(dtype: &str) -> Vec<u8> {
    let header = json!({"w": {"dtype": dtype, "shape": [1], "data_offsets": [0, 4]}}).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat()
}

#[tokio::test]
async fn m4_12_the_old_rules_look_into_the_weights_and_take_what_is_needed() {
    let hub = Hub::new().await;
    let index = br#"{"_class_name": "P", "unet": ["diffusers", "U"], "safety_checker": ["x", "Y"]}"#;
    hub.publish(&[
        ("README.md", b"x".to_vec(), Kept::Git),
        ("model_index.json", index.to_vec(), Kept::Git),
        ("safety_checker/model.safetensors", weights_of("F16"), Kept::Lfs),
        ("unet/config.json", b"{}".to_vec(), Kept::Git),
        ("unet/one.safetensors", weights_of("BF16"), Kept::Lfs),
        ("unet/two.safetensors", weights_of("F16"), Kept::Lfs),
        ("unet/three.safetensors", weights_of("F32"), Kept::Lfs),
    ]);
    let store = hub.0.store().await;
    let held = fetch(&store, &request("o/r").with_legacy_rules(), Reach::Cached).await.unwrap();
    let mut names: Vec<_> = Vec::new();
    for dir in [".", "unet"] {
        let entries = fs::read_dir(held.dir().join(dir)).unwrap().map(Result::unwrap);
        let files = entries.filter(|entry| !entry.file_type().unwrap().is_dir());
        names.extend(files.map(|entry| entry.file_name().into_string().unwrap()));
    }
    names.sort();
    assert_eq!(names, ["config.json", "model_index.json", "two.safetensors"]);
    let ranges: Vec<_> = hub.0.elsewhere.asked().into_iter().filter_map(|asked| asked.range).collect();
    assert_eq!(ranges.iter().filter(|range| *range == "bytes=0-7").count(), 3, "{ranges:?}");
}

#[tokio::test]
async fn m4_14_the_whole_repository_has_no_limit_and_a_local_one_needs_no_network() {
    let hub = Hub::new().await;
    hub.publish_small();
    let mut options = hub.0.options();
    let all = LegacySelection { full_repo: true, ..LegacySelection::default() };
    options.providers.hugging_face.legacy = Some(all);
    options.providers.hugging_face.repo_bytes_max = Some(1);
    let store = Store::open(options, &Cancel::new()).await.unwrap();
    let held = hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert!(held.dir().join("sub/tokenizer.json").exists());
    hub.0.site.asked();
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert!(hub.0.site.targets().is_empty());
    // Another choice is another request.
    hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(hub.0.site.targets(), [REVISION]);
}
