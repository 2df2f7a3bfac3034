//! What tokens may write and read.

use anyhow::{Result, bail};
use gen_worker_hub::{
    Blake3Hash, Digest,
    api::{CommitMode, UploadSource, UploadStart},
    client::{HubClient, HubError, UploadTarget},
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;

use crate::server::{PART, Server, adding, announced, content};

fn media(owner: &str) -> UploadTarget {
    UploadTarget::Media { owner: owner.to_owned() }
}

async fn save(server: &Server, client: &HubClient, reference: &str, bytes: &[u8]) -> Result<(), HubError> {
    let (create, local) = announced(reference, bytes).expect("a file");
    let started = client.create_upload(&media("acme"), &create, &local).await?;
    let UploadStart::Transfer { upload_id, source: UploadSource::Parts(urls) } = started else { return Ok(()) };
    let request = server.put_parts(&urls, bytes).await.expect("the parts are taken");
    client.complete_upload(&media("acme"), &upload_id, &request, &local).await?;
    Ok(())
}

fn limited(server: &Server, limits: ByteLimits) -> Result<HubClient> {
    let grants = [(Area::Media, Right::Write, "acme"), (Area::Repo, Right::Write, "acme")];
    let token = server.token("acme", &grants, limits)?;
    Ok(server.writer("acme")?.with_token(Some(token)))
}

#[tokio::test]
async fn h9_1_a_token_writes_no_larger_file_and_no_more_in_all_than_it_says() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let client = limited(&server, ByteLimits { total: Some(100), per_file: Some(60) })?;
    let code = |refused: Result<(), HubError>| refused.err().and_then(|error| error.code().map(str::to_owned));
    assert_eq!(code(save(&server, &client, "a", &content(61, 1)).await).as_deref(), Some("file_too_large"));
    save(&server, &client, "a", &content(60, 1)).await?;
    assert_eq!(code(save(&server, &client, "b", &content(41, 2)).await).as_deref(), Some("total_too_large"));
    // A new token of the same attempt has no more.
    let renewed = limited(&server, ByteLimits { total: Some(100), per_file: None })?;
    assert_eq!(code(save(&server, &renewed, "b", &content(41, 2)).await).as_deref(), Some("total_too_large"));
    let commit = |bytes: &[u8]| adding(CommitMode::Replace, &[("w", bytes), ("again", bytes)]);
    let name = "acme/model".parse()?;
    let refused = client.create_commit(&name, &commit(&content(41, 3))?).await.map(drop);
    assert_eq!(code(refused).as_deref(), Some("total_too_large"));
    let refused = client.create_commit(&name, &commit(&content(61, 3))?).await.map(drop);
    assert_eq!(code(refused).as_deref(), Some("file_too_large"));
    // What is given up is free again.
    let open = client.create_commit(&name, &commit(&content(40, 3))?).await?;
    assert_eq!(code(save(&server, &client, "b", &content(1, 2)).await).as_deref(), Some("total_too_large"));
    client.abort_commit(&name, &open.revision_id).await;
    save(&server, &client, "b", &content(40, 2)).await?;
    // Known content is not written again.
    save(&server, &client, "c", &content(60, 1)).await?;
    // The count outlives the process.
    server.stop().await;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let client = limited(&server, ByteLimits { total: Some(100), per_file: None })?;
    assert_eq!(code(save(&server, &client, "d", &content(1, 9)).await).as_deref(), Some("total_too_large"));
    Ok(())
}

