//! Section 4d and the client of Hugging Face.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gen_worker_hub::{Digest, ModelRef, binding::Provider};
use gen_worker_store::{
    DiskSpace, FetchError, HeldModel, HuggingFaceOptions, LegacySelection, ModelRequest, ProviderError, Reach, Store,
    StoreOptions,
};
use gen_worker_tasks::Cancel;
use serde_json::json;

use super::{
    site::Reply,
    world::{World, fetch, provider_error, safetensors},
};
use crate::pool::files;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const REVISION: &str = "/api/models/o/r/revision/main?blobs=true";

/// A file of a repository, kept by git or elsewhere.
enum Kept {
    Git,
    Lfs,
}

/// A repository at a server of Hugging Face. What git does not keep is elsewhere.
struct Hub(World);

impl Hub {
    async fn new() -> Self {
        Self(World::new().await)
    }

    fn repo(&self) -> PathBuf {
        self.0.dir.path().join("home/hub/models--o--r")
    }

    fn snapshot(&self) -> PathBuf {
        self.repo().join("snapshots").join(COMMIT)
    }

    /// Lists and gives these files at the commit. What git does not keep is in the bucket.
    fn publish(&self, files: &[(&str, Vec<u8>, Kept)]) {
        let mut siblings = Vec::new();
        for (path, content, kept) in files {
            let target = format!("/o/r/resolve/{COMMIT}/{path}");
            match kept {
                Kept::Git => {
                    let id = git_id(content);
                    siblings.push(json!({"rfilename": path, "size": content.len(), "blobId": id}));
                    self.0.site.on(&target, [Reply::bytes(content)]);
                }
                Kept::Lfs => {
                    let sha256 = Digest::sha256(content).hex();
                    let lfs = json!({"sha256": sha256, "size": content.len(), "pointerSize": 134});
                    let entry = json!({"rfilename": path, "size": content.len(), "blobId": "0".repeat(40), "lfs": lfs});
                    siblings.push(entry);
                    self.0.elsewhere.on(&format!("/{sha256}"), [Reply::bytes(content)]);
                    self.0
                        .site
                        .on(&target, [Reply::redirect(&format!("{}/{sha256}?signed=hush", self.0.elsewhere.base))]);
                }
            }
        }
        self.0.site.on(REVISION, [Reply::json(&json!({"id": "o/r", "sha": COMMIT, "siblings": siblings}))]);
    }

    /// The listing under the address that the library asks for.
    fn publish_as_the_library_asks(&self) {
        let siblings = json!([{"rfilename": "config.json"}, {"rfilename": "sub/model.safetensors"}]);
        let info = json!({"id": "o/r", "sha": COMMIT, "siblings": siblings, "tags": [], "downloads": 0,
            "likes": 0, "private": false});
        self.0.site.on("/api/models/o/r/revision/main", [Reply::json(&info)]);
        let file = |path: &str, content: &[u8]| json!({"type": "file", "path": path, "size": content.len(), "oid": git_id(content)});
        let tree = json!([file("config.json", b"{}"), file("sub/model.safetensors", &safetensors(3000))]);
        self.0.site.on(&format!("/api/models/o/r/tree/{COMMIT}"), [Reply::json(&tree)]);
    }

    fn publish_small(&self) {
        self.publish(&[
            ("config.json", b"{}".to_vec(), Kept::Git),
            ("model.safetensors", safetensors(3000), Kept::Lfs),
            ("sub/tokenizer.json", b"{\"a\":1}".to_vec(), Kept::Git),
        ]);
    }

    async fn fetch(&self, store: &Store, reference: &str, reach: Reach) -> Result<HeldModel, FetchError> {
        fetch(store, &request(reference), reach).await
    }

    /// Nothing unfinished or wrong is in a final place: every blob has the hash that is its name.
    fn assert_sound(&self) {
        for (path, content) in files(&self.repo().join("blobs")) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let hashes = [Digest::sha256(&content).hex(), git_id(&content)];
            assert!(name.ends_with(".incomplete") || hashes.iter().any(|hash| hash == name), "{name}");
        }
    }
}

fn request(reference: &str) -> ModelRequest {
    ModelRequest::new(ModelRef::parse(Provider::HuggingFace, reference).unwrap())
}

