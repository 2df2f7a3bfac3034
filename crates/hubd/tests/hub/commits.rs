//! Commits, tags and resolves.

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    Blake3Hash, Digest, HubRef,
    api::{CommitCreate, CommitMode, CommitOperation, CommitTag, Resolved},
    client::{HubClient, HubError},
    model_ref::RepoName,
    token::{Area, Right},
};
use gen_worker_hubd::{Asker, Direct, Seen, Visibility};

use crate::server::{PART, Server, adding, content};

async fn resolve(client: &HubClient, reference: &str) -> Result<Resolved, HubError> {
    let reference = HubRef::parse(reference).expect("a ref");
    client.resolve(&reference).await
}

fn paths(resolved: &Resolved) -> Vec<&str> {
    resolved.files.iter().map(|file| file.path.as_str()).collect()
}

fn model() -> Result<RepoName> {
    Ok("acme/model".parse()?)
}

#[tokio::test]
async fn h6_12_a_commit_is_a_checkpoint_that_everyone_can_pull() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let big = content(5 * PART + 1, 1);
    // 6.4: an empty file has one empty part; 6.19: one content is sent once.
    let files: [(&str, &[u8]); 4] =
        [("config.json", b"{}"), ("empty", b""), ("unet/model.safetensors", &big), ("copy", &big)];
    let commit = adding(CommitMode::Replace, &files)?;
    assert_eq!(client.create_commit(&model()?, &commit).await?.uploads.len(), 3);
    let done = server.commit(&client, &model()?, &commit, &[b"{}", b"", &big]).await?;
    let anyone = server.client("x", &[])?;
    let resolved = resolve(&anyone, "Acme/Model").await?;
    assert_eq!(resolved.snapshot.as_str(), done.checkpoint_id.hex());
    assert_eq!(paths(&resolved), ["config.json", "copy", "empty", "unet/model.safetensors"]);
    for file in &resolved.files {
        let gen_worker_hub::api::FileSource::Url(url) = &file.source else { anyhow::bail!("an address") };
        let bytes = server.http.get(url.reveal()).send().await?.error_for_status()?.bytes().await?;
        assert_eq!((bytes.len() as u64, Blake3Hash::of(&bytes)), (file.size_bytes, file.blake3));
    }
    // 6.21 and 6.12: the same tree again is the same checkpoint, and nothing is sent.
    let again = client.create_commit(&model()?, &commit).await?;
    assert!(again.uploads.is_empty());
    assert_eq!(client.finalize_commit(&model()?, &again.revision_id).await?, done);
    assert_eq!(client.finalize_commit(&model()?, &again.revision_id).await?, done);
    Ok(())
}

#[tokio::test]
async fn h6_16_tags_and_flavors_move_with_the_commit_and_resolve_picks_among_them() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let mut digests = Vec::new();
    for flavor in ["bf16", "int4:nf4"] {
        let mut commit = adding(CommitMode::Replace, &[("w.safetensors", flavor.as_bytes())])?;
        commit.flavor = flavor.to_owned();
        commit.tags = vec![CommitTag { tag: "v1".parse()?, default_flavor: None }];
        let done = server.commit(&client, &model()?, &commit, &[flavor.as_bytes()]).await?;
        assert_eq!(done.normalized_flavor.as_deref(), flavor.contains(':').then_some("int4-nf4"));
        digests.push(done.checkpoint_id);
    }
    let named = async |reference: &str| anyhow::Ok(resolve(&client, reference).await?.snapshot.to_string());
    for tag in ["latest", "v1"] {
        assert_eq!(named(&format!("acme/model:{tag}")).await?, digests[0].hex());
        assert_eq!(named(&format!("acme/model:{tag}#int4-nf4")).await?, digests[1].hex());
    }
    assert_eq!(resolve(&client, "acme/model").await?.sibling_flavors.len(), 1);
    assert_eq!(named(&format!("acme/model@{}", digests[1])).await?, digests[1].hex());
    for nothing in ["acme/other", "acme/model:v2", "acme/model#fp8", &format!("acme/model@{}", Digest::sha256(b""))] {
        assert!(matches!(resolve(&client, nothing).await, Err(HubError::NotFound { .. })), "{nothing}");
    }
    // 3.11: the checkpoint is there, but not under this flavor.
    let other = resolve(&client, &format!("acme/model@{}#bf16", digests[1])).await;
    assert!(matches!(other, Err(HubError::NotFound { .. })), "{other:?}");
    Ok(())
}

