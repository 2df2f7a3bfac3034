//! Section 5: Civitai.

use std::{fs, path::PathBuf};

use gen_worker_hub::{Digest, ModelRef, binding, binding::Provider};
use gen_worker_store::{ModelRequest, ProviderError, Reach, Verified};
use serde_json::{Value, json};

use super::{
    site::Reply,
    world::{World, fetch, provider_error, safetensors},
};

const VERSION: &str = "/civitai/api/v1/model-versions/11";
const MODEL: &str = "/civitai/api/v1/models/5";

/// One version of a model: the server of the interface gives its file, from elsewhere.
struct Site(World);

impl Site {
    async fn new() -> Self {
        Self(World::new().await)
    }

    /// A version with these files. Each is said to have so many bytes more than it has.
    fn publish(&self, files: &[(&str, &[u8])], off: i64) {
        let entries: Vec<_> = files
            .iter()
            .map(|(name, content)| {
                let url = format!("{}/download/{name}", self.0.site.base);
                self.0.elsewhere.on(&format!("/{name}"), [Reply::bytes(content)]);
                let there = format!("{}/{name}?signed=hush", self.0.elsewhere.base);
                self.0.site.on(&format!("/download/{name}"), [Reply::redirect(&there)]);
                let kb = (content.len() as i64 + off) as f64 / 1024.0;
                let sha256 = Digest::sha256(content).hex().to_uppercase();
                json!({"id": 1, "name": name, "sizeKB": kb, "downloadUrl": url, "hashes": {"SHA256": sha256}})
            })
            .collect();
        self.answer(entries.into());
    }

    fn answer(&self, files: Value) {
        self.0.site.on(VERSION, [Reply::json(&json!({"id": 11, "modelId": 5, "files": files}))]);
    }

    fn dir(&self) -> PathBuf {
        self.0.root().join("civitai/11")
    }
}

fn version(text: &str) -> ModelRequest {
    ModelRequest::new(ModelRef::parse(Provider::Civitai, text).unwrap())
}

#[tokio::test]
async fn m5_5_a_version_of_one_file_is_that_file_with_a_note_beside_it() {
    let site = Site::new().await;
    site.publish(&[("a.safetensors", &safetensors(3000))], 300);
    let held = fetch(&site.0.store().await, &version("11"), Reach::Cached).await.unwrap();
    assert_eq!(held.dir(), site.dir().join("a.safetensors"));
    assert_eq!(fs::read(held.dir()).unwrap(), safetensors(3000));
    let note: Value = serde_json::from_slice(&fs::read(site.dir().join(".civitai.json")).unwrap()).unwrap();
    assert_eq!(note, json!({"version_id": "11", "model_id": 5, "files": ["a.safetensors"]}));
    assert_eq!(site.0.store().await.models().await.unwrap()["11"].path, site.dir(), "what leaves is the directory");
}

#[tokio::test]
async fn m5_5_a_version_of_several_files_is_its_directory() {
    let site = Site::new().await;
    site.publish(&[("a.safetensors", &safetensors(100)), ("b.safetensors", &safetensors(200))], 0);
    let held = fetch(&site.0.store().await, &version("versions/11"), Reach::Cached).await.unwrap();
    assert_eq!(held.dir(), site.dir());
}

#[tokio::test]
async fn m5_5_a_file_that_is_there_is_used_by_its_hash_although_its_size_was_rounded() {
    let site = Site::new().await;
    site.publish(&[("a.safetensors", &safetensors(3000))], 700);
    fs::create_dir_all(site.dir()).unwrap();
    fs::write(site.dir().join("a.safetensors"), safetensors(3000)).unwrap();
    fetch(&site.0.store().await, &version("11"), Reach::Fresh).await.unwrap();
    assert_eq!(site.0.site.targets(), [VERSION]);
    let mut flipped = safetensors(3000);
    *flipped.last_mut().unwrap() ^= 1;
    fs::remove_file(site.dir().join("a.safetensors")).unwrap();
    fs::write(site.dir().join("a.safetensors"), flipped).unwrap();
    fetch(&site.0.store().await, &version("11"), Reach::Fresh).await.unwrap();
    assert_eq!(fs::read(site.dir().join("a.safetensors")).unwrap(), safetensors(3000));
}

#[tokio::test]
async fn m6_26_a_version_is_checked_by_the_hashes_that_were_said() {
    let site = Site::new().await;
    site.publish(&[("a.safetensors", &safetensors(100)), ("b.safetensors", &safetensors(200))], 0);
    let store = site.0.store().await;
    fetch(&store, &version("11"), Reach::Cached).await.unwrap();
    assert_eq!(store.verify("11").await.unwrap(), Verified::Sound);
    let mut flipped = safetensors(200);
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(site.dir().join("b.safetensors"), flipped).unwrap();
    assert_eq!(store.verify("11").await.unwrap(), Verified::Damaged(vec!["b.safetensors".parse().unwrap()]));
    fetch(&store, &version("11"), Reach::Cached).await.unwrap();
    assert_eq!(fs::read(site.dir().join("b.safetensors")).unwrap(), safetensors(200));
    // Where nobody said a hash, the structure has to do.
    fs::remove_dir_all(site.0.root().join("refs/providers")).unwrap();
    assert_eq!(store.verify("11").await.unwrap(), Verified::SoundStructure);
    fs::write(site.dir().join("a.safetensors"), b"none").unwrap();
    assert_eq!(store.verify("11").await.unwrap(), Verified::Damaged(vec!["a.safetensors".parse().unwrap()]));
}

