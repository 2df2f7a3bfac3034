//! What grants do not allow, and what S3 clients are told then.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gen_worker_hub::{Blake3Hash, api::TransferGrant};
use gen_worker_hubd::Visibility;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    grants::Session,
    server::{Server, content},
    sign::Signing,
};

async fn refused(server: &Server, signing: Signing<'_>, body: &[u8], status: u16, code: &str) -> Result<()> {
    let (found, text) = signing.send(&server.http, body.to_vec()).await?;
    assert_eq!(found, status, "{code}: {text}");
    assert!(text.contains(&format!("<Error><Code>{code}</Code><Message>")), "{code}: {text}");
    assert!(!text.contains(&signing.grant.secret_access_key));
    Ok(())
}

#[tokio::test]
async fn h4_29_credentials_are_for_one_key_some_operations_and_an_hour() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let session = Session::open(&server).await?;
    let bytes = content(100, 1);
    let (_, grant) = session.grant("a", &bytes).await?;
    let put = |grant| Signing::new(grant, "PUT", "", &bytes);
    let elsewhere = Signing { path: "/uploads/other".to_owned(), ..put(&grant) };
    refused(&server, elsewhere, &bytes, 403, "AccessDenied").await?;
    let list = Signing { path: "/uploads".to_owned(), ..Signing::new(&grant, "GET", "", b"") };
    refused(&server, list, b"", 403, "AccessDenied").await?;
    refused(&server, Signing::new(&grant, "GET", "", b""), b"", 403, "AccessDenied").await?;
    refused(&server, Signing::new(&grant, "DELETE", "", b""), b"", 501, "NotImplemented").await?;
    let reader = server.hub.read_grant(Blake3Hash::of(&bytes)).context("an address")?;
    refused(&server, put(&reader), &bytes, 403, "AccessDenied").await?;
    refused(&server, Signing::new(&reader, "GET", "", b""), b"", 404, "NoSuchKey").await?;
    let stolen = TransferGrant { secret_access_key: reader.secret_access_key.clone(), ..grant.clone() };
    refused(&server, put(&stolen), &bytes, 403, "SignatureDoesNotMatch").await?;
    let renamed = TransferGrant { access_key_id: reader.access_key_id.clone(), ..grant.clone() };
    refused(&server, put(&renamed), &bytes, 403, "SignatureDoesNotMatch").await?;
    let longer = grant.session_token.as_deref().context("a token")?.replace("1003600", "9003600");
    let longer = TransferGrant { session_token: Some(longer), ..grant.clone() };
    refused(&server, put(&longer), &bytes, 403, "SignatureDoesNotMatch").await?;
    let made_up = TransferGrant { session_token: Some("v1.uploads".to_owned()), ..grant.clone() };
    refused(&server, put(&made_up), &bytes, 400, "InvalidToken").await?;
    let early = Signing { time: "19700112T130000Z", ..put(&grant) };
    refused(&server, early, &bytes, 403, "RequestTimeTooSkewed").await?;
    server.clock.advance(3600);
    let late = Signing { time: "19700112T144640Z", ..put(&grant) };
    refused(&server, late, &bytes, 400, "ExpiredToken").await?;
    let unsigned = server.http.put(format!("{}/s3/uploads/{}", server.url, grant.key)).body(bytes).send().await?;
    assert_eq!(unsigned.status(), 403);
    assert!(unsigned.text().await?.contains("AccessDenied"));
    Ok(())
}

#[tokio::test]
async fn h4_29_bodies_are_what_was_signed_and_announced() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let session = Session::open(&server).await?;
    let bytes = content(2000, 1);
    let (id, grant) = session.grant("a", &bytes).await?;
    let put = || Signing::new(&grant, "PUT", "", &bytes);
    refused(&server, put(), &content(2000, 2), 400, "XAmzContentSHA256Mismatch").await?;
    refused(&server, put(), &bytes[1..], 400, "EntityTooLarge").await?;
    let streaming = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned();
    refused(&server, Signing { payload: streaming, ..put() }, &bytes, 501, "NotImplemented").await?;
    server.hub.tidy().await?;
    assert_eq!(crate::uploads::files_below(directory.path()), 0, "nothing of them is kept");
    let unsigned = Signing { payload: "UNSIGNED-PAYLOAD".to_owned(), ..put() };
    assert_eq!(unsigned.send(&server.http, bytes.clone()).await?.0, 200);
    session.complete(&id, &grant, &bytes).await?;
    refused(&server, put(), &bytes, 404, "NoSuchUpload").await
}

