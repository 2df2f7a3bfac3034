//! Sessions of a repository.

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    Blake3Hash, HubRef,
    api::{CommitMode, SessionOpen, UploadSource, UploadStart},
    client::{HubClient, HubClientOptions, HubError, UploadTarget},
    model_ref::RepoName,
    names::ServerId,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;
use serde_json::{Value, json};

use crate::{
    finalize::safetensors,
    grants::Session,
    server::{Server, adding, announced_path, content},
    sign::Signing,
};

/// Brings a file with a grant.
async fn save(server: &Server, session: &Session, path: &str, bytes: &[u8]) -> Result<()> {
    let (id, grant) = session.grant(path, bytes).await?;
    let (status, text) = Signing::new(&grant, "PUT", "", bytes).send(&server.http, bytes.to_vec()).await?;
    assert_eq!(status, 200, "{text}");
    session.complete(&id, &grant, bytes).await?;
    Ok(())
}

fn session_id(session: &Session) -> Result<&ServerId> {
    match &session.target {
        UploadTarget::Revision { session, .. } => Ok(session),
        UploadTarget::Media { .. } => anyhow::bail!("a session"),
    }
}

async fn finalize(server: &Server, session: &Session, body: &Value) -> Result<(u16, Value)> {
    let token = server.token("acme", &[(Area::Repo, Right::Write, "acme")], ByteLimits::default())?;
    let url = format!("{}/api/v1/repos/acme/model/revisions/{}/finalize", server.url, session_id(session)?);
    let reply = server.http.post(url).bearer_auth(token.reveal()).body(body.to_string()).send().await?;
    Ok((reply.status().as_u16(), serde_json::from_str(&reply.text().await?)?))
}

fn manifest(files: &[(&str, &[u8])]) -> Value {
    let entry = |(path, bytes): &(&str, &[u8])| {
        let digest = format!("blake3:{}", Blake3Hash::of(bytes));
        json!({"path": path, "digest": digest, "size_bytes": bytes.len()})
    };
    files.iter().map(entry).collect()
}

async fn reads(server: &Server, grants: &[(Area, Right, &str)], bytes: &[u8]) -> Result<u16> {
    let url = format!("{}/api/v1/blobs/blake3:{}/content", server.url, Blake3Hash::of(bytes));
    let token = server.token("acme", grants, ByteLimits::default())?;
    Ok(server.http.get(url).bearer_auth(token.reveal()).send().await?.status().as_u16())
}

#[tokio::test]
async fn h6_19_the_route_of_commits_completes_uploads_of_commits_of_its_repository_only() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let bytes = content(10, 1);
    let opened = client.create_commit(&"acme/model".parse()?, &adding(CommitMode::Replace, &[("a", &bytes)])?).await?;
    let upload = opened.uploads.first().context("an upload")?;
    let UploadSource::Parts(urls) = &upload.source else { anyhow::bail!("parts") };
    let request = server.put_parts(urls, &bytes).await?;
    let complete = async |repo: &str, commit: &ServerId, upload: &ServerId| {
        let repo = repo.parse().expect("a repository");
        client.complete_commit_upload(&repo, commit, upload, &request).await
    };
    let other = complete("acme/other", &opened.revision_id, &upload.upload_id).await;
    assert!(matches!(other, Err(HubError::NotFound { .. })), "{other:?}");
    complete("acme/model", &opened.revision_id, &upload.upload_id).await?;
    // What came by a grant has hashes of its own kind, which its own route checks.
    let session = Session::open(&server).await?;
    let two = content(10, 2);
    let (id, grant) = session.grant("b", &two).await?;
    let (status, text) = Signing::new(&grant, "PUT", "", &two).send(&server.http, two.clone()).await?;
    assert_eq!(status, 200, "{text}");
    let taken = complete("acme/model", session_id(&session)?, &id).await;
    assert!(matches!(taken, Err(HubError::NotFound { .. })), "{taken:?}");
    session.complete(&id, &grant, &two).await?;
    Ok(())
}

