//! Every route that writes, while the store takes nothing.

use std::path::Path;

use axum::{
    body::Body,
    http::{Request, header},
};
use gen_worker_hub::Blake3Hash;
use gen_worker_tasks::Scope;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::{blobs::BlobStore, clock::Clock, hub::HubOptions, metadata::sqlite::SqliteMetadata, signing::SECRET_BYTES};

const OPERATOR: &str = "operator-token";

/// A hub, and the store under it.
struct Scene {
    metadata: Arc<SqliteMetadata>,
    hub: Arc<Hub>,
    routes: Router,
    _scope: Arc<Scope>,
}

impl Scene {
    fn new(directory: &Path) -> Self {
        let scope = Arc::new(Scope::new("test"));
        let metadata = Arc::new(SqliteMetadata::open(&directory.join("hub.db"), &scope).unwrap());
        let objects = directory.join("objects");
        std::fs::create_dir_all(&objects).unwrap();
        let blobs = BlobStore::local(objects, Arc::clone(&scope)).unwrap();
        let mut options = HubOptions::new("http://hub.test", [1; SECRET_BYTES]);
        options.operators = vec![OperatorToken(OPERATOR.parse().unwrap())];
        options.clock = Clock::standing(1_000_000);
        let hub = Arc::new(Hub::new(Arc::<SqliteMetadata>::clone(&metadata), blobs, options).unwrap());
        Self { metadata, routes: router(Arc::clone(&hub)), hub, _scope: scope }
    }

    async fn call(&self, method: &str, path: &str, body: &[u8]) -> (u16, Option<String>, Value) {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_LENGTH, body.len());
        let request =
            request.header(header::AUTHORIZATION, format!("Bearer {OPERATOR}")).header("x-cozy-owner", "acme");
        let reply = self.routes.clone().oneshot(request.body(Body::from(body.to_vec())).unwrap()).await.unwrap();
        let retry = reply.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let etag = reply.headers().get(header::ETAG).map(|value| value.to_str().unwrap().to_owned());
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (status, retry, serde_json::from_slice(&body).unwrap_or_else(|_| json!({"etag": etag})))
    }

    /// Calls while the store takes nothing, which has to be told as something that passes, and then again.
    async fn twice(&self, method: &str, path: &str, body: &[u8], expected: u16) -> Value {
        self.metadata.protect(true).await;
        let (status, retry, reply) = self.call(method, path, body).await;
        assert_eq!((status, &reply["error"]["code"]), (503, &json!("unavailable")), "{method} {path}: {reply}");
        assert!(retry.is_some_and(|seconds| seconds.parse::<u64>().unwrap() > 0), "{method} {path}");
        self.metadata.protect(false).await;
        let (status, _, reply) = self.call(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {reply}");
        reply
    }

    async fn json(&self, method: &str, path: &str, body: &Value, expected: u16) -> Value {
        self.twice(method, path, body.to_string().as_bytes(), expected).await
    }

    /// Brings the parts of an upload; the words of its complete.
    async fn parts(&self, urls: &Value, content: &[u8]) -> Value {
        let url = urls[0].as_str().unwrap().trim_start_matches("http://hub.test");
        let etag = self.twice("PUT", url, content, 200).await["etag"].clone();
        json!({"parts": [{"part_number": 1, "etag": etag}]})
    }
}

fn text<'a>(reply: &'a Value, name: &str) -> &'a str {
    reply[name].as_str().unwrap()
}

