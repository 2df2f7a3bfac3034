//! What the server is asked, and what its answers lead to (rules 3.2, 3.6, 4.7, 4.15 to 4.17).

use std::{fs, path::Path, time::Duration};

use gen_worker_hub::Digest;
use gen_worker_store::{HuggingFaceOptions, ProviderError, ProviderOptions, Reach, Store};
use gen_worker_tasks::Cancel;
use serde_json::json;

use super::{COMMIT, Hub, Kept, REVISION, git_id, request};
use crate::{
    pool::files,
    providers::{
        site::Reply,
        world::{fetch, provider_error, safetensors},
    },
};

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
    let of = |text| {
        let mut options = ProviderOptions::new(Path::new("/cas")).hugging_face;
        options.set_bytes_max(text);
        (options.repo_bytes_max, options.legacy_bytes_max)
    };
    assert_eq!((of("5"), of(" 0 "), of("-1")), ((Some(5), Some(5)), (None, None), (None, None)));
    let default = (Some(60_000_000_000), Some(30_000_000_000));
    assert_eq!((of("x"), of(""), of("1.5")), (default, default, default));
}

#[test]
fn m4_16_the_stall_time_is_a_number_or_never_or_the_default() {
    let of = HuggingFaceOptions::stall_of;
    assert_eq!((of("20"), of(" 0.5 ")), (Duration::from_secs(20), Duration::from_millis(500)));
    assert_eq!((of("soon"), of("NaN")), (Duration::from_secs(180), of("0")));
    assert!(of("0") > Duration::from_secs(1_000_000) && of("0") == of("-3") && of("1e300") == of("0"));
}

#[test]
fn m4_16_the_time_of_a_download_is_a_number_or_none() {
    let of = HuggingFaceOptions::download_max_of;
    assert_eq!((of("20"), of(" 0.5 ")), (Some(Duration::from_secs(20)), Some(Duration::from_millis(500))));
    for text in ["0", "-3", "soon", "", "NaN", "1e-12", "1e300"] {
        assert_eq!(of(text), None, "{text}");
    }
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
async fn m4_16_a_download_ends_with_its_time_and_the_next_goes_on() {
    let hub = Hub::new().await;
    let weights = safetensors(1_000_000);
    hub.publish(&[("model.safetensors", weights.clone(), Kept::Lfs)]);
    let target = format!("/{}", Digest::sha256(&weights).hex());
    hub.0.elsewhere.on(&target, [Reply::bytes(&weights).stall(600_000), Reply::bytes(&weights)]);
    let mut options = hub.0.options();
    let limit = Duration::from_secs(1);
    // The guard of one transfer alone would wait for ever.
    options.providers.hugging_face.stall = Some(HuggingFaceOptions::stall_of("0"));
    options.providers.hugging_face.download_max = Some(limit);
    let store = Store::open(options, &Cancel::new()).await.unwrap();
    let error = provider_error(hub.fetch(&store, "o/r", Reach::Cached).await);
    assert!(matches!(*error, ProviderError::TooLong { limit: said, .. } if said == limit), "{error}");
    assert!(error.is_passing() && !hub.snapshot().exists(), "{error}");
    let held = hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(fs::read(held.dir().join("model.safetensors")).unwrap(), weights);
    let ranges: Vec<_> = hub.0.elsewhere.asked().into_iter().map(|asked| asked.range).collect();
    assert!(matches!(ranges.as_slice(), [None, Some(range)] if range != "bytes=0-"), "{ranges:?}");
}

#[tokio::test]
async fn m4_16_the_time_without_bytes_is_of_this_provider_alone() {
    let hub = Hub::new().await;
    let weights = safetensors(300_000);
    hub.publish(&[("model.safetensors", weights.clone(), Kept::Lfs)]);
    let target = format!("/{}", Digest::sha256(&weights).hex());
    hub.0.elsewhere.on(&target, [Reply::bytes(&weights).stall(80_000), Reply::bytes(&weights)]);
    let mut options = hub.0.options();
    options.transfer.stall = HuggingFaceOptions::stall_of("0");
    options.providers.hugging_face.stall = Some(Duration::from_millis(500));
    let store = Store::open(options, &Cancel::new()).await.unwrap();
    hub.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(hub.0.elsewhere.asked().len(), 2);
}
