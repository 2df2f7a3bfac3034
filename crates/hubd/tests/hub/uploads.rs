//! Media: create, parts, complete, abort.

use anyhow::{Result, bail};
use gen_worker_hub::{
    Digest,
    api::{CompleteRequest, UploadSource, UploadStart},
    client::{HubClient, HubError, UploadTarget},
    names::ServerId,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;

use crate::server::{PART, Server, announced, content};

async fn opened(
    client: &HubClient,
    reference: &str,
    bytes: &[u8],
) -> Result<(ServerId, gen_worker_hub::api::PartUrls)> {
    let (create, local) = announced(reference, bytes)?;
    match client.create_upload(&media(), &create, &local).await? {
        UploadStart::Transfer { upload_id, source: UploadSource::Parts(urls) } => Ok((upload_id, urls)),
        other => bail!("parts are expected: {other:?}"),
    }
}

fn media() -> UploadTarget {
    UploadTarget::Media { owner: "acme".to_owned() }
}

#[tokio::test]
async fn h4_21_a_file_of_one_or_of_several_parts_is_verified_told_about_and_known_afterwards() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    for bytes in [content(10, 1), content(3 * PART + 5, 2), content(4 * PART, 3)] {
        let (id, urls) = opened(&client, "outputs/a.txt", &bytes).await?;
        let request = server.put_parts(&urls, &bytes).await?;
        let (create, local) = announced("outputs/a.txt", &bytes)?;
        let file = client.complete_upload(&media(), &id, &request, &local).await?;
        assert_eq!(file.sha256.as_deref(), Some(Digest::sha256(&bytes).hex().as_str()));
        assert_eq!((file.reference.as_str(), file.mime_type.as_str()), ("outputs/a.txt", "text/plain"));
        assert_eq!(file.created, Some(bytes.len() == 10));
        // 4.19: the same answer again; 4.4: known from then on.
        assert_eq!(client.complete_upload(&media(), &id, &request, &local).await?, file);
        let UploadStart::Done(known) = client.create_upload(&media(), &create, &local).await? else {
            bail!("it is known");
        };
        assert_eq!(known.sha256, file.sha256);
    }
    Ok(())
}

#[tokio::test]
async fn h4_19_bytes_of_another_hash_are_refused_and_thrown_away() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let (announced_bytes, sent) = (content(2 * PART, 1), content(2 * PART, 9));
    let (id, urls) = opened(&client, "a", &announced_bytes).await?;
    let request = server.put_parts(&urls, &sent).await?;
    let (_, local) = announced("a", &announced_bytes)?;
    let refused = client.complete_upload(&media(), &id, &request, &local).await;
    assert_eq!(refused.unwrap_err().code(), Some("digest_mismatch"));
    server.hub.tidy().await?;
    assert_eq!(files_below(directory.path()), 0);
    let gone = client.complete_upload(&media(), &id, &request, &local).await;
    assert!(matches!(gone, Err(HubError::NotFound { .. })), "{gone:?}");
    Ok(())
}

#[tokio::test]
async fn h4_15_parts_that_are_missing_or_others_than_meant_do_not_complete() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let bytes = content(2 * PART, 1);
    let (id, urls) = opened(&client, "a", &bytes).await?;
    let (_, local) = announced("a", &bytes)?;
    let nothing = client.complete_upload(&media(), &id, &CompleteRequest::default(), &local).await;
    assert_eq!(nothing.unwrap_err().code(), Some("upload_incomplete"));
    let mut request = server.put_parts(&urls, &bytes).await?;
    let unquoted = request.parts.iter().map(|part| part.etag.trim_matches('"').to_owned()).collect::<Vec<_>>();
    request.parts[0].etag = "\"0\"".to_owned();
    let other = client.complete_upload(&media(), &id, &request, &local).await;
    assert_eq!(other.unwrap_err().code(), Some("upload_incomplete"));
    for (part, etag) in request.parts.iter_mut().zip(unquoted) {
        part.etag = etag;
    }
    client.complete_upload(&media(), &id, &request, &local).await?;
    Ok(())
}

