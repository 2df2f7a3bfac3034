//! How long addresses live, and how often strangers may ask for them.

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    Blake3Hash, HubRef,
    api::{CommitMode, FileSource, MediaUrlsRequest, UploadSource, UploadStart},
    client::{HubError, UploadTarget},
};
use gen_worker_hubd::{Direct, Visibility};
use serde_json::Value;

use crate::server::{PART, Server, adding, announced, content};

/// What an address has to live at least, in seconds.
const HOUR_S: u64 = 60 * 60;

/// What none lives.
const DAYS_S: u64 = 2 * 24 * HOUR_S;

/// Asks for a range of what an address points to.
async fn tail(server: &Server, url: &str) -> Result<(u16, Vec<u8>)> {
    let reply = server.http.get(url).header("range", "bytes=-2").send().await?;
    Ok((reply.status().as_u16(), reply.bytes().await?.to_vec()))
}

#[tokio::test]
async fn h3_9_every_address_that_reads_can_be_used_for_an_hour_and_none_for_ever() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let (client, bytes) = (server.writer("acme")?, content(PART, 1));
    let commit = adding(CommitMode::Replace, &[("a.dat", &bytes)])?;
    server.commit(&client, &"acme/data".parse()?, &commit, &[&bytes]).await?;
    let (create, local) = announced("outputs/a.txt", &bytes)?;
    let media = UploadTarget::Media { owner: "acme".to_owned() };
    let known = client.create_upload(&media, &create, &local).await?;
    assert!(matches!(known, UploadStart::Done(_)), "{known:?}");

    let begun_s = server.clock.now_s();
    let resolved = client.resolve(&HubRef::parse("acme/data")?).await?;
    let FileSource::Url(file) = &resolved.files[0].source else { anyhow::bail!("an address") };
    let refs = MediaUrlsRequest { refs: vec!["outputs/a.txt".parse()?] };
    let told = client.media_urls(&refs).await?;
    let media = told.urls.get("outputs/a.txt").context("a medium")?;
    let direct = Direct::new(server.hub.clone()).media_url("acme", "outputs/a.txt").await?.context("a medium")?;
    let urls = [file.reveal(), media.url.reveal(), direct.reveal()];
    // The last second of the hour, and one long after it.
    server.clock.advance(HOUR_S - 1);
    let end = bytes[PART - 2..].to_vec();
    for url in urls {
        assert_eq!(tail(&server, url).await?, (206, end.clone()));
    }
    assert!(media.expires_at.parse::<u64>()? >= begun_s + HOUR_S, "it says so: {}", media.expires_at);
    server.clock.advance(DAYS_S);
    for url in urls {
        let (status, said) = tail(&server, url).await?;
        let said: Value = serde_json::from_slice(&said)?;
        assert_eq!((status, said["error"]["code"].as_str()), (403, Some("url_expired")));
    }
    Ok(())
}

#[tokio::test]
async fn h3_9_a_part_can_be_sent_for_an_hour() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let (client, bytes) = (server.writer("acme")?, content(PART, 1));
    let (create, local) = announced("a", &bytes)?;
    let media = UploadTarget::Media { owner: "acme".to_owned() };
    let UploadStart::Transfer { source: UploadSource::Parts(urls), upload_id } =
        client.create_upload(&media, &create, &local).await?
    else {
        anyhow::bail!("parts are expected")
    };
    server.clock.advance(HOUR_S - 1);
    let request = server.put_parts(&urls, &bytes).await?;
    // Its token has not quite ended either.
    let file = client.complete_upload(&media, &upload_id, &request, &local).await?;
    assert_eq!(file.blake3, Blake3Hash::of(&bytes));
    Ok(())
}

#[tokio::test]
async fn h3_13_who_asks_too_often_is_told_when_to_come_again() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start_with(directory.path(), |options| {
        options.visibility = Visibility::Public;
        options.anonymous_per_minute = 2;
    })
    .await?;
    let writer = server.writer("acme")?;
    let commit = adding(CommitMode::Replace, &[("a", b"1")])?;
    server.commit(&writer, &"acme/model".parse()?, &commit, &[b"1"]).await?;
    let (stranger, reference) = (server.client("x", &[])?, HubRef::parse("acme/model")?);
    for _ in 0..2 {
        stranger.resolve(&reference).await?;
    }
    let told = async || match stranger.resolve(&reference).await {
        Err(HubError::RateLimited { retry_after, .. }) => Ok(retry_after.map(|after| after.as_secs())),
        other => anyhow::bail!("{other:?}"),
    };
    // Calls are counted by the minute, of which so much is left.
    let left_s = 60 - server.clock.now_s() % 60;
    assert!(left_s > 10, "the clock of the test: {left_s}");
    assert_eq!(told().await?, Some(left_s));
    server.clock.advance(10);
    assert_eq!(told().await?, Some(left_s - 10));
    // Who has a token is not counted.
    writer.resolve(&reference).await?;
    server.clock.advance(left_s - 11);
    assert_eq!(told().await?, Some(1));
    server.clock.advance(1);
    stranger.resolve(&reference).await?;
    Ok(())
}