/// The name that git gives `content`.
fn git_id(content: &[u8]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", content.len()).as_bytes());
    context.update(content);
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn m4_15_a_repository_is_laid_out_as_the_library_lays_it_out() {
    let hub = Hub::new().await;
    hub.publish_small();
    let held = hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(held.dir(), hub.snapshot());
    assert_eq!(fs::read_to_string(hub.repo().join("refs/main")).unwrap(), COMMIT);
    let sha256 = Digest::sha256(&safetensors(3000)).hex();
    let link = fs::read_link(hub.snapshot().join("model.safetensors")).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(&sha256));
    let deep = fs::read_link(hub.snapshot().join("sub/tokenizer.json")).unwrap();
    assert_eq!(deep, Path::new("../../../blobs").join(git_id(b"{\"a\":1}")));
    assert_eq!(fs::read(hub.snapshot().join("sub/tokenizer.json")).unwrap(), b"{\"a\":1}");
    assert_eq!(fs::read(hub.snapshot().join("model.safetensors")).unwrap(), safetensors(3000));
    assert_eq!(hub.0.events.take(), ["+o/r"]);
    hub.assert_sound();
}

#[tokio::test]
async fn m4_15_the_token_goes_to_the_server_and_not_to_where_it_sends() {
    let hub = Hub::new().await;
    hub.publish_small();
    hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    let asked = hub.0.site.asked();
    assert!(asked.iter().all(|asked| asked.authorization.as_deref() == Some("Bearer hush")), "{asked:?}");
    let elsewhere = hub.0.elsewhere.asked();
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(elsewhere[0].authorization, None);
}