#[tokio::test]
async fn h3_12_a_tree_is_found_by_its_other_digest_too() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let files: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("unet/model.safetensors", b"weights-bytes")];
    server.commit(&client, &model()?, &adding(CommitMode::Replace, &files)?, &[b"{}", b"weights-bytes"]).await?;
    let alias = "sha256:603834f571421222d7a8d38a37c7f0f2a22a2094d661c1a5d08783a9161043fe";
    let resolved = resolve(&client, &format!("acme/model@{alias}")).await?;
    let digest = "f2fa47032890b6d843bbc766c06168797a6c6a846f192143fd52f698a810ef77";
    assert_eq!(resolved.snapshot.as_str(), digest);
    Ok(())
}

#[tokio::test]
async fn h6_18_a_commit_whose_files_did_not_come_changes_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    server.commit(&client, &model()?, &adding(CommitMode::Replace, &[("a", b"1")])?, &[b"1"]).await?;
    let before = resolve(&client, "acme/model").await?.snapshot;
    let half = client.create_commit(&model()?, &adding(CommitMode::Replace, &[("a", b"1"), ("b", b"2")])?).await?;
    let refused = client.finalize_commit(&model()?, &half.revision_id).await.unwrap_err();
    assert_eq!(refused.code(), Some("upload_incomplete"));
    assert_eq!(resolve(&client, "acme/model").await?.snapshot, before);
    client.abort_commit(&model()?, &half.revision_id).await;
    let closed = client.finalize_commit(&model()?, &half.revision_id).await.unwrap_err();
    assert_eq!(closed.code(), Some("commit_closed"));
    assert_eq!(resolve(&client, "acme/model").await?.snapshot, before);
    Ok(())
}

#[tokio::test]
async fn h6_13_merges_that_race_lose_no_file() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let name = model()?;
    let names: Vec<String> = (0..16).map(|number| format!("file-{number:02}")).collect();
    let commits = names.iter().map(|path| async {
        let commit = adding(CommitMode::Merge, &[(path, path.as_bytes())])?;
        server.commit(&client, &name, &commit, &[path.as_bytes()]).await
    });
    futures::future::try_join_all(commits).await?;
    assert_eq!(paths(&resolve(&client, "acme/model").await?), names);
    Ok(())
}

#[tokio::test]
async fn h3_5_a_private_repository_is_not_there_for_others() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let client = server.writer("acme")?;
    server.commit(&client, &model()?, &adding(CommitMode::Replace, &[("a", b"1")])?, &[b"1"]).await?;
    assert!(resolve(&client, "acme/model").await.is_ok());
    for stranger in [server.client("x", &[])?, server.writer("eve")?] {
        assert!(matches!(resolve(&stranger, "acme/model").await, Err(HubError::NotFound { .. })));
    }
    let refused = server.writer("eve")?.create_commit(&model()?, &adding(CommitMode::Replace, &[("a", b"1")])?).await;
    assert!(matches!(refused, Err(HubError::Auth { .. })), "{refused:?}");
    // To know a hash is not to have the content: eve has to bring it.
    let theirs = server.writer("eve")?;
    let created = theirs.create_commit(&"eve/model".parse()?, &adding(CommitMode::Replace, &[("a", b"1")])?).await?;
    assert_eq!(created.uploads.len(), 1);
    Ok(())
}

