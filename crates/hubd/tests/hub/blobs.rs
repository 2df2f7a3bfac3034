//! Attributes, blobs, ranges, and what is collected.

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    Blake3Hash, Digest,
    api::{CommitMode, FileSource},
    client::HubError,
    model_ref::RepoName,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;
use serde_json::json;

use crate::server::{PART, Server, adding, content};

#[tokio::test]
async fn h7_1_attributes_are_replaced_whole_and_a_repository_that_is_not_there_has_none() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let repo: RepoName = "acme/model".parse()?;
    assert!(!client.metadata(&repo).await?.context("an answer")?.exists);
    for attributes in [json!({"a": 1, "b": [true]}), json!({"c": null})] {
        let attributes = attributes.as_object().context("an object")?.clone();
        client.put_metadata(&repo, &attributes).await?;
        let read = client.metadata(&repo).await?.context("an answer")?;
        assert_eq!((read.exists, read.metadata), (true, attributes));
    }
    let refused = server.writer("eve")?.put_metadata(&repo, &serde_json::Map::new()).await;
    assert!(matches!(refused, Err(HubError::Auth { .. })), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn h7_4_a_blob_is_for_who_may_read_a_tree_that_holds_it_and_has_ranges() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let client = server.writer("acme")?;
    let bytes = content(3 * PART, 1);
    let commit = adding(CommitMode::Replace, &[("a", &bytes)])?;
    server.commit(&client, &"acme/model".parse()?, &commit, &[&bytes]).await?;
    let digest = Digest::from(Blake3Hash::of(&bytes));
    let mut reader = client.blob(&digest, 1 << 20).await?;
    let mut read = Vec::new();
    while let Some(piece) = reader.next().await? {
        read.extend_from_slice(&piece);
    }
    assert_eq!(read, bytes);
    let refused = server.writer("eve")?.blob(&digest, 1 << 20).await;
    assert!(matches!(refused, Err(HubError::NotFound { .. })));
    let resolved = client.resolve(&gen_worker_hub::HubRef::parse("acme/model")?).await?;
    let FileSource::Url(url) = &resolved.files.first().context("a file")?.source else { anyhow::bail!("an address") };
    let get = |range: &'static str| server.http.get(url.reveal()).header("range", range).send();
    let part = get("bytes=1000-1100").await?;
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers().get("content-range").context("a range")?, "bytes 1000-1100/3072");
    assert_eq!(Some(&*part.bytes().await?), bytes.get(1000..=1100));
    assert_eq!(get("bytes=3072-").await?.status(), 416);
    server.clock.advance(7 * 3600);
    assert_eq!(get("bytes=0-1").await?.status(), 403, "its time is over");
    Ok(())
}

#[tokio::test]
async fn h6_21_a_commit_that_is_not_finished_expires_and_its_bytes_go_but_no_others() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let repo: RepoName = "acme/model".parse()?;
    server.commit(&client, &repo, &adding(CommitMode::Replace, &[("a", b"kept")])?, &[b"kept"]).await?;
    let lost = adding(CommitMode::Replace, &[("a", b"lost")])?;
    let open = client.create_commit(&repo, &lost).await?;
    let upload = open.uploads.first().context("an upload")?;
    let gen_worker_hub::api::UploadSource::Parts(urls) = &upload.source else { anyhow::bail!("parts") };
    let request = server.put_parts(urls, b"lost").await?;
    client.complete_commit_upload(&repo, &open.revision_id, &upload.upload_id, &request).await?;
    server.clock.advance(24 * 3600 + 1);
    server.hub.tidy().await?;
    let client = server.writer("acme")?;
    let closed = client.finalize_commit(&repo, &open.revision_id).await.unwrap_err();
    assert_eq!(closed.code(), Some("commit_closed"));
    // Gone, so it is wanted again; and once it came it is a checkpoint as any other.
    assert_eq!(client.create_commit(&repo, &lost).await?.uploads.len(), 1);
    server.commit(&client, &repo, &lost, &[b"lost"]).await?;
    let kept = client.blob(&Blake3Hash::of(b"kept").into(), 100).await?.next().await?;
    assert_eq!(kept.as_deref(), Some(&b"kept"[..]));
    Ok(())
}

#[tokio::test]
async fn h3_7_a_file_is_what_its_address_was_signed_for_and_only_what_cannot_run_is_shown() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let token = server.token("acme", &[(Area::Media, Right::Write, "acme")], ByteLimits::default())?;
    let said = [
        ("a.bin", "image/png", "image/png", "inline"),
        ("b.webp", "application/octet-stream", "image/webp", "inline"),
        ("c.html", "text/html; charset=utf-8", "text/html", "attachment"),
        ("d.png", "image/svg+xml", "image/svg+xml", "attachment"),
        ("e.safetensors", "application/octet-stream", "application/octet-stream", "attachment"),
        ("f.bin", "no kind", "application/octet-stream", "attachment"),
    ];
    for (path, kind, ..) in said {
        let put = server.http.put(format!("{}/api/v1/file/{path}", server.url)).bearer_auth(token.reveal());
        // One content under all of them: the kind belongs to the name.
        assert_eq!(put.header("content-type", kind).body("one").send().await?.status().as_u16(), 201, "{path}");
    }
    let refs: Vec<&str> = said.iter().map(|(path, ..)| *path).collect();
    let ask = server.http.post(format!("{}/api/v1/media/urls", server.url)).bearer_auth(token.reveal());
    let reply = ask.body(serde_json::json!({"refs": refs}).to_string()).send().await?;
    let reply: serde_json::Value = serde_json::from_slice(&reply.bytes().await?)?;
    let direct = gen_worker_hubd::Direct::new(server.hub.clone());
    for (path, _, kind, disposition) in said {
        let own = direct.media_url("acme", path).await?.context("an address")?;
        let url = reply["urls"][path]["url"].as_str().context("an address")?;
        assert_eq!(own.reveal(), url, "both ways to the address");
        for (range, status) in [("", 200), ("bytes=1-", 206)] {
            let got = server.http.get(url).header("range", range).send().await?;
            let told = |name: &str| got.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            assert_eq!((got.status().as_u16(), told("content-type")), (status, kind), "{path}");
            let protection = (told("content-disposition"), told("x-content-type-options"));
            assert_eq!(protection, (disposition, "nosniff"), "{path}");
        }
        let forged = server.http.get(format!("{url}&type=audio%2Fforged")).send().await?;
        assert_eq!(forged.status().as_u16(), 403, "{path}");
        let past_the_end = server.http.get(url).header("range", "bytes=9-").send().await?;
        assert_eq!(past_the_end.headers()["content-type"], "application/json", "a refusal is a refusal");
    }
    Ok(())
}
