//! Which tree a request means, and what a merge builds on.

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    HubRef,
    api::{CommitCreate, CommitFinalized, CommitMode, CommitTag, MergeBase},
    client::HubClient,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;
use serde_json::{Value, json};

use crate::server::{PART, Server, adding, content};

/// What a reader of `acme` is told of `acme/model`.
async fn ask(server: &Server, path: &str) -> Result<(u16, Value)> {
    let token = server.token("acme", &[(Area::Repo, Right::Read, "acme")], ByteLimits::default())?;
    let url = format!("{}/api/v1/repos/acme/model/{path}", server.url);
    let reply = server.http.get(url).bearer_auth(token.reveal()).send().await?;
    let status = reply.status().as_u16();
    Ok((status, serde_json::from_slice(&reply.bytes().await?)?))
}

/// Commits one file as a flavor.
async fn flavored(server: &Server, client: &HubClient, flavor: &str, path: &str) -> Result<CommitFinalized> {
    let content = format!("{flavor} of {path}");
    let mut commit = adding(CommitMode::Replace, &[(path, content.as_bytes())])?;
    commit.flavor = flavor.to_owned();
    server.commit(client, &"acme/model".parse()?, &commit, &[content.as_bytes()]).await
}

#[tokio::test]
async fn h3_11_a_digest_under_a_flavor_that_it_does_not_carry_is_not_there() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let client = server.writer("acme")?;
    let bf16 = flavored(&server, &client, "bf16", "a").await?.checkpoint_id;
    let fp8 = flavored(&server, &client, "fp8", "a").await?.checkpoint_id;
    for (digest, flavor, expected) in
        [(&bf16, "bf16", 200), (&fp8, "fp8", 200), (&bf16, "fp8", 404), (&fp8, "bf16", 404)]
    {
        let (status, reply) = ask(&server, &format!("resolve?digest={digest}&flavor={flavor}")).await?;
        assert_eq!(status, expected, "{digest} {flavor}: {reply}");
        if status == 200 {
            assert_eq!(reply["snapshot_digest"], json!(digest.hex()));
        }
    }
    // A label stays with the tree that had it, whatever its tag means by now.
    flavored(&server, &client, "bf16", "b").await?;
    assert_eq!(ask(&server, &format!("resolve?digest={bf16}&flavor=bf16")).await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn h3_14_a_file_of_many_parts_is_one_entry() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let big = content(9 * PART + 1, 1);
    let commit = adding(CommitMode::Replace, &[("unet/model.safetensors", &big)])?;
    let done = server.commit(&server.writer("acme")?, &"acme/model".parse()?, &commit, &[&big]).await?;
    let manifest = format!("snapshots/{}/manifest", done.checkpoint_id);
    for path in ["resolve", "resolve?tag=latest", &manifest] {
        let (status, reply) = ask(&server, path).await?;
        let files = reply["files"].as_array().context("files")?;
        let told: Vec<_> = files.iter().map(|file| (&file["path"], &file["size_bytes"])).collect();
        assert_eq!((status, told), (200, vec![(&json!("unet/model.safetensors"), &json!(big.len()))]), "{path}");
        let url = files[0]["url"].as_str().context("an address")?;
        assert_eq!(server.http.get(url).send().await?.bytes().await?, big, "one address has all of it");
    }
    Ok(())
}

#[tokio::test]
async fn h6_14_a_merge_builds_on_latest_whatever_its_flavor_unless_it_says_otherwise() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let (client, repo) = (server.writer("acme")?, "acme/model".parse()?);
    let fp8 = flavored(&server, &client, "fp8", "fp8.bin.txt").await?;
    let bf16 = flavored(&server, &client, "bf16", "bf16.bin.txt").await?;
    let merged = async |base: Option<MergeBase>| -> Result<Vec<String>> {
        let mut commit = adding(CommitMode::Merge, &[("added", b"new")])?;
        commit.flavor = "fp8".to_owned();
        commit.merge_base = base;
        let done = server.commit(&client, &repo, &commit, &[b"new"]).await?;
        let resolved = client.resolve(&HubRef::parse(&format!("acme/model@{}", done.checkpoint_id))?).await?;
        // What `fp8` means is as before, for the next one.
        let back = adding(CommitMode::Replace, &[("fp8.bin.txt", b"fp8 of fp8.bin.txt")])?;
        let back = CommitCreate { flavor: "fp8".to_owned(), ..back };
        assert_eq!(server.commit(&client, &repo, &back, &[]).await?.checkpoint_id, fp8.checkpoint_id);
        Ok(resolved.files.iter().map(|file| file.path.to_string()).collect())
    };
    for base in [None, Some(MergeBase::Latest), Some(MergeBase::Checkpoint(bf16.checkpoint_id))] {
        assert_eq!(merged(base.clone()).await?, ["added", "bf16.bin.txt"], "{base:?}");
    }
    for base in [MergeBase::Flavor, MergeBase::Checkpoint(fp8.checkpoint_id)] {
        assert_eq!(merged(Some(base.clone())).await?, ["added", "fp8.bin.txt"], "{base:?}");
    }
    let mut nowhere = adding(CommitMode::Merge, &[("added", b"new")])?;
    nowhere.merge_base = Some(MergeBase::Checkpoint(gen_worker_hub::Blake3Hash::of(b"no tree").into()));
    let refused = server.commit(&client, &repo, &nowhere, &[b"new"]).await.unwrap_err();
    let refused = refused.downcast::<gen_worker_hub::client::HubError>()?;
    assert_eq!(refused.code(), Some("invalid_commit"));
    Ok(())
}

#[tokio::test]
async fn h6_16_labels_that_are_none_are_refused_before_the_bytes_come() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let (client, repo) = (server.writer("acme")?, "acme/model".parse()?);
    let new = || adding(CommitMode::Replace, &[("a", b"1")]);
    let tag = CommitTag { tag: "v1".parse()?, default_flavor: Some("a b".to_owned()) };
    for commit in [
        CommitCreate { flavor: "a b".to_owned(), ..new()? },
        CommitCreate { flavors: vec!["fp8".to_owned(), "-fp8".to_owned()], ..new()? },
        CommitCreate { default_flavor: "a/b".to_owned(), ..new()? },
        CommitCreate { tags: vec![tag], ..new()? },
    ] {
        let refused = client.create_commit(&repo, &commit).await.unwrap_err();
        assert_eq!(refused.code(), Some("invalid_commit"), "{commit:?}");
    }
    // 6.17: what can be made a label is one. The type is only said of a tree, and labels nothing.
    let fits = CommitCreate { flavor: "INT4:nf4".to_owned(), dtype: "8 bits".to_owned(), ..new()? };
    let done = server.commit(&client, &repo, &fits, &[b"1"]).await?;
    assert_eq!(done.normalized_flavor.as_deref(), Some("int4-nf4"));
    Ok(())
}