#[tokio::test]
async fn h6_20_a_session_reads_the_headers_of_its_weights_as_a_commit_does() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let session = Session::open(&server).await?;
    let weights = safetensors(&["BF16", "BF16", "F32"]);
    save(&server, &session, "model.safetensors", &weights).await?;
    let body = json!({"checkpoint_flavors": [{"snapshot_manifest": manifest(&[("a.safetensors", &weights)])}]});
    let (status, reply) = finalize(&server, &session, &body).await?;
    assert_eq!((status, &reply["checkpoints"][0]["dtype"]), (200, &json!("bf16")), "{reply}");
    Ok(())
}

#[tokio::test]
async fn h5_5_a_session_ends_with_all_of_its_checkpoints_or_with_none() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let session = Session::open(&server).await?;
    let (one, two) = (content(10, 1), content(3000, 2));
    save(&server, &session, "model.safetensors", &one).await?;
    let body = json!({"tags": [{"tag": "v1"}], "auto_create_external_parent": true, "checkpoint_flavors": [
        {"snapshot_manifest": manifest(&[("a", &one)]), "flavor": "bf16", "flavors": [], "lineage": []},
        {"snapshot_manifest": manifest(&[("a", &two), ("gone", &one)]), "flavor": "fp8", "deletions": ["gone"]},
    ]});
    let (status, reply) = finalize(&server, &session, &body).await?;
    assert_eq!(
        (status, &reply["error"]["code"], &reply["error"]["missing"]),
        (409, &json!("upload_incomplete"), &json!(["a"]))
    );
    let tags: Vec<Value> = (0..65).map(|number| json!({"tag": format!("t{number}")})).collect();
    assert_eq!(finalize(&server, &session, &json!({"tags": tags})).await?.0, 422, "too many tags");
    let reader = server.client("acme", &[])?;
    let resolve = async |text: &str| reader.resolve(&HubRef::parse(text)?).await.map_err(anyhow::Error::from);
    assert!(resolve("acme/model:v1#bf16").await.is_err(), "the repository is as it was");
    save(&server, &session, "second.safetensors", &two).await?;
    let (status, reply) = finalize(&server, &session, &body).await?;
    assert_eq!(status, 200, "{reply}");
    let ids: Vec<&str> = reply["checkpoints"]
        .as_array()
        .context("a list")?
        .iter()
        .filter_map(|one| one["checkpoint_id"].as_str())
        .collect();
    assert_eq!(ids.len(), 2);
    for (flavor, id) in ["bf16", "fp8"].into_iter().zip(ids) {
        let found = resolve(&format!("acme/model:v1#{flavor}")).await?;
        assert_eq!(format!("blake3:{}", found.snapshot), id);
        assert_eq!(found.files.len(), 1);
    }
    assert_eq!(finalize(&server, &session, &json!({})).await?, (200, reply), "the same answer again");
    let (create, local) = announced_path("b", &content(7, 7))?;
    let closed = session.client.create_upload(&session.target, &create, &local).await;
    assert_eq!(closed.unwrap_err().code(), Some("commit_closed"));
    Ok(())
}

#[tokio::test]
async fn h5_4_what_a_session_brought_is_there_for_a_day_for_who_may_read_the_repository() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let session = Session::open(&server).await?;
    let bytes = content(3000, 1);
    save(&server, &session, "step-1/a", &bytes).await?;
    let own = [(Area::Repo, Right::Read, "acme")];
    assert_eq!(reads(&server, &own, &bytes).await?, 200);
    assert_eq!(reads(&server, &[(Area::Repo, Right::Read, "eve")], &bytes).await?, 404);
    server.clock.advance(24 * 3600 - 1);
    server.hub.tidy().await?;
    assert_eq!(reads(&server, &own, &bytes).await?, 200);
    server.clock.advance(1);
    server.hub.tidy().await?;
    assert_eq!(reads(&server, &own, &bytes).await?, 404);
    assert_eq!(finalize(&server, &session, &json!({})).await?.0, 410);
    server.clock.advance(24 * 3600 + 1);
    server.hub.tidy().await?;
    assert_eq!(crate::uploads::files_below(directory.path()), 0);
    Ok(())
}

