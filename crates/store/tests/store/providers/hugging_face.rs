//! Section 4d and the client of Hugging Face.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gen_worker_hub::{Digest, ModelRef, binding::Provider};
use gen_worker_store::{
    FetchError, FormatGate, HeldModel, HuggingFaceOptions, ModelRequest, ProviderError, ProviderOptions, Reach, Store,
    StoreObserver, StoreOptions, TransferOptions,
};
use gen_worker_tasks::Cancel;
use serde_json::json;

use super::site::{Reply, Site};
use crate::pool::{Events, Heard, bytes, files};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const REVISION: &str = "/api/models/o/r/revision/main?blobs=true";
const TOKEN: &str = "hf_hush";

/// A repository at a server of Hugging Face, a store with its cache beside it, and a bucket elsewhere.
struct World {
    dir: tempfile::TempDir,
    site: Site,
    bucket: Site,
    events: Arc<Events>,
}

/// A file of a repository, kept by git or elsewhere.
enum Kept {
    Git,
    Lfs,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, site: Site::start().await, bucket: Site::start().await, events: Arc::default() }
    }

    fn options(&self) -> StoreOptions {
        let wait = Duration::from_millis(1);
        let transfer = TransferOptions { wait_unit: wait, wait_longest: wait, tries: 4, ..TransferOptions::default() };
        let root = self.dir.path().join("cas");
        let hugging_face = HuggingFaceOptions {
            endpoint: self.site.base.clone(),
            home: self.dir.path().join("home"),
            token: Some(TOKEN.parse().unwrap()),
            repo_bytes_max: Some(10_000_000),
        };
        let providers = ProviderOptions { hugging_face, ..ProviderOptions::new(&root) };
        let observer = Arc::clone(&self.events) as Arc<dyn StoreObserver>;
        StoreOptions { transfer, providers, observer, ..StoreOptions::new(root) }
    }

    async fn store(&self) -> Store {
        Store::open(self.options(), &Cancel::new()).await.unwrap()
    }

    fn repo(&self) -> PathBuf {
        self.dir.path().join("home/hub/models--o--r")
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
                    self.site.on(&target, [Reply::bytes(content)]);
                }
                Kept::Lfs => {
                    let sha256 = Digest::sha256(content).hex();
                    let lfs = json!({"sha256": sha256, "size": content.len(), "pointerSize": 134});
                    let entry = json!({"rfilename": path, "size": content.len(), "blobId": "0".repeat(40), "lfs": lfs});
                    siblings.push(entry);
                    self.bucket.on(&format!("/{sha256}"), [Reply::bytes(content)]);
                    self.site.on(&target, [Reply::redirect(&format!("{}/{sha256}?signed=hush", self.bucket.base))]);
                }
            }
        }
        self.site.on(REVISION, [Reply::json(&json!({"id": "o/r", "sha": COMMIT, "siblings": siblings}))]);
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

async fn fetch(store: &Store, request: &ModelRequest, reach: Reach) -> Result<HeldModel, FetchError> {
    let reference = request.reference().to_string();
    store.fetch_provided(&reference, request, reach, FormatGate::SafeOnly, &Heard::default()).await
}

fn provider_error(result: Result<HeldModel, FetchError>) -> Arc<ProviderError> {
    match result.map(|held| held.dir().to_owned()) {
        Err(FetchError::Provider(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// The name that git gives `content`.
fn git_id(content: &[u8]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", content.len()).as_bytes());
    context.update(content);
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A safetensors file with `len` bytes of data.
pub fn safetensors(len: usize) -> Vec<u8> {
    let header = json!({"w": {"dtype": "U8", "shape": [len], "data_offsets": [0, len]}}).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(bytes(len));
    file
}

#[tokio::test]
async fn m4_15_a_repository_is_laid_out_as_the_library_lays_it_out() {
    let world = World::new().await;
    world.publish_small();
    let held = world.fetch(&world.store().await, "o/r", Reach::Cached).await.unwrap();
    assert_eq!(held.dir(), world.snapshot());
    assert_eq!(fs::read_to_string(world.repo().join("refs/main")).unwrap(), COMMIT);
    let sha256 = Digest::sha256(&safetensors(3000)).hex();
    let link = fs::read_link(world.snapshot().join("model.safetensors")).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(&sha256));
    let deep = fs::read_link(world.snapshot().join("sub/tokenizer.json")).unwrap();
    assert_eq!(deep, Path::new("../../../blobs").join(git_id(b"{\"a\":1}")));
    assert_eq!(fs::read(world.snapshot().join("sub/tokenizer.json")).unwrap(), b"{\"a\":1}");
    assert_eq!(fs::read(world.snapshot().join("model.safetensors")).unwrap(), safetensors(3000));
    assert_eq!(world.events.take(), ["+o/r"]);
    world.assert_sound();
}

#[tokio::test]
async fn m4_15_the_token_goes_to_the_server_and_not_to_where_it_sends() {
    let world = World::new().await;
    world.publish_small();
    world.fetch(&world.store().await, "o/r", Reach::Cached).await.unwrap();
    let asked = world.site.asked();
    assert!(asked.iter().all(|asked| asked.authorization.as_deref() == Some("Bearer hf_hush")), "{asked:?}");
    let elsewhere = world.bucket.asked();
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(elsewhere[0].authorization, None);
}

#[tokio::test]
async fn m3_4_what_a_request_got_is_used_again_without_asking() {
    let world = World::new().await;
    world.publish_small();
    world.fetch(&world.store().await, "o/r", Reach::Cached).await.unwrap();
    world.site.asked();
    // Another process, and no server that would answer.
    let store = world.store().await;
    let held = world.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    assert_eq!((held.dir(), world.site.targets()), (world.snapshot().as_path(), vec![]));
    fs::remove_file(world.repo().join("blobs").join(git_id(b"{}"))).unwrap();
    world.fetch(&store, "o/r", Reach::Cached).await.unwrap();
    let file = format!("/o/r/resolve/{COMMIT}/config.json");
    assert_eq!(world.site.targets(), [REVISION.to_owned(), file], "only what was gone comes again");
}

#[tokio::test]
async fn m3_2_a_failure_leaves_no_poison() {
    let world = World::new().await;
    world.site.on(REVISION, [Reply::status(503)]);
    let store = world.store().await;
    let error = provider_error(world.fetch(&store, "o/r", Reach::Cached).await);
    assert!(matches!(*error, ProviderError::Unavailable { .. }) && error.is_passing(), "{error}");
    assert!(files(&world.repo()).is_empty());
    world.publish_small();
    world.fetch(&store, "o/r", Reach::Cached).await.unwrap();
}
