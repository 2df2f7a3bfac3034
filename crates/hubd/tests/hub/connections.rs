//! Clients that stop in the middle.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    api::{CommitMode, FileSource, UploadSource, UploadStart},
    client::UploadTarget,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    grants::Session,
    server::{PART, Server, adding, announced, content, http},
    sign::Signing,
};

/// So short that the tests are quick, so long that a client that works is not cut off.
const STALL: Duration = Duration::from_millis(500);

/// Sends the head of a request and a few bytes of its body, and reads until the hub ends the connection.
async fn half(server: &Server, head: &str) -> Result<String> {
    half_of(server, head, "hub").await
}

/// The same, to a host of this name.
async fn half_of(server: &Server, head: &str, host: &str) -> Result<String> {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").context("an address")?).await?;
    stream.write_all(format!("{head}\r\nhost: {host}\r\ncontent-length: 1000\r\n\r\n{{\"op").as_bytes()).await?;
    let mut reply = Vec::new();
    // What came before a reset counts as well.
    while stream.read_buf(&mut reply).await.is_ok_and(|read| read > 0) {}
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

#[tokio::test]
async fn a_body_that_stops_does_not_hold_its_connection() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start_with(directory.path(), |options| options.stall = STALL).await?;
    let token = server.token("acme", &[(Area::Repo, Right::Write, "acme")], ByteLimits::default())?;
    let head = format!("POST /api/v1/repos/acme/model/commits HTTP/1.1\r\nauthorization: Bearer {}", token.reveal());
    let reply = half(&server, &head).await?;
    assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains("\"stalled\""), "{reply}");
    Ok(())
}

#[tokio::test]
async fn a_refusal_before_the_body_has_come_says_that_the_connection_ends_and_no_other_does() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start_with(directory.path(), |options| options.stall = STALL).await?;
    let reply = half(&server, "POST /api/v1/datasets HTTP/1.1").await?;
    assert!(reply.starts_with("HTTP/1.1 401 ") && reply.contains("\r\nconnection: close\r\n"), "{reply}");
    // Refused for what is in it: it was read, and the next request comes over the same connection.
    let token = server.operator();
    let post = async || {
        let call = server.http.post(format!("{}/api/v1/datasets", server.url)).bearer_auth(token.reveal());
        call.body("[]").send().await
    };
    for reply in [post().await?, server.http.get(format!("{}/nothing", server.url)).send().await?] {
        assert!(reply.status().is_client_error() && !reply.headers().contains_key("connection"), "{reply:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_hears_a_refusal_that_came_before() -> Result<()> {
    // More than the kernel keeps for both ends of a connection.
    const BYTES: usize = 64 * 1024 * PART;
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").context("an address")?).await?;
    let head = format!("POST /api/v1/datasets HTTP/1.1\r\nhost: hub\r\ncontent-length: {BYTES}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b' '; BYTES]).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    assert!(reply.starts_with("HTTP/1.1 401 ") && reply.contains("\r\nconnection: close\r\n"), "{reply}");
    Ok(())
}

#[tokio::test]
async fn h8_2_who_has_no_token_is_refused_before_a_dataset_comes() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start_with(directory.path(), |options| options.stall = STALL).await?;
    let reply = half(&server, "POST /api/v1/datasets HTTP/1.1").await?;
    assert!(reply.starts_with("HTTP/1.1 401 "), "{reply}");
    Ok(())
}

#[tokio::test]
async fn a_part_that_stops_does_not_hold_its_connection_and_leaves_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start_with(directory.path(), |options| options.stall = STALL).await?;
    let client = server.writer("acme")?;
    let (create, local) = announced("a", &content(1000, 1))?;
    let target = UploadTarget::Media { owner: "acme".to_owned() };
    let opened = client.create_upload(&target, &create, &local).await?;
    let UploadStart::Transfer { source: UploadSource::Parts(urls), .. } = opened else { anyhow::bail!("parts") };
    let url = urls.parts().next().context("a part")?.1.reveal().replace(&server.url, "");
    let reply = half(&server, &format!("PUT {url} HTTP/1.1")).await?;
    assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains("\"stalled\""), "{reply}");
    let folders = std::fs::read_dir(directory.path().join("objects/blobs")).into_iter().flatten().flatten();
    assert_eq!(folders.filter_map(|folder| std::fs::read_dir(folder.path()).ok()).flatten().count(), 0);
    Ok(())
}

