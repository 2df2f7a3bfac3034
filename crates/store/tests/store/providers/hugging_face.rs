//! Section 4d and the client of Hugging Face.

use std::{
    fs,
    path::{Path, PathBuf},
};

use gen_worker_hub::{Digest, ModelRef, binding::Provider};
use gen_worker_store::{FetchError, HeldModel, ModelRequest, ProviderError, Reach, Store};
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