#[tokio::test]
async fn m3_4_what_a_request_got_is_used_again_without_asking() {
    let hub = Hub::new().await;
    hub.publish_small();
    hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    hub.0.site.asked();
    // Another process, and no server that would answer.
    let store = hub.0.store().await;
    let held = hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert_eq!((held.dir(), hub.0.site.targets()), (hub.snapshot().as_path(), vec![]));
    fs::remove_file(hub.repo().join("blobs").join(git_id(b"{}"))).unwrap();
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    let file = format!("/o/r/resolve/{COMMIT}/config.json");
    assert_eq!(hub.0.site.targets(), [REVISION.to_owned(), file], "only what was gone comes again");
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
async fn m4_7_more_than_the_limit_is_refused_for_good_and_a_subset_is_not() {
    let hub = Hub::new().await;
    let sibling = |path: &str, size: u64| json!({"rfilename": path, "size": size, "blobId": git_id(b"{}")});
    let listing = json!({"sha": COMMIT, "siblings": [sibling("model.gguf", 20_000_000), sibling("a.json", 2)]});
    hub.0.site.on(REVISION, [Reply::json(&listing)]);
    hub.0.site.on(&format!("/o/r/resolve/{COMMIT}/a.json"), [Reply::bytes(b"{}")]);
    let store = hub.0.store().await;
    let error = provider_error(hub.fetch(&store, "o/r", Reach::Cached).await);
    assert!(matches!(*error, ProviderError::TooLarge { bytes: 20_000_002, limit: 10_000_000, .. }), "{error}");
    assert!(!error.is_passing());
    let held = fetch(&store, &request("o/r").with_files(["*.json"]), Reach::Cached).await.unwrap();
    assert!(held.dir().join("a.json").exists() && !held.dir().join("model.gguf").exists());
}

#[test]
fn m4_7_the_limit_is_a_number_or_none_or_the_default() {
    let of = HuggingFaceOptions::repo_bytes_max_of;
    assert_eq!((of("5"), of(" 0 "), of("-1")), (Some(5), None, None));
    assert_eq!((of("x"), of("")), (Some(60_000_000_000), Some(60_000_000_000)));
}

#[test]
fn m4_16_the_stall_time_is_a_number_or_never_or_the_default() {
    let of = HuggingFaceOptions::stall_of;
    assert_eq!((of("20"), of(" 0.5 ")), (Duration::from_secs(20), Duration::from_millis(500)));
    assert_eq!((of("soon"), of("NaN")), (Duration::from_secs(180), of("0")));
    assert!(of("0") > Duration::from_secs(1_000_000) && of("0") == of("-3") && of("1e300") == of("0"));
}

#[tokio::test]
async fn m4_15_a_server_that_says_names_only_is_read_page_by_page() {
    let hub = Hub::new().await;
    let names = json!([{"rfilename": "config.json"}, {"rfilename": "model.safetensors"}]);
    hub.publish_small();
    hub.0.site.on(REVISION, [Reply::json(&json!({"sha": COMMIT, "siblings": names}))]);
    let tree = format!("/api/models/o/r/tree/{COMMIT}");
    let weights = safetensors(3000);
    let lfs = json!({"oid": Digest::sha256(&weights).hex(), "size": weights.len(), "pointerSize": 134});
    let first = json!([
        {"type": "directory", "path": "sub", "oid": "0".repeat(40)},
        {"type": "file", "path": "config.json", "size": 2, "oid": git_id(b"{}")},
    ]);
    let second = json!([{"type": "file", "path": "model.safetensors", "size": 134, "oid": "1".repeat(40), "lfs": lfs}]);
    // A mirror that names the server that it mirrors.
    let next =
        format!("<https://elsewhere.example/api/models/o/r/tree/{COMMIT}?recursive=true&cursor=abc>; rel=\"next\"");
    hub.0.site.on(&format!("{tree}?recursive=true"), [Reply::json(&first).header("Link", &next)]);
    hub.0.site.on(&format!("{tree}?recursive=true&cursor=abc"), [Reply::json(&second)]);
    let held = hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(files(&held.dir().join("sub")).len(), 0);
    assert_eq!(fs::read(held.dir().join("model.safetensors")).unwrap(), weights);
    // A listing that never ends is left.
    hub.0.site.on(&tree, [Reply::json(&first).header("Link", &next)]);
    hub.0.site.on(&format!("{tree}?recursive=true&cursor=abc"), [Reply::json(&first).header("Link", &next)]);
    let error = provider_error(hub.fetch(&hub.0.store().await, "o/r", Reach::Fresh).await);
    assert!(matches!(*error, ProviderError::Strange { what: "a listing without an end", .. }), "{error}");
}

#[tokio::test]
async fn m4_15_a_file_that_no_listing_describes_is_asked_for_by_its_head() {
    let hub = Hub::new().await;
    hub.publish_small();
    let listing = json!({"sha": COMMIT, "siblings": [{"rfilename": "model.safetensors"}]});
    hub.0.site.on(REVISION, [Reply::json(&listing)]);
    hub.0.site.on(
        &format!("/api/models/o/r/tree/{COMMIT}"),
        [Reply::json(&json!([{"type": "file", "path": "model.safetensors"}]))],
    );
    let weights = safetensors(3000);
    let sha256 = Digest::sha256(&weights).hex();
    let linked = |commit: &str, etag: &str| {
        let there = format!("{}/{sha256}", hub.0.elsewhere.base);
        let size = weights.len().to_string();
        let reply = Reply::redirect(&there).header("X-Linked-Size", &size).header("X-Repo-Commit", commit);
        reply.header("X-Linked-Etag", &format!("\"{etag}\""))
    };
    let target = format!("/o/r/resolve/{COMMIT}/model.safetensors");
    let store = hub.0.store().await;
    for (reply, what) in [
        (linked(&"f".repeat(40), &sha256), "a file of another commit"),
        (linked(COMMIT, "not-a-hash"), "a file without a hash"),
        (Reply::bytes(&weights), "a file without a hash"),
    ] {
        hub.0.site.on(&target, [reply]);
        let error = provider_error(hub.fetch(&store, "o/r", Reach::Cached).await);
        assert!(matches!(&*error, ProviderError::Strange { what: said, .. } if *said == what), "{error} {what}");
    }
    assert!(!hub.repo().join("snapshots").exists() && hub.0.elsewhere.asked().is_empty());
    hub.0.site.on(&target, [linked(COMMIT, &sha256)]);
    let held = hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(fs::read(held.dir().join("model.safetensors")).unwrap(), weights);
}

#[tokio::test]
async fn m3_2_refusals_say_what_to_do() {
    let hub = Hub::new().await;
    let store = hub.0.store().await;
    let code = |status, code| Reply::status(status).header("X-Error-Code", code);
    for (reply, denied) in [
        (code(403, "GatedRepo"), true),
        (code(401, "GatedRepo"), true),
        (Reply::status(403), true),
        (code(401, "RepoNotFound"), false),
        (code(404, "RepoNotFound"), false),
        (Reply::status(404), false),
    ] {
        hub.0.site.on(REVISION, [reply.clone()]);
        let error = provider_error(hub.fetch(&store, "o/r", Reach::Cached).await);
        let page = format!("accept its terms at {}/o/r", hub.0.site.base);
        assert_eq!(error.to_string().contains(&page), denied, "{reply:?} {error}");
        assert_eq!(error.code(), Some(if denied { "hf_access_denied" } else { "hf_not_found" }));
        assert!(!error.is_passing());
    }
    let revision =
        |error: &ProviderError| matches!(error, ProviderError::Revision { revision, .. } if revision == "v9");
    let at = "/api/models/o/r/revision/v9?blobs=true";
    hub.0.site.on(at, [code(404, "RevisionNotFound")]);
    assert!(revision(&provider_error(hub.fetch(&store, "o/r@v9", Reach::Cached).await)));
    // A server without such codes: the repository is there, so it is the revision that is not.
    hub.0.site.on(at, [Reply::status(404)]);
    hub.0.site.on("/api/models/o/r", [Reply::json(&json!({"id": "o/r"}))]);
    assert!(revision(&provider_error(hub.fetch(&store, "o/r@v9", Reach::Cached).await)));
}

#[tokio::test]
async fn m3_6_a_server_that_asks_for_patience_gets_a_little() {
    let hub = Hub::new().await;
    hub.publish_small();
    let busy = |wait: &str| Reply::status(429).header("Retry-After", wait);
    let store = hub.0.store().await;
    hub.0.site.on(REVISION, [busy("0"), busy("0"), busy("0")]);
    let error = provider_error(hub.fetch(&store, "o/r", Reach::Cached).await);
    assert!(matches!(*error, ProviderError::RateLimited { .. }) && error.is_passing(), "{error}");
    assert_eq!(hub.0.site.targets().len(), 3);
    hub.0.site.on(REVISION, [busy("3600")]);
    let error = provider_error(hub.fetch(&store, "o/r", Reach::Cached).await);
    assert_eq!(error.to_string(), "hugging face takes no more requests for now, again in 3600 s");
    assert_eq!(hub.0.site.targets().len(), 1);
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
async fn m4_15_a_download_goes_on_where_the_library_left_it() {
    let hub = Hub::new().await;
    let weights = safetensors(400_000);
    hub.publish(&[("model.safetensors", weights.clone(), Kept::Lfs)]);
    let blobs = hub.repo().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let sha256 = Digest::sha256(&weights).hex();
    fs::write(blobs.join(format!("{sha256}.incomplete")), &weights[..150_000]).unwrap();
    hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    let ranges: Vec<_> = hub.0.elsewhere.asked().into_iter().filter_map(|asked| asked.range).collect();
    assert_eq!(ranges, ["bytes=150000-"]);
    assert!(!blobs.join(format!("{sha256}.incomplete")).exists());
}

/// Puts files where the library puts them.
fn as_the_library(hub: &Hub, files: &[(&str, &[u8])]) {
    let blobs = hub.repo().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(hub.repo().join("refs")).unwrap();
    fs::write(hub.repo().join("refs/main"), COMMIT).unwrap();
    for (path, content) in files {
        let name = git_id(content);
        fs::write(blobs.join(&name), content).unwrap();
        let at = hub.snapshot().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let up = "../".repeat(path.matches('/').count() + 2);
        std::os::unix::fs::symlink(format!("{up}blobs/{name}"), at).unwrap();
    }
}

#[tokio::test]
async fn m3_8_offline_a_cache_that_the_library_wrote_is_enough_when_it_is_complete() {
    let hub = Hub::new().await;
    let store = hub.0.store().await;
    let index = br#"{"_class_name": "P", "unet": ["diffusers", "U"], "vae": ["diffusers", "V"], "safety_checker": [null, null]}"#;
    let map = br#"{"weight_map": {"a": "m-00001-of-00002.safetensors", "b": "m-00002-of-00002.safetensors"}}"#;
    let (one, two, three) = (safetensors(10), safetensors(20), safetensors(30));
    let all: [(&str, &[u8]); 5] = [
        ("model_index.json", index),
        ("unet/m.safetensors.index.json", map),
        ("unet/m-00001-of-00002.safetensors", &one),
        ("unet/m-00002-of-00002.safetensors", &two),
        ("vae/v.safetensors", &three),
    ];
    for missing in 1..all.len() {
        let _ = fs::remove_dir_all(hub.repo());
        let some: Vec<_> = all.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, file)| *file).collect();
        as_the_library(&hub, &some);
        // The index of weights is no part of what must be there: the weights say enough.
        if missing != 1 {
            let error = provider_error(hub.fetch(&store, "o/r", Reach::Offline).await);
            assert!(matches!(*error, ProviderError::NotLocal { .. }), "{} {error}", all[missing].0);
        }
    }
    fs::remove_dir_all(hub.repo()).unwrap();
    as_the_library(&hub, &all);
    let held = hub.fetch(&store, "o/r", Reach::Offline).await.unwrap();
    assert_eq!(held.dir(), hub.snapshot());
    let pinned = format!("o/r@{COMMIT}");
    assert_eq!(hub.fetch(&store, &pinned, Reach::Offline).await.unwrap().dir(), hub.snapshot());
    provider_error(hub.fetch(&store, "o/r@v9", Reach::Offline).await);
    assert!(hub.0.site.targets().is_empty());
    // A link to nowhere, and one to outside.
    for target in ["/nowhere", "/etc/hostname", "../../../../../cas/ref-index.json"] {
        let at = hub.snapshot().join("vae/v.safetensors");
        fs::remove_file(&at).unwrap();
        std::os::unix::fs::symlink(target, at).unwrap();
        provider_error(hub.fetch(&store, "o/r", Reach::Offline).await);
    }
}

