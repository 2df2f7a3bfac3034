//! What the hub finds out when a commit becomes a checkpoint, and how long it may take.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    api::{CommitCreate, CommitMode},
    client::HubClient,
    names::ServerId,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::{Visibility, blobs::BlobStore};
use gen_worker_tasks::Scope;
use serde_json::{Value, json};

use crate::{
    gate::Gate,
    server::{Server, adding},
};

/// A file with these tensors.
pub fn safetensors(dtypes: &[&str]) -> Vec<u8> {
    let tensors = dtypes
        .iter()
        .enumerate()
        .map(|(at, dtype)| (format!("t{at}"), json!({"dtype": dtype, "shape": [0], "data_offsets": [0, 0]})));
    let header = Value::Object(tensors.collect()).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

/// Opens a commit and brings its bytes.
async fn brought(server: &Server, client: &HubClient, commit: &CommitCreate, contents: &[&[u8]]) -> Result<ServerId> {
    let repo = "acme/model".parse()?;
    let created = client.create_commit(&repo, commit).await?;
    server.bring(client, &repo, &created, contents).await?;
    Ok(created.revision_id)
}

async fn finalize(server: &Server, revision: &ServerId) -> Result<(u16, Value)> {
    let token = server.token("acme", &[(Area::Repo, Right::Write, "acme")], ByteLimits::default())?;
    let url = format!("{}/api/v1/repos/acme/model/commits/{revision}/finalize", server.url);
    let reply = server.http.post(url).bearer_auth(token.reveal()).send().await?;
    Ok((reply.status().as_u16(), serde_json::from_slice(&reply.bytes().await?)?))
}

#[tokio::test]
async fn h6_20_the_type_of_a_checkpoint_is_what_the_headers_show_not_what_the_client_says() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let (weights, more) = (safetensors(&["BF16", "BF16", "F32"]), safetensors(&["F32"]));
    // The second one says that its header is larger than any file.
    let broken = [&(2_u64 << 30).to_le_bytes()[..], b"{}"].concat();
    let files: [(&str, &[u8]); 4] =
        [("a.safetensors", &weights), ("b.safetensors", &broken), ("c.safetensors", b"x"), ("d.json", b"{}")];
    let mut commit = adding(CommitMode::Replace, &files)?;
    commit.dtype = "fp16".to_owned();
    let revision = brought(&server, &client, &commit, &[&weights, &broken, b"x", b"{}"]).await?;
    let (status, done) = finalize(&server, &revision).await?;
    assert_eq!((status, &done["dtype"]), (200, &json!("bf16")), "{done}");
    // A merge counts the weights that were there before.
    let commit = adding(CommitMode::Merge, &[("e.safetensors", &more)])?;
    let revision = brought(&server, &client, &commit, &[&more]).await?;
    assert_eq!(finalize(&server, &revision).await?.1["dtype"], "bf16");
    let url = format!("{}/api/v1/repos/acme/model/resolve", server.url);
    let resolved: Value = serde_json::from_slice(&server.http.get(url).send().await?.bytes().await?)?;
    assert_eq!(resolved["dtype"], "bf16");
    Ok(())
}

#[tokio::test]
async fn h6_21_a_long_finalize_runs_on_and_a_repeat_learns_what_came_of_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let gate = Gate::new();
    let blobs = BlobStore::remote(gate.objects(), Arc::new(Scope::new("hub-blobs")));
    let server =
        Server::start_over(directory.path(), blobs, |options| options.finalize_wait = Duration::from_millis(100))
            .await?;
    let client = server.writer("acme")?;
    let weights = safetensors(&["F16"]);
    let commit = adding(CommitMode::Replace, &[("a.safetensors", &weights)])?;
    let revision = brought(&server, &client, &commit, &[&weights]).await?;
    gate.close().await?;
    for _ in 0..2 {
        assert_eq!(finalize(&server, &revision).await?, (202, json!({"status": "running"})));
    }
    let reference = gen_worker_hub::HubRef::parse("acme/model")?;
    assert!(client.resolve(&reference).await.is_err(), "not yet");
    gate.open();
    let done = loop {
        let (status, reply) = finalize(&server, &revision).await?;
        if status != 202 {
            break (status, reply);
        }
    };
    assert_eq!((done.0, &done.1["dtype"]), (200, &json!("fp16")));
    assert_eq!(finalize(&server, &revision).await?, done, "the same again");
    let digest = done.1["checkpoint_id"].as_str().context("a digest")?;
    assert_eq!(client.resolve(&reference).await?.snapshot.to_string(), digest.trim_start_matches("blake3:"));
    Ok(())
}

