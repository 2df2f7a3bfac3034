//! Files as older workers write and read them.

use anyhow::Result;
use gen_worker_hub::{
    Digest,
    api::CommitMode,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::Visibility;
use serde_json::Value;

use crate::server::{OPERATOR, Server, adding, content};

/// One call: the status, a header and the body of the reply.
async fn call(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(u16, Vec<u8>)> {
    let mut request = server.http.request(method.parse()?, format!("{}/api/v1/file/{path}", server.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = request.body(body.to_vec()).send().await?;
    Ok((reply.status().as_u16(), reply.bytes().await?.to_vec()))
}

async fn authorization(server: &Server, right: Right) -> Result<String> {
    let token = server.token("acme", &[(Area::Media, right, "acme")], ByteLimits::default())?;
    Ok(format!("Bearer {}", token.reveal()))
}

#[tokio::test]
async fn h11_1_put_replaces_and_post_creates_only() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let token = authorization(&server, Right::Write).await?;
    let headers = [("authorization", token.as_str()), ("content-type", "application/octet-stream")];
    let (one, two) = (content(3000, 1), content(10, 2));
    let path = "runs/r1/outputs/a%20b%23.png";
    let (status, reply) = call(&server, "POST", path, &headers, &one).await?;
    let reply: Value = serde_json::from_slice(&reply)?;
    assert_eq!((status, &reply["ref"], &reply["size_bytes"]), (201, &"runs/r1/outputs/a b#.png".into(), &3000.into()));
    assert_eq!((&reply["sha256"], &reply["mime_type"]), (&Digest::sha256(&one).hex().into(), &"image/png".into()));
    assert_eq!(call(&server, "POST", path, &headers, &two).await?.0, 409);
    assert_eq!(call(&server, "GET", path, &headers, b"").await?, (200, one.clone()));
    assert_eq!(call(&server, "PUT", path, &headers, &two).await?.0, 200);
    assert_eq!(call(&server, "GET", path, &headers, b"").await?, (200, two.clone()));
    // Known content, and empty content.
    for (path, bytes) in [("other", two.as_slice()), ("empty.bin", b"")] {
        assert_eq!(call(&server, "PUT", path, &headers, bytes).await?.0, 201);
        assert_eq!(call(&server, "GET", path, &headers, b"").await?, (200, bytes.to_vec()));
    }
    server.hub.tidy().await?;
    assert_eq!(crate::uploads::files_below(directory.path()), 3, "known content is kept once");
    Ok(())
}

#[tokio::test]
async fn h11_2_head_tells_what_is_there_and_files_have_a_limit() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let token = authorization(&server, Right::Write).await?;
    let bytes = content(3000, 1);
    let headers = [("authorization", token.as_str()), ("content-type", "text/x-own")];
    assert_eq!(call(&server, "PUT", "a", &headers, &bytes).await?.0, 201);
    let url = format!("{}/api/v1/file/a", server.url);
    let head = server.http.head(url).header("authorization", token.as_str()).send().await?;
    let told = |name: &str| head.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    assert_eq!(told("x-cozy-sha256"), Some(Digest::sha256(&bytes).hex()));
    assert_eq!(
        (told("x-cozy-size-bytes"), told("x-cozy-mime-type")),
        (Some("3000".to_owned()), Some("text/x-own".to_owned()))
    );
    assert_eq!(told("content-length"), Some("3000".to_owned()));
    let large = vec![0; usize::try_from(crate::server::OLD_FILE_BYTES_MAX)? + 1];
    assert_eq!(call(&server, "PUT", "b", &headers, &large).await?.0, 413);
    for path in ["..%2Fa", "a%5Cb", "a%2F%2Fb", "%00"] {
        assert_eq!(call(&server, "PUT", path, &headers, b"x").await?.0, 422, "{path}");
    }
    assert_eq!(call(&server, "HEAD", "missing", &headers, b"").await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn h11_1_content_that_came_in_parts_before_has_a_sha256_as_well() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let (bytes, client) = (content(3000, 1), server.writer("acme")?);
    let commit = adding(CommitMode::Replace, &[("a", &bytes)])?;
    server.commit(&client, &"acme/model".parse()?, &commit, &[&bytes]).await?;
    let grants = [(Area::Repo, Right::Write, "acme"), (Area::Media, Right::Write, "acme")];
    let token = format!("Bearer {}", server.token("acme", &grants, ByteLimits::default())?.reveal());
    let (status, reply) = call(&server, "PUT", "a", &[("authorization", token.as_str())], &bytes).await?;
    let reply: Value = serde_json::from_slice(&reply)?;
    assert_eq!((status, &reply["sha256"]), (201, &Digest::sha256(&bytes).hex().into()));
    let told = async |server: &Server| {
        let url = format!("{}/api/v1/file/a", server.url);
        let head = server.http.head(url).header("authorization", token.as_str()).send().await?;
        anyhow::Ok(head.headers().get("x-cozy-sha256").and_then(|value| value.to_str().ok()).map(str::to_owned))
    };
    assert_eq!(told(&server).await?, Some(Digest::sha256(&bytes).hex()));
    server.stop().await;
    // 11.2: so has a file whose hash nobody had to know so far.
    let store = rusqlite::Connection::open(directory.path().join("hub.db"))?;
    assert_eq!(store.execute("UPDATE blobs SET sha256 = NULL", [])?, 1);
    drop(store);
    let server = Server::start(directory.path(), Visibility::Private).await?;
    assert_eq!(told(&server).await?, Some(Digest::sha256(&bytes).hex()));
    Ok(())
}

#[tokio::test]
async fn h11_3_either_header_names_the_owner_and_the_token_decides() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let writer = authorization(&server, Right::Write).await?;
    let reader = authorization(&server, Right::Read).await?;
    let operator = format!("Bearer {OPERATOR}");
    for (number, header) in ["x-cozy-owner", "x-cozy-tenant-id"].into_iter().enumerate() {
        let path = format!("f{number}");
        let of = |owner| [("authorization", writer.as_str()), (header, owner)];
        assert_eq!(call(&server, "PUT", &path, &of("Acme"), b"x").await?.0, 201);
        assert_eq!(call(&server, "PUT", &path, &of("eve"), b"x").await?.0, 403);
        assert_eq!(call(&server, "GET", &path, &of("eve"), b"").await?.0, 404);
        let operator = [("authorization", operator.as_str()), (header, "acme")];
        assert_eq!(call(&server, "GET", &path, &operator, b"").await?, (200, b"x".to_vec()));
    }
    let reading = [("authorization", reader.as_str())];
    assert_eq!(call(&server, "GET", "f0", &reading, b"").await?.0, 200);
    assert_eq!(call(&server, "PUT", "f0", &reading, b"y").await?.0, 403);
    assert_eq!(call(&server, "GET", "f0", &[], b"").await?.0, 401);
    assert_eq!(call(&server, "GET", "f0", &[("authorization", operator.as_str())], b"").await?.0, 422);
    Ok(())
}

#[tokio::test]
async fn h11_4_refs_of_runs_and_all_others_are_taken() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let token = authorization(&server, Right::Write).await?;
    let of = [("authorization", token.as_str()), ("x-cozy-tenant-id", "acme")];
    let today = [("authorization", token.as_str()), ("x-cozy-owner", "acme")];
    for (path, headers) in
        [("runs/r1/outputs/a.bin", &of), ("outputs/r1/image.png", &today), ("a", &of), ("runs/r1", &today)]
    {
        assert_eq!(call(&server, "POST", path, headers, path.as_bytes()).await?.0, 201, "{path}");
        assert_eq!(call(&server, "GET", path, headers, b"").await?, (200, path.as_bytes().to_vec()));
    }
    let address = call(&server, "POST", "https:%2F%2Fhost%2Fa", &of, b"x").await?;
    assert_eq!(address.0, 422, "an address is no ref");
    Ok(())
}