#[tokio::test]
async fn m6_25_a_damaged_file_leaves_and_comes_again() {
    let hub = Hub::new().await;
    hub.publish_small();
    let store = hub.0.store().await;
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    let blob = hub.repo().join("blobs").join(Digest::sha256(&safetensors(3000)).hex());
    let len = fs::metadata(&blob).unwrap().len() as usize;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, vec![0; len]).unwrap();
    hub.0.site.asked();
    provider_error(hub.fetch(&hub.0.store().await, "o/r", Reach::Offline).await);
    let held = hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(fs::read(held.dir().join("model.safetensors")).unwrap(), safetensors(3000));
}

#[tokio::test]
async fn m6_25_refs_and_pins_of_a_damaged_file_are_back_with_it() {
    let hub = Hub::new().await;
    hub.publish_small();
    let store = hub.0.store().await;
    drop(hub.fetch(&store, "o/r", Reach::Cached).await.unwrap());
    let reference = store.models().await.unwrap().into_keys().next().unwrap();
    assert!(store.pin(&reference, true).await.unwrap());
    let blob = hub.repo().join("blobs").join(Digest::sha256(&safetensors(3000)).hex());
    let len = fs::metadata(&blob).unwrap().len() as usize;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, vec![0; len]).unwrap();
    hub.0.events.take();
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(hub.0.events.take(), [format!("-{reference}"), format!("+{reference}")]);
    assert!(store.models().await.unwrap().values().all(|model| model.pinned));
}

