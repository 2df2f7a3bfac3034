//! Processes that are killed while they download models of providers and while these leave, again and again.

use std::{fs, path::Path};

use gen_worker_hub::{Digest, ModelRef, binding::Provider};
use gen_worker_store::{FormatGate, ModelRequest, Reach, Store};
use gen_worker_tasks::Cancel;
use serde_json::json;

use super::{
    site::Reply,
    world::{World, options, safetensors},
};
use crate::child::{Child, Said, ended};

/// Kills of each provider, each after the child has said another number of things.
const KILLS: usize = 16;

/// What a child finds in its directory: whom it asks, and for what.
const SITE: &str = "site";
const WANTED: &str = "wanted";

const CHILD: &str = "providers::kills::a_child_fetches_a_model_of_a_provider_and_lets_it_go";

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The files of either model: several pieces of a transfer each.
fn content() -> [(&'static str, Vec<u8>); 2] {
    [("a.safetensors", safetensors(900_000)), ("b.safetensors", safetensors(400_000))]
}

fn wanted(text: &str) -> ModelRequest {
    let (provider, text) = text.split_once(' ').unwrap();
    ModelRequest::new(ModelRef::parse(provider.parse().unwrap(), text).unwrap())
}

/// Not a test by itself: the others run it in processes of their own.
#[tokio::test]
async fn a_child_fetches_a_model_of_a_provider_and_lets_it_go() {
    let Ok(site) = fs::read_to_string(SITE) else { return };
    let request = wanted(&fs::read_to_string(WANTED).unwrap());
    let dir = std::env::current_dir().unwrap();
    let store = Store::open(options(&dir, &site), &Cancel::new()).await.unwrap();
    loop {
        let fetched = store.fetch_provided("it", &request, Reach::Fresh, FormatGate::SafeOnly, &Said).await;
        ended(&fetched.as_ref().map(drop).map_err(Clone::clone));
        drop(fetched);
        // All of it leaves, as far as nobody else is at it.
        println!("gone {}", store.collect(u64::MAX).await.unwrap().len());
    }
}

/// Kills children on the store of `world` that want `text`, whose files belong into `dir`, with what has to be true after each kill.
async fn killed_again_and_again(world: &World, text: &str, dir: &Path, assert_sound: impl Fn()) {
    fs::write(world.dir.path().join(SITE), &world.site.base).unwrap();
    fs::write(world.dir.path().join(WANTED), text).unwrap();
    for kill in 0..KILLS {
        // Two at a time: what one leaves, the other may be at.
        let start = || Child::start_test(CHILD, world.dir.path());
        let (mut one, mut two) = (start(), start());
        one.said(4 + kill).await;
        one.killed().await;
        assert_sound();
        two.said(4 + kill * 2).await;
        two.killed().await;
        assert_sound();
    }
    let store = world.store().await;
    let held = store.fetch_provided("it", &wanted(text), Reach::Cached, FormatGate::SafeOnly, &Said).await.unwrap();
    assert_eq!(held.dir(), dir);
    for (name, bytes) in content() {
        assert!(fs::read(held.dir().join(name)).unwrap() == bytes, "{name}");
    }
    assert_sound();
}

/// Where a file is under its own name, it is all of it.
fn assert_whole(dir: &Path) {
    for (name, bytes) in content() {
        // Another process may let it go in between.
        if let Ok(found) = fs::read(dir.join(name)) {
            assert!(found == bytes, "{name} has {} bytes", found.len());
        }
    }
}

#[tokio::test]
async fn m4_15_m6_15_kills_at_any_moment_leave_a_sound_cache_of_hugging_face() {
    let world = World::new().await;
    let mut siblings = Vec::new();
    for (path, bytes) in content() {
        let sha256 = Digest::sha256(&bytes).hex();
        let lfs = json!({"sha256": sha256, "size": bytes.len(), "pointerSize": 134});
        siblings.push(json!({"rfilename": path, "size": bytes.len(), "blobId": "0".repeat(40), "lfs": lfs}));
        world.elsewhere.on(&format!("/{sha256}"), [Reply::bytes(&bytes)]);
        let there = Reply::redirect(&format!("{}/{sha256}", world.elsewhere.base));
        world.site.on(&format!("/o/r/resolve/{COMMIT}/{path}"), [there]);
    }
    let listing = json!({"id": "o/r", "sha": COMMIT, "siblings": siblings});
    world.site.on("/api/models/o/r/revision/main?blobs=true", [Reply::json(&listing)]);
    let repo = world.dir.path().join("home/hub/models--o--r");
    let snapshot = repo.join("snapshots").join(COMMIT);
    killed_again_and_again(&world, "hf o/r", &snapshot, || {
        assert_whole(&snapshot);
        for blob in fs::read_dir(repo.join("blobs")).into_iter().flatten().flatten() {
            let name = blob.file_name().into_string().unwrap();
            // What another process lets go in between is none any more.
            if let Ok(bytes) = fs::read(blob.path()) {
                assert!(name.ends_with(".incomplete") || Digest::sha256(&bytes).hex() == name, "{name}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn m5_4_m6_15_kills_at_any_moment_leave_no_part_of_a_civitai_version_in_its_place() {
    let world = World::new().await;
    let mut entries = Vec::new();
    for (name, bytes) in content() {
        world.site.on(&format!("/download/{name}"), [Reply::bytes(&bytes)]);
        let (url, sha256) = (format!("{}/download/{name}", world.site.base), Digest::sha256(&bytes).hex());
        entries.push(json!({"id": 1, "name": name, "sizeKB": bytes.len() as f64 / 1024.0, "downloadUrl": url,
            "hashes": {"SHA256": sha256}}));
    }
    let version = json!({"id": 11, "modelId": 5, "files": entries});
    world.site.on("/civitai/api/v1/model-versions/11", [Reply::json(&version)]);
    let dir = world.root().join("civitai/11");
    killed_again_and_again(&world, &format!("{} 11", Provider::Civitai), &dir, || assert_whole(&dir)).await;
}
