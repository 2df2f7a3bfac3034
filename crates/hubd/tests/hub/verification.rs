//! A verification that takes longer than the connection of its client lives.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use futures::future::{Either, select};
use gen_worker_hub::{
    Digest,
    api::TransferGrant,
    client::UploadTarget,
    names::ServerId,
    token::{Area, ByteLimits, Right},
};
use gen_worker_hubd::{Visibility, blobs::BlobStore, clock::Clock};
use gen_worker_tasks::Scope;
use object_store::{MultipartUpload as _, ObjectStoreExt as _, path::Path};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    gate::Gate,
    grants::{Session, done, s3},
    server::{Server, content},
};

/// A poll that is not answered by then has begun a verification of its own.
const ANSWERED: Duration = Duration::from_secs(20);

/// The complete of an upload, as often as it is wanted.
struct Complete {
    address: String,
    path: String,
    token: String,
    body: String,
    http: reqwest::Client,
}

impl Complete {
    fn new(server: &Server, session: &Session, id: &ServerId, grant: &TransferGrant, bytes: &[u8]) -> Result<Self> {
        let UploadTarget::Revision { session, .. } = &session.target else { bail!("a session is expected") };
        let token = server.token("acme", &[(Area::Repo, Right::Write, "acme")], ByteLimits::default())?;
        Ok(Self {
            address: server.url.strip_prefix("http://").context("an address")?.to_owned(),
            path: format!("/api/v1/repos/acme/model/revisions/{session}/uploads/{id}/complete"),
            token: token.reveal().to_owned(),
            body: json!({"transfer": done(grant, bytes)}).to_string(),
            http: server.http.clone(),
        })
    }

    /// Sends it over a connection of its own.
    async fn begin(&self) -> Result<TcpStream> {
        let Self { address, path, token, body, .. } = self;
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {token}\r\nconnection: close\r\n");
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes()).await?;
        Ok(stream)
    }

    async fn poll(&self) -> Result<(u16, Value)> {
        let request = self.http.post(format!("http://{}{}", self.address, self.path)).bearer_auth(&self.token);
        let reply = request.body(self.body.clone()).timeout(ANSWERED).send().await?;
        Ok((reply.status().as_u16(), serde_json::from_slice(&reply.bytes().await?)?))
    }
}

#[tokio::test]
async fn h4_18_a_verification_goes_on_without_its_client_who_polls_for_its_end() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let gate = Gate::new();
    let blobs = BlobStore::remote(gate.objects(), Arc::new(Scope::new("hub-blobs")));
    // A client of S3 goes by the time of its machine.
    let server = Server::start_over(directory.path(), blobs, |options| {
        options.visibility = Visibility::Private;
        options.clock = Clock::system();
    })
    .await?;
    let (session, bytes) = (Session::open(&server).await?, content(3000, 5));
    let (id, grant) = session.grant("a", &bytes).await?;
    let mut upload = s3(&grant)?.put_multipart(&Path::from(grant.key.as_str())).await?;
    upload.put_part(bytes[..2000].to_vec().into()).await?;
    upload.put_part(bytes[2000..].to_vec().into()).await?;
    upload.complete().await?;
    let complete = Complete::new(&server, &session, &id, &grant, &bytes)?;
    gate.close().await?;
    // Of two at the same time, one is told to come again: the other waits for the verification.
    let (one, other) = (complete.begin().await?, complete.begin().await?);
    let readable = select(Box::pin(one.readable()), Box::pin(other.readable())).await;
    let is_one = matches!(readable, Either::Left(_));
    drop(readable);
    let (mut refused, mut waits) = if is_one { (one, other) } else { (other, one) };
    let mut told = String::new();
    refused.read_to_string(&mut told).await?;
    assert!(told.starts_with("HTTP/1.1 409 ") && told.contains("upload_complete_in_progress"), "{told}");
    // The hub answers the end of the connection with its own: it has dropped the request.
    waits.shutdown().await?;
    assert_eq!(waits.read_to_end(&mut Vec::new()).await?, 0, "no answer came");
    let (status, reply) = complete.poll().await?;
    assert_eq!((status, &reply["error"]["code"]), (409, &json!("upload_complete_in_progress")), "{reply}");
    gate.open();
    let done = loop {
        let (status, reply) = complete.poll().await?;
        if status != 409 {
            break (status, reply);
        }
    };
    assert_eq!((done.0, &done.1["sha256"]), (200, &json!(Digest::sha256(&bytes).hex())), "{}", done.1);
    assert_eq!(complete.poll().await?, done, "4.19: the same again");
    Ok(())
}