#[tokio::test]
async fn m5_4_a_download_that_breaks_off_goes_on_and_wrong_bytes_never_stay() {
    let site = Site::new().await;
    let content = safetensors(300_000);
    site.publish(&[("a.safetensors", &content)], -500);
    site.0.elsewhere.on("/a.safetensors", [Reply::bytes(&content).cut(100_000), Reply::bytes(&content)]);
    let store = site.0.store().await;
    fetch(&store, &version("11"), Reach::Cached).await.unwrap();
    let ranges: Vec<_> = site.0.elsewhere.asked().into_iter().map(|asked| asked.range).collect();
    assert!(matches!(ranges.as_slice(), [None, Some(range)] if range != "bytes=0-"), "{ranges:?}");
    fs::remove_dir_all(site.dir()).unwrap();
    let mut flipped = content.clone();
    flipped[200_000] ^= 1;
    site.0.elsewhere.on("/a.safetensors", [Reply::bytes(&flipped)]);
    let error = provider_error(fetch(&store, &version("11"), Reach::Cached).await);
    assert!(matches!(&*error, ProviderError::Mismatch { file, .. } if file.as_str() == "a.safetensors"), "{error}");
    assert!(!site.dir().join("a.safetensors").exists());
    for len in [content.len() + 1600, content.len() - 1600] {
        site.0.elsewhere.on("/a.safetensors", [Reply::bytes(&vec![7; len])]);
        let error = provider_error(fetch(&store, &version("11"), Reach::Cached).await);
        assert!(matches!(&*error, ProviderError::Mismatch { .. }), "{error}");
    }
}

#[tokio::test]
async fn m5_2_the_key_goes_to_the_interface_and_nowhere_else() {
    let site = Site::new().await;
    site.publish(&[("a.safetensors", &safetensors(100))], 0);
    let direct = format!("{}/a.safetensors", site.0.elsewhere.base);
    let content = safetensors(100);
    for at_once in [false, true] {
        if at_once {
            // The listing itself names a server that is not theirs.
            site.answer(json!([{"name": "a.safetensors", "downloadUrl": direct, "sizeBytes": content.len()}]));
        }
        fetch(&site.0.store().await, &version("11"), Reach::Fresh).await.unwrap();
        fs::remove_dir_all(site.dir()).unwrap();
        let asked = site.0.site.asked();
        assert!(asked.iter().all(|asked| asked.authorization.as_deref() == Some("Bearer hush")), "{asked:?}");
        let elsewhere = site.0.elsewhere.asked();
        assert!(elsewhere.iter().all(|asked| asked.authorization.is_none()) && elsewhere.len() == 1, "{elsewhere:?}");
    }
}

#[tokio::test]
async fn m5_6_a_model_is_its_newest_version_and_a_pin_needs_no_lookup() {
    let site = Site::new().await;
    site.publish(&[("a.safetensors", &safetensors(100))], 0);
    site.0.site.on(MODEL, [Reply::json(&json!({"id": 5, "modelVersions": [{"id": 11}, {"id": 10}]}))]);
    let store = site.0.store().await;
    let newest = ModelRequest::of_binding(&binding::civitai(5).build().unwrap()).unwrap();
    let held = fetch(&store, &newest, Reach::Cached).await.unwrap();
    assert!(held.dir().starts_with(site.dir()));
    assert_eq!(site.0.site.targets(), [MODEL, VERSION, "/download/a.safetensors"]);
    let pinned = ModelRequest::of_binding(&binding::civitai(5).version(11).build().unwrap()).unwrap();
    fetch(&store, &pinned, Reach::Fresh).await.unwrap();
    assert_eq!(site.0.site.targets(), [VERSION]);
    for answer in [Reply::status(500), Reply::json(&json!({"id": 5, "modelVersions": []}))] {
        site.0.site.on(MODEL, [answer]);
        provider_error(fetch(&store, &newest, Reach::Fresh).await);
        assert_eq!(site.0.site.targets(), [MODEL], "no version, no download");
    }
}

#[tokio::test]
async fn m5_1_refusals_have_their_names() {
    let site = Site::new().await;
    let store = site.0.store().await;
    for (status, code) in [(401, "civitai_access_denied"), (403, "civitai_access_denied"), (404, "civitai_not_found")] {
        site.0.site.on(VERSION, [Reply::status(status)]);
        let error = provider_error(fetch(&store, &version("11"), Reach::Cached).await);
        assert_eq!((error.code(), error.is_passing()), (Some(code), false));
        site.publish(&[("a.safetensors", &safetensors(100))], 0);
        site.0.site.on("/download/a.safetensors", [Reply::status(status)]);
        let error = provider_error(fetch(&store, &version("11"), Reach::Cached).await);
        assert_eq!((error.code(), error.is_passing()), (Some(code), false));
    }
    site.answer(json!([{"name": "a.ckpt", "downloadUrl": "http://x/a"}]));
    let error = provider_error(fetch(&store, &version("11"), Reach::Cached).await);
    assert_eq!(error.code(), Some("civitai_no_supported_files"));
}

#[tokio::test]
async fn m3_8_a_version_that_is_there_satisfies_offline_when_it_is_complete() {
    let site = Site::new().await;
    let store = site.0.store().await;
    let error = provider_error(fetch(&store, &version("11"), Reach::Offline).await);
    assert!(matches!(&*error, ProviderError::NotLocal { model } if model == "11"), "{error}");
    fs::create_dir_all(site.dir()).unwrap();
    fs::write(site.dir().join("a.safetensors"), safetensors(50)).unwrap();
    fs::write(site.dir().join("b.safetensors.part"), b"half").unwrap();
    provider_error(fetch(&store, &version("11"), Reach::Offline).await);
    fs::remove_file(site.dir().join("b.safetensors.part")).unwrap();
    let held = fetch(&store, &version("11"), Reach::Offline).await.unwrap();
    assert_eq!(held.dir(), site.dir().join("a.safetensors"));
    assert!(site.0.site.targets().is_empty());
}