#[tokio::test]
async fn h4_4_known_content_is_for_tokens_that_may_read_it_whatever_owner_is_named() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let bytes = content(10, 1);
    let commit = adding(CommitMode::Replace, &[("a", &bytes)])?;
    server.commit(&server.writer("acme")?, &"acme/secret".parse()?, &commit, &[&bytes]).await?;
    let (create, local) = announced("a", &bytes)?;
    // May write media of acme, but may not see its repositories.
    let media_only = server.client("acme", &[(Area::Media, Right::Write, "acme")])?;
    let opened = media_only.create_upload(&media("acme"), &create, &local).await?;
    assert!(matches!(opened, UploadStart::Transfer { .. }), "{opened:?}");
    // May write one other repository of the same owner.
    let token = server.token_of("acme", &[(Area::Repo, Right::Write, "acme", "other")])?;
    let other = server.writer("acme")?.with_token(Some(token));
    let opened = other.create_commit(&"acme/other".parse()?, &commit).await?;
    assert_eq!(opened.uploads.len(), 1, "it would be readable by naming its hash");
    assert!(matches!(other.blob(&Digest::from(Blake3Hash::of(&bytes)), 100).await, Err(HubError::NotFound { .. })));
    // May read it, and writes elsewhere.
    let grants = [(Area::Repo, Right::Read, "acme"), (Area::Repo, Right::Write, "eve")];
    let reader = server.client("eve", &grants)?;
    assert!(reader.create_commit(&"eve/copy".parse()?, &commit).await?.uploads.is_empty());
    let whole = server.writer("acme")?.create_upload(&media("acme"), &create, &local).await?;
    assert!(matches!(whole, UploadStart::Done(_)), "{whole:?}");
    Ok(())
}

#[tokio::test]
async fn h4_21_known_content_of_several_parts_is_told_with_its_sha256_as_well() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let bytes = content(3 * PART + 7, 1);
    let commit = adding(CommitMode::Replace, &[("a", &bytes)])?;
    server.commit(&client, &"acme/model".parse()?, &commit, &[&bytes]).await?;
    let (create, local) = announced("a", &bytes)?;
    // Several who ask at once, then one more.
    let target = media("acme");
    let ask = || client.create_upload(&target, &create, &local);
    let (one, two, three) = futures::try_join!(ask(), ask(), ask())?;
    for told in [one, two, three, ask().await?] {
        let UploadStart::Done(file) = told else { bail!("it is known: {told:?}") };
        assert_eq!(file.sha256, Some(Digest::sha256(&bytes).hex()));
    }
    Ok(())
}

#[tokio::test]
async fn the_owner_says_who_may_see_a_repository() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let commit = adding(CommitMode::Replace, &[("a", b"1")])?;
    server.commit(&server.writer("acme")?, &"acme/model".parse()?, &commit, &[b"1"]).await?;
    let url = format!("{}/api/v1/repos/acme/model/visibility", server.url);
    let put = async |url: &str, token: &gen_worker_hub::BearerToken, visibility: &str| {
        let body = serde_json::json!({"visibility": visibility}).to_string();
        anyhow::Ok(server.http.put(url).bearer_auth(token.reveal()).body(body).send().await?.status().as_u16())
    };
    let get = async || anyhow::Ok(server.http.get(&url).send().await?.status().as_u16());
    let one_repo = server.token_of("acme", &[(Area::Repo, Right::Write, "acme", "model")])?;
    let owner = server.token("acme", &[(Area::Repo, Right::Write, "acme")], ByteLimits::default())?;
    assert_eq!(get().await?, 404);
    assert_eq!(put(&url, &one_repo, "public").await?, 403, "a job may not publish what it may write");
    assert_eq!(put(&url, &owner, "everybody").await?, 422);
    assert_eq!(put(&url.replace("model", "none"), &owner, "public").await?, 404);
    assert_eq!(put(&url, &owner, "public").await?, 200);
    let said: serde_json::Value = serde_json::from_slice(&server.http.get(&url).send().await?.bytes().await?)?;
    assert_eq!(said, serde_json::json!({"visibility": "public"}));
    let stranger = server.client("x", &[])?;
    assert!(stranger.resolve(&gen_worker_hub::HubRef::parse("acme/model")?).await.is_ok());
    assert_eq!(put(&url, &server.operator(), "private").await?, 200);
    assert_eq!(get().await?, 404);
    Ok(())
}
