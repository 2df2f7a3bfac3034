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
