//! Servers that lie, and files that are damaged (rules 3.2, 6.6, 6.16, 6.25).

use std::fs;

use gen_worker_hub::Digest;
use gen_worker_store::{ProviderError, Reach, Store, Verified};
use serde_json::json;

use super::{COMMIT, Hub, REVISION, git_id};
use crate::{
    pool::files,
    providers::{
        site::Reply,
        world::{provider_error, safetensors},
    },
};

/// Writes other bytes of the same size over the weights of the small model.
fn damage(hub: &Hub) {
    let blob = hub.repo().join("blobs").join(Digest::sha256(&safetensors(3000)).hex());
    let len = fs::metadata(&blob).unwrap().len() as usize;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, vec![0; len]).unwrap();
}

/// A store whose one model is pinned, and damaged since.
async fn damaged() -> (Hub, Store, String) {
    let hub = Hub::new().await;
    hub.publish_small();
    let store = hub.0.store().await;
    drop(hub.fetch(&store, "o/r", Reach::Cached).await.unwrap());
    let reference = store.models().await.unwrap().into_keys().next().unwrap();
    assert!(store.pin(&reference, true).await.unwrap());
    damage(&hub);
    (hub, store, reference)
}

#[tokio::test]
async fn m3_2_a_failure_leaves_no_poison() {
    let hub = Hub::new().await;
    hub.0.site.on(REVISION, [Reply::status(503)]);
    let store = hub.0.store().await;
    let error = provider_error(hub.fetch(&store, "o/r", Reach::Cached).await);
    assert!(matches!(*error, ProviderError::Unavailable { .. }) && error.is_passing(), "{error}");
    assert!(files(&hub.repo()).is_empty());
    hub.publish_small();
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
}

#[tokio::test]
async fn m6_16_a_listing_that_lies_leaves_nothing() {
    let hub = Hub::new().await;
    let store = hub.0.store().await;
    let git = git_id(b"{}");
    let sibling = |path: &str| json!({"rfilename": path, "size": 2, "blobId": git});
    let body = |sha: &str, siblings: serde_json::Value| Reply::json(&json!({"sha": sha, "siblings": siblings}));
    for reply in [
        body(COMMIT, json!([sibling("../../out")])),
        body(COMMIT, json!([sibling("a\\..\\out")])),
        body(COMMIT, json!([sibling("/etc/x")])),
        body(COMMIT, json!([sibling("a"), sibling("A")])),
        body(COMMIT, json!([sibling("a"), sibling("a/b")])),
        body(COMMIT, json!([{"rfilename": "a", "size": 2, "blobId": "../../../x"}])),
        body(COMMIT, json!([{"rfilename": "a", "size": 2, "lfs": {"sha256": "..", "size": 2}}])),
        body(COMMIT, json!([])),
        body("../../../../out", json!([sibling("a")])),
        body("main", json!([sibling("a")])),
        Reply::bytes(b"<html>"),
        Reply::bytes(b"{\"sha\": 5}"),
        Reply::status(204),
        Reply::redirect(REVISION),
        Reply::redirect("file:///etc/passwd"),
        Reply::redirect("ftp://127.0.0.1/x"),
        Reply::status(302),
    ] {
        hub.0.site.on(REVISION, [reply.clone()]);
        let error = provider_error(hub.fetch(&store, "o/r", Reach::Cached).await);
        assert!(!matches!(*error, ProviderError::Unavailable { .. }), "{reply:?} {error}");
    }
    assert!(files(&hub.0.dir.path().join("home")).is_empty());
}