#[tokio::test]
async fn files_and_trees_wait_for_a_store_that_takes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::new(directory.path());
    let (repo, media) = ("/api/v1/repos/acme/model", "/api/v1/media/acme/uploads");
    let (one, two) = (Blake3Hash::of(b"one"), Blake3Hash::of(b"two"));
    let upload = scene.json("POST", media, &json!({"ref": "a", "blake3": one, "size_bytes": 3}), 200).await;
    let parts = scene.parts(&upload["part_urls"], b"one").await;
    let place = format!("{media}/{}", text(&upload, "upload_id"));
    let done = scene.json("POST", &format!("{place}/complete"), &parts, 200).await;
    assert_eq!(done["created"], json!(true), "what was refused was not done");
    let other = scene.json("POST", media, &json!({"ref": "b", "blake3": two, "size_bytes": 3}), 200).await;
    scene.twice("DELETE", &format!("{media}/{}", text(&other, "upload_id")), b"", 204).await;
    scene.twice("PUT", "/api/v1/file/old.txt", b"old", 201).await;
    let add = json!({"operations": [{"type": "add", "path": "w", "blake3": two, "size_bytes": 3}], "mode": "merge"});
    let commit = scene.json("POST", &format!("{repo}/commits"), &add, 201).await;
    let parts = scene.parts(&commit["uploads"][0]["part_urls"], b"two").await;
    let place = format!("{repo}/commits/{}", text(&commit, "revision_id"));
    let upload = text(&commit["uploads"][0], "upload_id");
    scene.json("POST", &format!("{place}/uploads/{upload}/complete"), &parts, 200).await;
    let (status, ..) = scene.call("GET", &format!("{repo}/resolve"), b"").await;
    assert_eq!(status, 404, "the repository is as it was: not there");
    scene.twice("POST", &format!("{place}/finalize"), b"", 200).await;
    let again = scene.json("POST", &format!("{repo}/commits"), &add, 201).await;
    scene.twice("DELETE", &format!("{repo}/commits/{}", text(&again, "revision_id")), b"", 204).await;
    let session = scene.json("POST", &format!("{repo}/revisions"), &json!({"job_id": "j"}), 201).await;
    let place = format!("{repo}/revisions/{}", text(&session, "session_id"));
    let file = json!({"path": "x", "blake3": Blake3Hash::of(b"x"), "size_bytes": 1});
    let upload = scene.json("POST", &format!("{place}/uploads"), &file, 200).await;
    scene.twice("DELETE", &format!("{place}/uploads/{}", text(&upload, "upload_id")), b"", 204).await;
    scene.json("POST", &format!("{place}/finalize"), &json!({}), 200).await;
    scene.json("PUT", &format!("{repo}/metadata"), &json!({"metadata": {"a": 1}}), 200).await;
    scene.json("PUT", &format!("{repo}/visibility"), &json!({"visibility": "public"}), 200).await;
    let (status, _, found) = scene.call("GET", &format!("{repo}/resolve"), b"").await;
    assert_eq!((status, &found["files"][0]["path"]), (200, &json!("w")));
    // Parts that were stored and not recorded are gone with the next round.
    scene.hub.tidy().await.unwrap();
    assert_eq!(futures::StreamExt::count(scene.hub.blobs.keys()).await, 3, "one object for each content");
}

#[tokio::test]
async fn datasets_variables_and_releases_wait_for_a_store_that_takes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::new(directory.path());
    let dataset = json!({"owner": "acme", "name": "faces", "schema": {"features": {}}});
    let made = scene.json("POST", "/api/v1/datasets", &dataset, 201).await;
    let place = format!("/api/v1/datasets/{}", text(&made, "id"));
    scene.json("PATCH", &place, &json!({"visibility": "public"}), 200).await;
    let variables = "/api/v1/endpoints/acme/paint/env";
    scene.json("POST", variables, &json!({"name": "KEY", "value": "one"}), 201).await;
    scene.json("PUT", &format!("{variables}/KEY"), &json!({"value": "two"}), 200).await;
    scene.twice("DELETE", &format!("{variables}/KEY"), b"", 204).await;
    let project = "/api/v1/projects/acme/paint";
    let release = json!({"manifest": {"functions": [{"name": "draw", "kind": "inference"}]}});
    let mut ids = Vec::new();
    for number in 1..=3 {
        let made = scene.json("POST", &format!("{project}/releases"), &release, 201).await;
        assert_eq!(made["seq"], json!(number), "what was refused has no number");
        ids.push(text(&made, "release_id").to_owned());
    }
    let tag = format!("{project}/endpoints/draw/tags/prod");
    let moved = scene.json("PUT", &tag, &json!({"release_id": ids[0]}), 200).await;
    assert_eq!(moved["generation"], json!(1));
    scene.json("POST", &format!("{project}/promote"), &json!({"release_id": ids[1]}), 200).await;
    let back = scene.json("POST", &format!("{tag}/rollback"), &json!({}), 200).await;
    assert_eq!((&back["release_id"], &back["generation"]), (&json!(ids[0]), &json!(3)));
    let next = format!("{project}/endpoints/draw/tags/next");
    scene.json("PUT", &next, &json!({"release_id": ids[2]}), 200).await;
    scene.twice("DELETE", &next, b"", 204).await;
    scene.twice("DELETE", &format!("{project}/releases/{}", ids[2]), b"", 204).await;
}
