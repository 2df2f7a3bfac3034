//! Refs as older workers resolve them.

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    api::CommitMode,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;
use serde_json::{Value, json};

use crate::server::{Server, adding};

/// What a worker of `owner` is told.
async fn ask(server: &Server, owner: &str, path: &str, body: Option<Value>) -> Result<(u16, Value)> {
    let url = format!("{}/api/v1/repos/acme/model/{path}", server.url);
    let token = server.token(owner, &[(Area::Repo, Right::Read, owner)], ByteLimits::default())?;
    let request = match body {
        Some(body) => server.http.post(url).body(body.to_string()),
        None => server.http.get(url),
    };
    let reply = request.bearer_auth(token.reveal()).send().await?;
    let status = reply.status().as_u16();
    Ok((status, serde_json::from_slice(&reply.bytes().await?)?))
}

#[tokio::test]
async fn h11_5_an_older_worker_resolves_what_it_prefers_or_hears_that_nothing_fits() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let client = server.writer("acme")?;
    let repo = "acme/model".parse()?;
    let mut digests = Vec::new();
    for (flavor, bytes) in [("fp8", &b"eight"[..]), ("bf16", b"sixteen")] {
        let mut commit = adding(CommitMode::Replace, &[("weights.bin.txt", bytes)])?;
        commit.flavor = flavor.to_owned();
        digests.push(server.commit(&client, &repo, &commit, &[bytes]).await?.checkpoint_id.to_string());
    }
    let resolve = async |body| ask(&server, "acme", "resolve", Some(body)).await;
    // Nothing is preferred: as everybody else (3.10).
    let (status, found) = resolve(json!({"tag": "latest", "include_urls": true, "capabilities": {"gpu": "x"}})).await?;
    assert_eq!(
        (status, &found["snapshot_digest"], &found["version_id"]),
        (200, &json!(digests[1]), &json!(digests[1]))
    );
    let (status, found) = resolve(json!({"preferences": {"flavors": ["int4:nf4", "FP8", "bf16"]}})).await?;
    assert_eq!(
        (status, &found["artifact"]["flavor"], &found["variant"]["flavor"]),
        (200, &json!("fp8"), &json!("fp8"))
    );
    let manifest = &found["snapshot_manifest"];
    assert_eq!(manifest["files"], manifest["entries"]);
    let file = &manifest["files"][0];
    assert_eq!((&file["path"], &file["size_bytes"]), (&json!("weights.bin.txt"), &json!(5)));
    let bytes = server.http.get(file["url"].as_str().context("an address")?).send().await?.bytes().await?;
    assert_eq!(&bytes[..], b"eight");
    let (status, refused) = resolve(json!({"preferences": {"flavors": ["int4:nf4"]}})).await?;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("nothing_compatible")));
    // By digest, without addresses, and by the route of snapshots.
    let (status, found) = resolve(json!({"digest": digests[0], "include_urls": false})).await?;
    assert_eq!((status, &found["snapshot_manifest"]["files"][0]["url"]), (200, &Value::Null));
    let path = format!("snapshots/{}/manifest", digests[0]);
    let (status, manifest) = ask(&server, "acme", &path, None).await?;
    assert_eq!((status, &manifest["entries"][0]["size_bytes"]), (200, &json!(5)));
    for (body, status) in [(json!({"tag": "v9"}), 404), (json!({"digest": "x"}), 404), (json!({"tag": 7}), 422)] {
        assert_eq!(resolve(body).await?.0, status);
    }
    // By digest alone, and how far the repository is.
    let objects = async |owner: &str, digest: &str| -> Result<(u16, Value)> {
        let token = server.token(owner, &[(Area::Repo, Right::Read, owner)], ByteLimits::default())?;
        let url = format!("{}/api/v1/objects/{digest}/manifest", server.url);
        let reply = server.http.get(url).bearer_auth(token.reveal()).send().await?;
        Ok((reply.status().as_u16(), serde_json::from_slice(&reply.bytes().await?)?))
    };
    let (status, manifest) = objects("acme", &digests[0]).await?;
    assert_eq!((status, &manifest["files"][0]["path"]), (200, &json!("weights.bin.txt")));
    for (owner, digest) in [("other", digests[0].as_str()), ("acme", "blake3:00"), ("acme", "x")] {
        assert_eq!(objects(owner, digest).await?.0, 404, "{owner} {digest}");
    }
    assert_eq!(resolve(json!({})).await?.1["repo_revision_seq"], json!(2));
    // To others it is not there.
    assert_eq!(ask(&server, "other", "resolve", Some(json!({}))).await?.0, 404);
    assert_eq!(ask(&server, "other", &path, None).await?.0, 404);
    Ok(())
}