#[tokio::test]
async fn h3_5_a_program_that_runs_the_hub_sees_as_a_tenant_what_that_tenant_may_see() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let direct = Direct::new(server.hub.clone());
    let reference = HubRef::parse("Acme/Model").expect("a ref");
    assert!(matches!(direct.resolve(&reference, Asker::Operator).await?, Seen::Gone));
    let client = server.writer("acme")?;
    server.commit(&client, &model()?, &adding(CommitMode::Replace, &[("a", b"1")])?, &[b"1"]).await?;
    for own in [Asker::Operator, Asker::Tenant("acme"), Asker::Tenant("ACME")] {
        let Seen::There(resolved) = direct.resolve(&reference, own).await? else { panic!("{own:?}") };
        assert_eq!(paths(&resolved), ["a"]);
    }
    for stranger in ["eve", "", "acme/model", "acm"] {
        assert!(matches!(direct.resolve(&reference, Asker::Tenant(stranger)).await?, Seen::Hidden), "{stranger}");
    }
    let url = format!("{}/api/v1/repos/acme/model/visibility", server.url);
    let put = server.http.put(url).bearer_auth(server.operator().reveal()).body(r#"{"visibility": "public"}"#);
    assert_eq!(put.send().await?.status().as_u16(), 200);
    assert!(matches!(direct.resolve(&reference, Asker::Tenant("eve")).await?, Seen::There(_)));
    let nowhere = HubRef::parse("acme/model:v9").expect("a ref");
    assert!(matches!(direct.resolve(&nowhere, Asker::Tenant("acme")).await?, Seen::Gone));
    Ok(())
}

#[tokio::test]
async fn h6_18_commits_that_contradict_themselves_or_are_too_large_are_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let refused = async |change: fn(&mut CommitCreate)| -> Result<Option<String>> {
        let mut commit = adding(CommitMode::Replace, &[("a", b"1"), ("b", b"1")])?;
        change(&mut commit);
        let error = client.create_commit(&model()?, &commit).await.err().context("it is taken")?;
        Ok(error.code().map(str::to_owned))
    };
    assert_eq!(refused(two_sizes).await?.as_deref(), Some("invalid_commit"));
    assert_eq!(refused(many_flavors).await?.as_deref(), Some("invalid_commit"));
    assert_eq!(refused(many_parts).await?.as_deref(), Some("commit_too_large"));
    assert!(resolve(&client, "acme/model").await.is_err(), "nothing of them is there");
    Ok(())
}

fn two_sizes(commit: &mut CommitCreate) {
    if let Some(CommitOperation::Add { size_bytes, .. }) = commit.operations.last_mut() {
        *size_bytes = 999;
    }
}

fn many_flavors(commit: &mut CommitCreate) {
    commit.flavors = (0..65).map(|number| format!("f{number}")).collect();
}

/// A thousand files of a thousand parts.
fn many_parts(commit: &mut CommitCreate) {
    commit.operations = (0..1_000_u32)
        .filter_map(|number| {
            let (path, blake3) = (format!("f{number}").parse().ok()?, Blake3Hash::of(&number.to_le_bytes()));
            Some(CommitOperation::Add { path, blake3, size_bytes: 1_000 * PART as u64 })
        })
        .collect();
}

#[tokio::test]
async fn h6_20_reserved_attributes_and_bad_paths_are_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let mut commit = adding(CommitMode::Replace, &[("a", b"1")])?;
    commit.metadata.insert("_secret".to_owned(), 1.into());
    let refused = client.create_commit(&model()?, &commit).await.unwrap_err();
    assert_eq!(refused.code(), Some("reserved_attribute"));
    let limits = gen_worker_hub::token::ByteLimits::default();
    let token = server.token("acme", &[(Area::Repo, Right::Write, "acme")], limits)?;
    let post = async |operations: serde_json::Value| {
        let body = serde_json::json!({"operations": operations, "mode": "replace"}).to_string();
        let url = format!("{}/api/v1/repos/acme/model/commits", server.url);
        anyhow::Ok(server.http.post(url).bearer_auth(token.reveal()).body(body).send().await?.status())
    };
    let add = |path: &str| serde_json::json!({"type": "add", "path": path, "blake3": "0".repeat(64), "size_bytes": 1});
    for path in ["../a", "a/../b", "/a", "a\\b", "", "a//b"] {
        assert_eq!(post(serde_json::json!([add(path)])).await?, 422, "{path}");
    }
    for clash in [["a", "a"], ["a", "A"], ["a", "a/b"]] {
        assert_eq!(post(clash.iter().map(|path| add(path)).collect()).await?, 422, "{clash:?}");
    }
    assert_eq!(post(serde_json::json!([])).await?, 422);
    assert_eq!(post(serde_json::json!([add("a")])).await?, 201);
    Ok(())
}