#[tokio::test]
async fn h6_21_a_commit_keeps_nothing_of_its_operations_once_it_is_done() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let (one, other) = ("path-of-a-file-that-is-done", "path-of-a-file-that-is-given-up");
    let mut commit = adding(CommitMode::Replace, &[(one, b"1")])?;
    commit.message = "what it was for".to_owned();
    let revision = brought(&server, &client, &commit, &[b"1"]).await?;
    let done = finalize(&server, &revision).await?;
    let open = client.create_commit(&"acme/model".parse()?, &adding(CommitMode::Replace, &[(other, b"2")])?).await?;
    client.abort_commit(&"acme/model".parse()?, &open.revision_id).await;
    assert_eq!(finalize(&server, &revision).await?, done);
    server.stop().await;
    let store = rusqlite::Connection::open(directory.path().join("hub.db"))?;
    let bodies: i64 = store.query_row("SELECT count(*) FROM commit_bodies", [], |row| row.get(0))?;
    assert_eq!(bodies, 0);
    let about: String = store.query_row("SELECT about FROM abouts", [], |row| row.get(0))?;
    assert!(about.contains("what it was for") && !about.contains(one), "{about}");
    Ok(())
}

#[tokio::test]
async fn h6_18_a_finalize_names_the_files_that_are_missing_and_changes_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let (client, repo) = (server.writer("acme")?, "acme/model".parse()?);
    let first = adding(CommitMode::Replace, &[("old", b"0")])?;
    let before = server.commit(&client, &repo, &first, &[b"0"]).await?.checkpoint_id;
    let latest = async || anyhow::Ok(client.resolve(&gen_worker_hub::HubRef::parse("acme/model")?).await?.snapshot);
    let files: [(&str, &[u8]); 4] = [("c", b"3"), ("a/b", b"1"), ("d", b"2"), ("b", b"1")];
    let created = client.create_commit(&repo, &adding(CommitMode::Replace, &files)?).await?;
    let missing = async || {
        let (status, reply) = finalize(&server, &created.revision_id).await?;
        assert_eq!((status, reply["error"]["code"].as_str()), (409, Some("upload_incomplete")), "{reply}");
        let mut missing: Vec<String> = serde_json::from_value(reply["error"]["missing"].clone())?;
        missing.sort();
        assert_eq!(latest().await?.to_string(), before.hex());
        anyhow::Ok(missing)
    };
    assert_eq!(missing().await?, ["a/b", "b", "c", "d"]);
    let mut uploads = created.clone();
    uploads.uploads.retain(|upload| upload.path.as_str() == "d");
    server.bring(&client, &repo, &uploads, &[b"2"]).await?;
    assert_eq!(missing().await?, ["a/b", "b", "c"], "both paths of one content");
    uploads.uploads = created.uploads.iter().filter(|upload| upload.path.as_str() != "d").cloned().collect();
    server.bring(&client, &repo, &uploads, &[b"1", b"3"]).await?;
    let (status, done) = finalize(&server, &created.revision_id).await?;
    assert_eq!(status, 200, "{done}");
    assert_eq!(done["checkpoint_id"], format!("blake3:{}", latest().await?));
    Ok(())
}

#[tokio::test]
async fn h6_22_pickled_weights_are_taken_told_and_not_chosen_unless_they_are_named() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let bring = async |flavor: &str, path: &str, bytes: &[u8]| {
        let mut commit = adding(CommitMode::Replace, &[(path, bytes)])?;
        commit.flavor = flavor.to_owned();
        let revision = brought(&server, &client, &commit, &[bytes]).await?;
        let (status, done) = finalize(&server, &revision).await?;
        assert_eq!(status, 200, "{done}");
        assert_eq!(finalize(&server, &revision).await?, (200, done.clone()), "the same again");
        anyhow::Ok(done)
    };
    let resolve = async |reference: &str| {
        client.resolve(&gen_worker_hub::HubRef::parse(reference)?).await.map_err(anyhow::Error::from)
    };
    // `bf16` is what a default would choose first.
    for (number, name) in (1..).zip(["m.bin", "m.pt", "m.pth", "m.ckpt", "w/M.PKL"]) {
        let done = bring("bf16", name, &[number]).await?;
        assert_eq!(done["unsafe_weights"], true, "{name}: {done}");
    }
    assert!(resolve("acme/model").await.is_err(), "nothing else is there");
    assert_eq!(resolve("acme/model#bf16").await?.files[0].path.as_str(), "w/M.PKL");
    for (number, name) in (10..).zip(["m.safetensors", "m.bin.json", "pkl"]) {
        let done = bring("z", name, &[number]).await?;
        assert_eq!(done["unsafe_weights"], false, "{name}: {done}");
    }
    assert_eq!(resolve("acme/model").await?.files[0].path.as_str(), "pkl");
    assert_eq!(resolve("acme/model#bf16").await?.files[0].path.as_str(), "w/M.PKL");
    Ok(())
}