#[tokio::test]
async fn h4_13_part_addresses_take_their_part_only_and_end_with_the_upload() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let bytes = content(PART + 1, 1);
    let (id, urls) = opened(&client, "a", &bytes).await?;
    let url = urls.parts().next().map(|(_, url)| url.reveal().to_owned()).unwrap_or_default();
    let put = async |url: String, body: Vec<u8>| anyhow::Ok(server.http.put(url).body(body).send().await?.status());
    assert_eq!(put(url.clone(), content(PART + 1, 1)).await?, 400);
    assert_eq!(put(url.replace("/1?", "/2?"), content(1, 1)).await?, 403);
    assert_eq!(put(url.clone(), content(PART, 1)).await?, 200);
    server.clock.advance(25 * 3600);
    assert_eq!(put(url.clone(), content(PART, 1)).await?, 403);
    server.hub.tidy().await?;
    assert_eq!(files_below(directory.path()), 0);
    let client = server.writer("acme")?;
    client.abort_upload(&media(), &id).await;
    Ok(())
}

#[tokio::test]
async fn h1_5_the_token_decides_who_may_write_and_how_much() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let (create, local) = announced("a", &content(10, 1))?;
    let refused = async |client: HubClient| client.create_upload(&media(), &create, &local).await.unwrap_err();
    assert!(matches!(refused(server.client("x", &[])?).await, HubError::Auth { .. }));
    assert!(matches!(refused(server.writer("eve")?).await, HubError::Auth { .. }));
    let reader = server.client("acme", &[(Area::Media, Right::Read, "acme")])?;
    assert!(matches!(refused(reader).await, HubError::Auth { .. }));
    let limits = ByteLimits { total: None, per_file: Some(9) };
    let token = server.token("acme", &[(Area::Media, Right::Write, "acme")], limits)?;
    assert_eq!(refused(server.writer("acme")?.with_token(Some(token))).await.code(), Some("file_too_large"));
    let client = server.writer("acme")?;
    server.clock.advance(3601);
    assert!(matches!(refused(client).await, HubError::Auth { .. }), "its time is over");
    Ok(())
}

#[tokio::test]
async fn h4_1_refs_that_leave_their_place_are_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let token = server.token("acme", &[(Area::Media, Right::Write, "acme")], ByteLimits::default())?;
    for reference in ["../a", "a/../../b", "/a", "a\\b", "", "a\u{0}"] {
        let body = serde_json::json!({"blake3": "0".repeat(64), "size_bytes": 1, "ref": reference});
        let url = format!("{}/api/v1/media/acme/uploads", server.url);
        let call = server.http.post(url).bearer_auth(token.reveal()).body(body.to_string());
        assert_eq!(call.send().await?.status(), 422, "{reference}");
    }
    Ok(())
}

#[tokio::test]
async fn h5_4_what_was_acknowledged_outlives_the_process_and_half_a_part_does_not() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    let client = server.writer("acme")?;
    let bytes = content(2 * PART, 1);
    let (id, urls) = opened(&client, "a", &bytes).await?;
    let request = server.put_parts(&urls, &bytes).await?;
    server.stop().await;
    let folder = directory.path().join("objects/blobs").join(id.as_str());
    std::fs::write(folder.join("1-x#1"), "half")?;
    std::fs::write(folder.join("1-nobody-knows-it"), "whole")?;
    let server = Server::start(directory.path(), Visibility::Public).await?;
    assert_eq!(files_below(directory.path()), 2);
    let (_, local) = announced("a", &bytes)?;
    server.writer("acme")?.complete_upload(&media(), &id, &request, &local).await?;
    Ok(())
}

/// Objects on the disk.
pub fn files_below(directory: &std::path::Path) -> usize {
    let folders = std::fs::read_dir(directory.join("objects/blobs")).into_iter().flatten().flatten();
    folders.map(|folder| std::fs::read_dir(folder.path()).map_or(0, Iterator::count)).sum()
}