#[tokio::test]
async fn h6_22_pickled_weights_are_kept_but_not_chosen_unnamed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let mut commit = adding(CommitMode::Replace, &[("model.ckpt", b"1")])?;
    commit.flavor = "bf16".to_owned();
    server.commit(&client, &model()?, &commit, &[b"1"]).await?;
    assert!(matches!(resolve(&client, "acme/model").await, Err(HubError::NotFound { .. })));
    assert!(resolve(&client, "acme/model#bf16").await.is_ok());
    Ok(())
}

#[tokio::test]
async fn h3_13_who_has_no_token_may_ask_so_often_in_a_minute() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let anyone = server.client("x", &[])?;
    for _ in 0..20 {
        assert!(matches!(resolve(&anyone, "acme/model").await, Err(HubError::NotFound { .. })));
    }
    assert!(matches!(resolve(&anyone, "acme/model").await, Err(HubError::RateLimited { .. })));
    assert!(matches!(resolve(&server.writer("acme")?, "acme/model").await, Err(HubError::NotFound { .. })));
    server.clock.advance(60);
    assert!(matches!(resolve(&anyone, "acme/model").await, Err(HubError::NotFound { .. })));
    Ok(())
}

#[tokio::test]
async fn h6_3_a_tree_of_many_files_is_opened_in_the_order_it_was_sent() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let names: Vec<String> = (0..1_000).rev().map(|number| format!("file-{number:04}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let created = client.create_commit(&model()?, &adding(CommitMode::Replace, &files)?).await?;
    let wanted: Vec<&str> = created.uploads.iter().map(|upload| upload.path.as_str()).collect();
    assert_eq!(wanted, names);
    client.abort_commit(&model()?, &created.revision_id).await;
    Ok(())
}

#[tokio::test]
async fn h6_5_a_create_that_comes_again_is_answered_with_the_first() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let grants = [(Area::Repo, Right::Write, "acme")];
    let token = server.token("acme", &grants, gen_worker_hub::token::ByteLimits::default())?;
    let url = |repo: &str| format!("{}/api/v1/repos/acme/{repo}/commits", server.url);
    let create = async |repo: &str, key: Option<&str>, paths: &[&str]| {
        let files: Vec<(&str, &[u8])> = paths.iter().map(|path| (*path, path.as_bytes())).collect();
        let body = serde_json::to_string(&adding(CommitMode::Replace, &files)?)?;
        let request = server.http.post(url(repo)).bearer_auth(token.reveal()).body(body);
        let reply = key.iter().fold(request, |request, key| request.header("idempotency-key", *key)).send().await?;
        anyhow::ensure!(reply.status() == 201, "{}", reply.status());
        anyhow::Ok(serde_json::from_slice::<serde_json::Value>(&reply.bytes().await?)?)
    };
    for key in [None, Some("k1")] {
        let first = create("model", key, &["a", "b"]).await?;
        assert_eq!(create("model", key, &["a", "b"]).await?, first, "down to the addresses");
        for other in [create("model", key, &["a"]).await?, create("other", key, &["a", "b"]).await?] {
            assert_ne!(other["revision_id"], first["revision_id"], "another body, or another place");
        }
    }
    // Without a name the words mean another commit after a while: who comes then begins anew.
    let plain = create("old", None, &["a"]).await?;
    let named = create("old", Some("k1"), &["a"]).await?;
    server.clock.advance(16 * 60);
    assert_ne!(create("old", None, &["a"]).await?["revision_id"], plain["revision_id"]);
    assert_eq!(create("old", Some("k1"), &["a"]).await?["revision_id"], named["revision_id"]);
    let other = create("model", Some("k2"), &["a", "b"]).await?;
    assert_ne!(other["revision_id"], create("model", Some("k1"), &["a", "b"]).await?["revision_id"]);
    let long = "k".repeat(129);
    assert!(create("model", Some(&long), &["a"]).await.is_err());
    // Two calls of our client are two commits, whatever they say.
    let client = server.writer("acme")?;
    let commit = adding(CommitMode::Replace, &[("a", b"a")])?;
    let ids = [client.create_commit(&model()?, &commit).await?, client.create_commit(&model()?, &commit).await?];
    assert_ne!(ids[0].revision_id, ids[1].revision_id);
    Ok(())
}