#[tokio::test]
async fn h4_29_transfers_that_are_not_there_or_end_wrongly_are_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let session = Session::open(&server).await?;
    let bytes = content(2000, 1);
    let (id, grant) = session.grant("a", &bytes).await?;
    let part = "partNumber=1&uploadId=t1";
    refused(&server, Signing::new(&grant, "PUT", part, &bytes), &bytes, 404, "NoSuchUpload").await?;
    refused(&server, Signing::new(&grant, "DELETE", "uploadId=t1", b""), b"", 404, "NoSuchUpload").await?;
    let (status, begun) = Signing::new(&grant, "POST", "uploads=", b"").send(&server.http, Vec::new()).await?;
    assert_eq!(status, 200, "{begun}");
    let transfer = begun.split_once("<UploadId>").and_then(|(_, rest)| rest.split_once('<')).context("an id")?.0;
    let (query, end) = (format!("partNumber=1&uploadId={transfer}"), format!("uploadId={transfer}"));
    let more = content(2001, 1);
    refused(&server, Signing::new(&grant, "PUT", &query, &more), &more, 400, "EntityTooLarge").await?;
    assert_eq!(Signing::new(&grant, "PUT", &query, &bytes).send(&server.http, bytes.clone()).await?.0, 200);
    for (body, code) in [
        ("<a/>".to_owned(), "MalformedXML"),
        (finish(&[(1, "other")]), "InvalidPart"),
        (finish(&[(2, "other")]), "InvalidPart"),
        (finish(&[(2, "x"), (1, "x")]), "InvalidPartOrder"),
    ] {
        refused(&server, Signing::new(&grant, "POST", &end, body.as_bytes()), body.as_bytes(), 400, code).await?;
    }
    let aborted = Signing::new(&grant, "DELETE", &end, b"").send(&server.http, Vec::new()).await?;
    assert_eq!(aborted, (204, String::new()));
    refused(&server, Signing::new(&grant, "DELETE", &end, b""), b"", 404, "NoSuchUpload").await?;
    assert!(session.complete(&id, &grant, &bytes).await.is_err(), "nothing is left");
    Ok(())
}

fn finish(parts: &[(u32, &str)]) -> String {
    let part =
        |(number, etag): &(u32, &str)| format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>");
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

/// Sends the head only, and reads what comes then.
async fn head_only(server: &Server, signing: &Signing<'_>, length: usize) -> Result<(TcpStream, String)> {
    let (url, headers) = signing.signed()?;
    let (host, path) = url.trim_start_matches("http://").split_once('/').context("a path")?;
    let mut head =
        format!("PUT /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await?;
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    let mut reply = vec![0; 4096];
    let count = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut reply)).await??;
    reply.truncate(count);
    Ok((stream, String::from_utf8(reply)?))
}

#[tokio::test]
async fn h4_27_a_body_is_asked_for_only_when_it_is_wanted() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path(), Visibility::Private).await?;
    let session = Session::open(&server).await?;
    let bytes = content(2000, 1);
    let (_, grant) = session.grant("a", &bytes).await?;
    let (mut stream, reply) = head_only(&server, &Signing::new(&grant, "PUT", "", &bytes), bytes.len()).await?;
    assert!(reply.starts_with("HTTP/1.1 100 "), "{reply}");
    stream.write_all(&bytes).await?;
    let mut reply = vec![0; 4096];
    let count = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut reply)).await??;
    assert!(String::from_utf8_lossy(&reply[..count]).starts_with("HTTP/1.1 200 "));
    let wrong = TransferGrant { secret_access_key: "wrong".to_owned(), ..grant };
    let (_, reply) = head_only(&server, &Signing::new(&wrong, "PUT", "", &bytes), bytes.len()).await?;
    assert!(reply.starts_with("HTTP/1.1 403 "), "{reply}");
    Ok(())
}