#[tokio::test]
async fn h5_1_a_session_is_opened_by_who_may_write_and_can_be_given_up() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let repo: RepoName = "acme/model".parse()?;
    let reader = server.client("acme", &[(Area::Repo, Right::Read, "acme")])?;
    let refused = reader.open_session(&repo, &SessionOpen::default()).await;
    assert!(matches!(refused, Err(HubError::Auth { .. })), "{refused:?}");
    let session = Session::open(&server).await?;
    let opened = session.client.open_session(&repo, &SessionOpen::default()).await?;
    assert_eq!(opened.expires_at, Some(json!("1970-01-13T13:46:40Z")));
    let bytes = content(9, 1);
    let (id, grant) = session.grant("a", &bytes).await?;
    session.client.abort_upload(&session.target, &id).await;
    assert!(session.complete(&id, &grant, &bytes).await.is_err());
    session.client.abort_session(&repo, session_id(&session)?).await;
    assert!(session.grant("a", &bytes).await.is_err());
    Ok(())
}

#[tokio::test]
async fn h4_4_content_that_the_owner_has_needs_no_transfer() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let session = Session::open(&server).await?;
    let bytes = content(9, 1);
    save(&server, &session, "a", &bytes).await?;
    let (create, local) = announced_path("b/c", &bytes)?;
    let UploadStart::Done(file) = session.client.create_upload(&session.target, &create, &local).await? else {
        anyhow::bail!("it is known");
    };
    assert_eq!((file.reference.as_str(), file.blake3), ("b/c", Blake3Hash::of(&bytes)));
    assert_eq!(file.sha256, Some(gen_worker_hub::Digest::sha256(&bytes).hex()));
    // In another repository of another owner the same hash says nothing.
    let client = server.writer("eve")?;
    let repo: RepoName = "eve/model".parse()?;
    let opened = client.open_session(&repo, &SessionOpen::default()).await?.session_id;
    let target = UploadTarget::Revision { repo, session: opened };
    let wanted = client.create_upload(&target, &create, &local).await?;
    assert!(matches!(wanted, UploadStart::Transfer { .. }));
    Ok(())
}

#[tokio::test]
async fn h5_6_the_first_write_makes_the_repository_if_the_token_may_write_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let of = |name: &str| -> Result<HubClient> {
        let token = Some(server.token_of("acme", &[(Area::Repo, Right::Write, "acme", name)])?);
        Ok(HubClient::new(HubClientOptions { base_url: server.url.clone(), token, ..HubClientOptions::default() })?)
    };
    let operator = HubClientOptions {
        base_url: server.url.clone(),
        token: Some(server.operator()),
        ..HubClientOptions::default()
    };
    let operator = HubClient::new(operator)?;
    let is_there = async |repo: &RepoName| anyhow::Ok(operator.metadata(repo).await?.is_some_and(|found| found.exists));
    let [model, commit, attributes]: [RepoName; 3] =
        ["acme/model".parse()?, "acme/commit".parse()?, "acme/attributes".parse()?];
    let (other, one) = (of("other")?, adding(CommitMode::Replace, &[("a", b"1")])?);
    let refused = [
        other.open_session(&model, &SessionOpen::default()).await.err(),
        other.create_commit(&commit, &one).await.err(),
        other.put_metadata(&attributes, &serde_json::Map::new()).await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(HubError::Auth { status: 403, .. })), "{error:?}");
    }
    for repo in [&model, &commit, &attributes] {
        assert!(!is_there(repo).await?, "{repo}");
    }
    let client = of("model")?;
    let session = client.open_session(&model, &SessionOpen::default()).await?.session_id;
    let session = Session { client, target: UploadTarget::Revision { repo: model.clone(), session } };
    save(&server, &session, "a", b"1").await?;
    let body = json!({"checkpoint_flavors": [{"snapshot_manifest": manifest(&[("a", b"1")])}]});
    assert_eq!(finalize(&server, &session, &body).await?.0, 200);
    server.commit(&of("commit")?, &commit, &one, &[b"1"]).await?;
    of("attributes")?.put_metadata(&attributes, &serde_json::Map::new()).await?;
    for repo in [&model, &commit, &attributes] {
        assert!(is_there(repo).await?, "{repo}");
    }
    Ok(())
}
