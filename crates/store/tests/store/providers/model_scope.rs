//! Section 5: ModelScope.

use std::fs;

use gen_worker_hub::{Digest, ModelRef, binding::Provider};
use gen_worker_store::{ModelRequest, ProviderError, Reach};
use serde_json::{Value, json};

use super::{
    site::Reply,
    world::{World, fetch, provider_error, safetensors},
};

fn request(text: &str) -> ModelRequest {
    ModelRequest::new(ModelRef::parse(Provider::ModelScope, text).unwrap())
}

fn listing(revision: &str) -> String {
    format!("/ms/api/v1/models/o/r/repo/files?Revision={revision}&Recursive=true")
}

fn publish(world: &World, revision: &str, files: &[(&str, Vec<u8>)]) {
    let mut entries = vec![json!({"Path": "sub", "Name": "sub", "Type": "tree", "Size": 0})];
    for (path, content) in files {
        let sha256 = Digest::sha256(content).hex();
        entries.push(json!({"Path": path, "Type": "blob", "Size": content.len(), "Sha256": sha256}));
        let path = path.replace('/', "%2F");
        let target = format!("/ms/api/v1/models/o/r/repo?Revision={revision}&FilePath={path}");
        world.site.on(&target, [Reply::bytes(content)]);
    }
    answer(world, revision, entries.into());
}

fn answer(world: &World, revision: &str, files: Value) {
    world.site.on(&listing(revision), [Reply::json(&json!({"Code": 200, "Success": true, "Data": {"Files": files}}))]);
}

#[tokio::test]
async fn m5_7_a_repository_comes_at_its_revision_and_by_its_patterns() {
    let world = World::new().await;
    publish(&world, "master", &[("model.safetensors", safetensors(100)), ("sub/config.json", b"{}".to_vec())]);
    publish(&world, "v1", &[("model.safetensors", safetensors(200))]);
    let store = world.store().await;
    let newest = fetch(&store, &request("o/r"), Reach::Cached).await.unwrap();
    assert!(newest.dir().starts_with(world.root().join("modelscope/o/r")));
    assert_eq!(fs::read(newest.dir().join("sub/config.json")).unwrap(), b"{}");
    let tagged = fetch(&store, &request("o/r@v1"), Reach::Cached).await.unwrap();
    assert_eq!(fs::read(tagged.dir().join("model.safetensors")).unwrap(), safetensors(200));
    assert_eq!(fs::read(newest.dir().join("model.safetensors")).unwrap(), safetensors(100));
    world.site.asked();
    let some = fetch(&store, &request("o/r").with_files(["sub/"]), Reach::Cached).await.unwrap();
    assert_eq!(some.dir(), newest.dir(), "of one revision there is one directory");
    assert_eq!(world.site.targets(), [listing("master")], "and nothing of it comes twice");
    let other = World::new().await;
    publish(&other, "master", &[("model.safetensors", safetensors(100)), ("sub/config.json", b"{}".to_vec())]);
    let some = fetch(&other.store().await, &request("o/r").with_files(["sub/"]), Reach::Cached).await.unwrap();
    assert!(some.dir().join("sub/config.json").exists() && !some.dir().join("model.safetensors").exists());
    let none = provider_error(fetch(&store, &request("o/r").with_files(["x*"]), Reach::Cached).await);
    assert!(matches!(&*none, ProviderError::Selection { .. }), "{none}");
}

#[tokio::test]
async fn m3_8_offline_only_what_came_before_is_there() {
    let world = World::new().await;
    publish(&world, "master", &[("model.safetensors", safetensors(100))]);
    let store = world.store().await;
    provider_error(fetch(&store, &request("o/r"), Reach::Offline).await);
    let dir = fetch(&store, &request("o/r"), Reach::Cached).await.unwrap().dir().to_owned();
    world.site.asked();
    assert_eq!(fetch(&store, &request("o/r"), Reach::Offline).await.unwrap().dir(), dir);
    assert!(world.site.targets().is_empty());
}

#[tokio::test]
async fn m5_7_what_is_not_there_or_lies_is_an_error_and_leaves_nothing() {
    let world = World::new().await;
    let store = world.store().await;
    let error = provider_error(fetch(&store, &request("o/r"), Reach::Cached).await);
    assert_eq!(error.code(), Some("modelscope_not_found"));
    let error = provider_error(fetch(&store, &request("o/r@v9"), Reach::Cached).await);
    assert!(matches!(&*error, ProviderError::Revision { revision, .. } if revision == "v9"), "{error}");
    for files in [
        json!([{"Path": "../out", "Type": "blob", "Size": 1}]),
        json!([{"Path": "a", "Type": "blob", "Size": 1}, {"Path": "A", "Type": "blob", "Size": 1}]),
        json!([{"Path": "a", "Type": "blob", "Size": 1, "Sha256": "xyz"}]),
        json!([{"Path": "a", "Type": "blob", "Size": -1}]),
        json!([]),
    ] {
        answer(&world, "master", files);
        provider_error(fetch(&store, &request("o/r"), Reach::Cached).await);
    }
    assert!(!world.root().join("modelscope").exists() && !world.dir.path().join("out").exists());
}
