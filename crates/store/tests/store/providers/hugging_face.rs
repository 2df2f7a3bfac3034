//! The client of Hugging Face against a server of its own.

mod integrity;
mod layout;
mod legacy;
mod requests;
mod retention;

use std::path::PathBuf;

use gen_worker_hub::{Digest, ModelRef, binding::Provider};
use gen_worker_store::{FetchError, HeldModel, ModelRequest, Reach, Store};
use serde_json::json;

use crate::{
    pool::files,
    providers::{
        site::Reply,
        world::{World, fetch, safetensors},
    },
};

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