#[tokio::test]
async fn h4_29_an_object_that_stops_is_told_so_in_the_words_of_s3_and_leaves_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start_with(directory.path(), |options| options.stall = STALL).await?;
    let bytes = content(1000, 1);
    let (_, grant) = Session::open(&server).await?.grant("step-1/a", &bytes).await?;
    let (url, headers) = Signing::new(&grant, "PUT", "", &bytes).signed()?;
    let host = server.url.strip_prefix("http://").context("an address")?;
    let lines: String = headers.iter().map(|(name, value)| format!("\r\n{name}: {value}")).collect();
    let reply = half_of(&server, &format!("PUT {} HTTP/1.1{lines}", url.replace(&server.url, "")), host).await?;
    // SDKs come again after this one.
    assert!(reply.starts_with("HTTP/1.1 400 ") && reply.contains("<Code>RequestTimeout</Code>"), "{reply}");
    let folders = std::fs::read_dir(directory.path().join("objects/blobs")).into_iter().flatten().flatten();
    assert_eq!(folders.filter_map(|folder| std::fs::read_dir(folder.path()).ok()).flatten().count(), 0);
    Ok(())
}

#[tokio::test]
async fn h3_7_a_file_that_cannot_be_read_now_is_refused_with_a_time_to_come_again() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let (client, bytes) = (server.writer("acme")?, content(1000, 1));
    let repo = "acme/model".parse()?;
    server.commit(&client, &repo, &adding(CommitMode::Replace, &[("a", &bytes)])?, &[&bytes]).await?;
    let resolved = client.resolve(&gen_worker_hub::HubRef::parse("acme/model")?).await?;
    let FileSource::Url(url) = &resolved.files.first().context("a file")?.source else { anyhow::bail!("an address") };
    let objects = directory.path().join("objects/blobs");
    let away = directory.path().join("away");
    std::fs::rename(&objects, &away)?;
    let reply = server.http.get(url.reveal()).send().await?;
    assert_eq!((reply.status().as_u16(), reply.headers().get("retry-after").is_some()), (503, true));
    std::fs::rename(&away, &objects)?;
    assert_eq!(server.http.get(url.reveal()).send().await?.bytes().await?, bytes);
    Ok(())
}

#[tokio::test]
async fn a_reply_that_nobody_reads_does_not_hold_its_connection() -> Result<()> {
    // More than the kernel keeps for both ends of a connection.
    const BYTES: usize = 64 * 1024 * PART;
    let directory = tempfile::tempdir()?;
    let server = Server::start_with(directory.path(), |options| {
        (options.stall, options.connections, options.part_bytes) = (STALL, 2, BYTES as u64);
    })
    .await?;
    let (client, bytes) = (server.writer("acme")?, vec![7; BYTES]);
    let repo = "acme/model".parse()?;
    server.commit(&client, &repo, &adding(CommitMode::Replace, &[("a", &bytes)])?, &[&bytes]).await?;
    let resolved = client.resolve(&gen_worker_hub::HubRef::parse("acme/model")?).await?;
    let FileSource::Url(url) = &resolved.files.first().context("a file")?.source else { anyhow::bail!("an address") };
    let path = url.reveal().replace(&server.url, "");
    let address = server.url.strip_prefix("http://").context("an address")?;
    // Both places are taken by clients that do not read; those of the setup have ended or make room as they go idle.
    let mut deaf = Vec::new();
    drop(client);
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: hub\r\n\r\n").as_bytes()).await?;
        deaf.push(stream);
    }
    // Answered when one of them is cut off, and only then.
    let reply = http()?.get(format!("{}/nothing", server.url)).send().await?;
    assert_eq!(reply.status(), 404);
    let mut read = Vec::new();
    for mut stream in deaf {
        while stream.read_buf(&mut read).await.is_ok_and(|read| read > 0) {}
        assert!(read.len() < BYTES, "it was cut off");
        read.clear();
    }
    Ok(())
}