#[tokio::test]
async fn m6_6_files_that_lie_are_never_in_a_final_place() {
    let hub = Hub::new().await;
    let store = hub.0.store().await;
    let target = format!("/o/r/resolve/{COMMIT}/config.json");
    for (replies, passing) in [
        (vec![Reply::bytes(b"[]")], true),
        (vec![Reply::bytes(b"{} and more")], true),
        (vec![Reply::bytes(b"{")], true),
        (vec![Reply::bytes(b"{}").cut(0)], true),
        (vec![Reply::status(403)], false),
        (vec![Reply::redirect("file:///etc/passwd")], true),
        (vec![Reply::redirect(&target)], true),
    ] {
        hub.publish_small();
        hub.0.site.on(&target, replies.clone());
        let error = provider_error(hub.fetch(&store, "o/r", Reach::Cached).await);
        assert_eq!(error.is_passing(), passing, "{replies:?} {error}");
        assert!(error.to_string().contains("config.json of o/r"), "{error}");
        assert!(!hub.repo().join("snapshots").exists() && !hub.repo().join("refs").exists(), "{replies:?}");
        hub.assert_sound();
    }
    hub.publish_small();
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    hub.assert_sound();
}

#[tokio::test]
async fn m6_25_a_damaged_file_leaves_and_comes_again() {
    let hub = Hub::new().await;
    hub.publish_small();
    let store = hub.0.store().await;
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    damage(&hub);
    hub.0.site.asked();
    provider_error(hub.fetch(&hub.0.store().await, "o/r", Reach::Offline).await);
    let held = hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(fs::read(held.dir().join("model.safetensors")).unwrap(), safetensors(3000));
}

#[tokio::test]
async fn m6_25_refs_and_pins_of_a_damaged_file_are_back_with_it() {
    let (hub, store, reference) = damaged().await;
    hub.0.events.take();
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(hub.0.events.take(), [format!("-{reference}"), format!("+{reference}")]);
    assert!(store.models().await.unwrap().values().all(|model| model.pinned));
}

#[tokio::test]
async fn m6_25_a_pin_outlives_a_file_that_could_not_come_again_at_once() {
    let (hub, store, reference) = damaged().await;
    provider_error(hub.fetch(&store, "o/r", Reach::Offline).await);
    assert!(store.models().await.unwrap().is_empty());
    let store = hub.0.store().await;
    hub.0.events.take();
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(hub.0.events.take(), [format!("+{reference}")]);
    assert!(store.models().await.unwrap().values().all(|model| model.pinned));
}

#[tokio::test]
async fn m6_26_a_full_check_finds_every_flipped_bit_and_only_that_file_comes_again() {
    let hub = Hub::new().await;
    hub.publish_small();
    let store = hub.0.store().await;
    let dir = hub.fetch(&store, "o/r", Reach::Cached).await.unwrap().dir().to_owned();
    assert_eq!(store.verify("o/r").await.unwrap(), Verified::Sound);
    for name in ["config.json", "model.safetensors", "sub/tokenizer.json"] {
        let at = fs::canonicalize(dir.join(name)).unwrap();
        let mut content = fs::read(&at).unwrap();
        *content.last_mut().unwrap() ^= 1;
        fs::write(&at, content).unwrap();
        hub.0.site.asked();
        assert_eq!(store.verify("o/r").await.unwrap(), Verified::Damaged(vec![name.parse().unwrap()]));
        assert_eq!(store.verify("o/r").await.unwrap(), Verified::Absent, "{name}");
        hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
        assert_eq!(store.verify("o/r").await.unwrap(), Verified::Sound);
        let came = hub.0.site.targets().into_iter().filter(|target| target.contains("/resolve/")).count();
        assert_eq!(came, 1, "{name}");
    }
    assert!(hub.0.site.asked().is_empty(), "nobody is asked for a check");
}

#[tokio::test]
async fn m6_26_what_another_program_brought_is_checked_by_the_names_of_its_files() {
    let hub = Hub::new().await;
    hub.publish_small();
    let store = hub.0.store().await;
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    fs::remove_dir_all(hub.0.root().join("refs/providers")).unwrap();
    assert_eq!(store.verify("o/r").await.unwrap(), Verified::Sound);
    damage(&hub);
    let found = store.verify("o/r").await.unwrap();
    assert_eq!(found, Verified::Damaged(vec!["model.safetensors".parse().unwrap()]));
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    hub.assert_sound();
}