#[tokio::test]
async fn m11_3_a_component_with_pickles_only_is_refused_before_it_comes() {
    let hub = Hub::new().await;
    hub.publish(&[
        ("model_index.json", b"{}".to_vec(), Kept::Git),
        ("text_encoder/pytorch_model.bin", b"pickle".to_vec(), Kept::Lfs),
        ("unet/model.safetensors", safetensors(10), Kept::Lfs),
    ]);
    let error = hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.map(drop).unwrap_err();
    assert!(matches!(error, FetchError::Format(_)), "{error}");
    assert!(hub.0.elsewhere.asked().is_empty());
}

#[tokio::test]
async fn m8_6_a_repository_leaves_as_a_whole_but_not_while_it_is_used() {
    let hub = Hub::new().await;
    hub.publish_small();
    let store = Store::open(StoreOptions { space: Arc::new(Full), ..hub.0.options() }, &Cancel::new()).await.unwrap();
    let offline = hub.0.store().await;
    hub.fetch(&offline, "o/r", Reach::Cached).await.unwrap();
    let held = hub.fetch(&store, "o/r", Reach::Offline).await.unwrap();
    assert!(store.collect(1).await.unwrap().is_empty());
    assert!(held.dir().join("config.json").exists());
    drop(held);
    let other = hub.repo().with_file_name("models--o--other");
    fs::create_dir(&other).unwrap();
    assert_eq!(store.collect(1).await.unwrap(), ["o/r"]);
    assert!(!hub.repo().exists() && other.exists());
    provider_error(hub.fetch(&store, "o/r", Reach::Offline).await);
}

#[tokio::test]
async fn m8_9_what_does_not_fit_is_not_begun() {
    let hub = Hub::new().await;
    hub.publish_small();
    let store = Store::open(StoreOptions { space: Arc::new(Full), ..hub.0.options() }, &Cancel::new()).await.unwrap();
    let error = hub.fetch(&store, "o/r", Reach::Cached).await.map(drop).unwrap_err();
    assert!(matches!(error, FetchError::InsufficientDisk { .. }), "{error}");
    assert_eq!(hub.0.site.targets(), [REVISION]);
}

/// A disk with nothing left.
struct Full;

impl DiskSpace for Full {
    fn available_bytes(&self, _root: &Path) -> std::io::Result<u64> {
        Ok(0)
    }
}

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

/// Runs `script` in the Python of a peer, whose library is the real one, with the site as its server. What it prints.
async fn python(hub: &Hub, script: &str) -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = workspace.join("target/peers/gen-worker-0.13.34/bin/python");
    assert!(python.exists(), "the peers are not there: cargo xtask setup");
    let command = tokio::process::Command::new(python)
        .args(["-c", script])
        .env_clear()
        .env("HF_HOME", hub.0.dir.path().join("home"))
        .env("HF_ENDPOINT", &hub.0.site.base)
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("HF_HUB_DISABLE_XET", "1")
        .kill_on_drop(true)
        .output();
    let output = command.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn m4_15_the_python_library_reads_what_we_wrote() {
    let hub = Hub::new().await;
    hub.publish_small();
    let held = hub.fetch(&hub.0.store().await, "o/r", Reach::Cached).await.unwrap();
    hub.0.site.asked();
    let script = "
from huggingface_hub import scan_cache_dir, snapshot_download
print(snapshot_download('o/r', local_files_only=True))
cache = scan_cache_dir()
print(len(cache.warnings), [(r.repo_id, r.nb_files) for r in cache.repos])";
    let expected = format!("{}\n0 [('o/r', 3)]", held.dir().display());
    assert_eq!(python(&hub, script).await, expected);
    assert!(hub.0.site.targets().is_empty());
}

#[tokio::test]
async fn m3_8_we_read_what_the_python_library_wrote() {
    let hub = Hub::new().await;
    let weights = safetensors(3000);
    hub.publish(&[("config.json", b"{}".to_vec(), Kept::Git), ("sub/model.safetensors", weights.clone(), Kept::Git)]);
    for (path, content) in [("config.json", b"{}".to_vec()), ("sub/model.safetensors", weights)] {
        let reply = Reply::bytes(&content).header("ETag", &format!("\"{}\"", git_id(&content)));
        hub.0.site.on(&format!("/o/r/resolve/{COMMIT}/{path}"), [reply.header("X-Repo-Commit", COMMIT)]);
    }
    hub.publish_as_the_library_asks();
    let script = "from huggingface_hub import snapshot_download; print(snapshot_download('o/r'))";
    assert_eq!(python(&hub, script).await, hub.snapshot().display().to_string());
    hub.0.site.asked();
    let held = hub.fetch(&hub.0.store().await, "o/r", Reach::Offline).await.unwrap();
    assert_eq!(held.dir(), hub.snapshot());
    assert!(hub.0.site.targets().is_empty());
}

#[tokio::test]
async fn m4_17_a_server_that_stalls_is_left_and_what_came_is_kept() {
    let hub = Hub::new().await;
    let weights = safetensors(300_000);
    hub.publish(&[("model.safetensors", weights.clone(), Kept::Lfs)]);
    let target = format!("/{}", Digest::sha256(&weights).hex());
    hub.0.elsewhere.on(&target, [Reply::bytes(&weights).stall(80_000), Reply::bytes(&weights)]);
    let mut options = hub.0.options();
    options.transfer.stall = Duration::from_secs(1);
    let store = Store::open(options, &Cancel::new()).await.unwrap();
    let held = hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(fs::read(held.dir().join("model.safetensors")).unwrap(), weights);
    let ranges: Vec<_> = hub.0.elsewhere.asked().into_iter().map(|asked| asked.range.unwrap_or_default()).collect();
    assert_eq!(ranges, ["", "bytes=80000-"]);
}

#[tokio::test]
async fn m3_4_many_callers_of_one_model_are_one_download() {
    let hub = Hub::new().await;
    hub.publish_small();
    let (store, other) = (hub.0.store().await, hub.0.store().await);
    let callers = (0..8).map(|n| hub.fetch(if n % 2 == 0 { &store } else { &other }, "o/r", Reach::Cached));
    let held = futures::future::try_join_all(callers).await.unwrap();
    assert!(held.iter().all(|held| held.dir() == hub.snapshot()));
    let asked = hub.0.site.targets();
    let files = asked.iter().filter(|target| target.contains("/resolve/")).count();
    assert_eq!(files, 3, "each file comes once: {asked:?}");
}
