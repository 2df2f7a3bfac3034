//! Grants, with a client of S3 that is not ours.

use anyhow::{Result, bail};
use futures::TryStreamExt as _;
use gen_worker_hub::{
    Blake3Hash,
    api::{CompleteRequest, SessionOpen, TransferDone, TransferGrant, UploadSource, UploadStart},
    client::{HubClient, HubError, UploadTarget},
    names::ServerId,
};
use gen_worker_hubd::{Visibility, clock::Clock};
use object_store::{
    GetOptions, GetRange, MultipartUpload as _, ObjectStore as _, ObjectStoreExt as _, PutPayload, aws::AmazonS3,
    aws::AmazonS3Builder, path::Path,
};

use crate::server::{Server, announced_path, content};

/// Bytes of a part as the peer sends them (Hub contract, 4.25).
const PART: usize = 64 * 1024 * 1024;

/// A session, and what is done in it.
pub struct Session {
    pub client: HubClient,
    pub target: UploadTarget,
}

/// What a client says when `bytes` have come by `grant`.
pub fn done(grant: &TransferGrant, bytes: &[u8]) -> TransferDone {
    TransferDone {
        mode: "s3_sdk".to_owned(),
        bucket: grant.bucket.clone(),
        key: grant.key.clone(),
        size_bytes: bytes.len() as u64,
        blake3: Blake3Hash::of(bytes),
        etag: String::new(),
    }
}

impl Session {
    pub async fn open(server: &Server) -> Result<Self> {
        Self::of(server.writer("acme")?).await
    }

    pub async fn of(client: HubClient) -> Result<Self> {
        let repo = "acme/model".parse()?;
        let open = SessionOpen { job_id: Some("j1".to_owned()), ..SessionOpen::default() };
        let session = client.open_session(&repo, &open).await?.session_id;
        Ok(Self { client, target: UploadTarget::Revision { repo, session } })
    }

    pub async fn grant(&self, path: &str, bytes: &[u8]) -> Result<(ServerId, TransferGrant)> {
        let (create, local) = announced_path(path, bytes)?;
        match self.client.create_upload(&self.target, &create, &local).await? {
            UploadStart::Transfer { upload_id, source: UploadSource::Grant(grant) } => Ok((upload_id, grant)),
            other => bail!("a grant is expected: {other:?}"),
        }
    }

    /// Says that the bytes have come; the reply in short.
    pub async fn complete(&self, id: &ServerId, grant: &TransferGrant, bytes: &[u8]) -> Result<String, HubError> {
        let transfer = done(grant, bytes);
        let (_, local) = announced_path("a", bytes).expect("a path");
        let request = CompleteRequest::of_transfer(transfer);
        let file = self.client.complete_upload(&self.target, id, &request, &local).await?;
        Ok(format!("{} {} {}", file.reference, file.size_bytes, file.sha256.unwrap_or_default()))
    }
}

pub fn s3(grant: &TransferGrant) -> Result<AmazonS3> {
    let builder = AmazonS3Builder::new()
        .with_endpoint(grant.endpoint_url.reveal())
        .with_bucket_name(&grant.bucket)
        .with_region(&grant.region)
        .with_access_key_id(&grant.access_key_id)
        .with_secret_access_key(&grant.secret_access_key)
        .with_token(grant.session_token.clone().unwrap_or_default())
        .with_allow_http(true);
    Ok(builder.build()?)
}

#[tokio::test]
async fn h4_29_a_small_object_and_one_in_parts_are_written_verified_and_read_by_another_client() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start_at(directory.path(), Visibility::Private, Clock::system()).await?;
    let session = Session::open(&server).await?;
    for bytes in [content(1024, 1), content(PART + 1024 * 1024, 2)] {
        let (id, grant) = session.grant("step-1/model.safetensors", &bytes).await?;
        let (store, key) = (s3(&grant)?, Path::from(grant.key.as_str()));
        if bytes.len() < PART {
            store.put(&key, bytes.clone().into()).await?;
        } else {
            let mut upload = store.put_multipart(&key).await?;
            let parts = bytes.chunks(PART).map(|part| PutPayload::from(part.to_vec()));
            let sent: Vec<_> = parts.map(|part| upload.put_part(part)).collect();
            futures::future::try_join_all(sent).await?;
            upload.complete().await?;
        }
        let file = session.complete(&id, &grant, &bytes).await?;
        let sha256 = gen_worker_hub::Digest::sha256(&bytes).hex();
        assert_eq!(file, format!("step-1/model.safetensors {} {sha256}", bytes.len()));
        assert_eq!(session.complete(&id, &grant, &bytes).await?, file, "4.19: the same answer again");
        assert!(session.grant("step-2/model.safetensors", &bytes).await.is_err(), "4.4: it is known");
        reads(&server, &bytes).await?;
    }
    Ok(())
}

/// The head, a range and the whole of a content.
async fn reads(server: &Server, bytes: &[u8]) -> Result<()> {
    let hash = Blake3Hash::of(bytes);
    let grant = server.hub.read_grant(hash).unwrap_or_else(|| unreachable!("the hub has an address"));
    let (store, key) = (s3(&grant)?, Path::from(grant.key.as_str()));
    let head = store.head(&key).await?;
    assert_eq!((head.size, head.e_tag), (bytes.len() as u64, Some(format!("\"{hash}\""))));
    assert_eq!(store.get_range(&key, 100..600).await?, bytes[100..600]);
    let get = |if_match: String| GetOptions {
        range: Some(GetRange::Offset(10)),
        if_match: Some(if_match),
        ..GetOptions::default()
    };
    let rest = store.get_opts(&key, get(format!("\"{hash}\""))).await?;
    let rest: Vec<u8> = rest.into_stream().map_ok(|piece| piece.to_vec()).try_concat().await?;
    assert_eq!(Blake3Hash::of(&rest), Blake3Hash::of(&bytes[10..]));
    let other = store.get_opts(&key, get("\"other\"".to_owned())).await;
    assert!(matches!(other, Err(object_store::Error::Precondition { .. })), "{:?}", other.err());
    let put = store.put(&key, vec![1].into()).await;
    assert!(matches!(put, Err(object_store::Error::PermissionDenied { .. })), "{put:?}");
    Ok(())
}

#[tokio::test]
async fn h4_24_the_next_attempt_takes_the_place_of_the_one_before() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start_at(directory.path(), Visibility::Private, Clock::system()).await?;
    let session = Session::open(&server).await?;
    let bytes = content(3000, 3);
    let (id, grant) = session.grant("a", &bytes).await?;
    let (store, key) = (s3(&grant)?, Path::from(grant.key.as_str()));
    let mut first = store.put_multipart(&key).await?;
    first.put_part(bytes[..1000].to_vec().into()).await?;
    let mut second = store.put_multipart(&key).await?;
    let stale = first.put_part(bytes[1000..].to_vec().into()).await;
    assert!(matches!(stale, Err(object_store::Error::NotFound { .. })), "{stale:?}");
    second.put_part(bytes[..2000].to_vec().into()).await?;
    second.put_part(bytes[2000..].to_vec().into()).await?;
    assert!(session.complete(&id, &grant, &content(3000, 4)).await.is_err(), "another content than announced");
    second.complete().await?;
    session.complete(&id, &grant, &bytes).await?;
    server.hub.tidy().await?;
    assert_eq!(crate::uploads::files_below(directory.path()), 2, "nothing of the first attempt is left");
    Ok(())
}

#[tokio::test]
async fn h4_19_a_transfer_of_other_bytes_is_refused_and_thrown_away() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let server = Server::start_at(directory.path(), Visibility::Private, Clock::system()).await?;
    let session = Session::open(&server).await?;
    let (bytes, other) = (content(3000, 3), content(3000, 4));
    for in_parts in [false, true] {
        let (id, grant) = session.grant("a", &bytes).await?;
        let (store, key) = (s3(&grant)?, Path::from(grant.key.as_str()));
        assert!(session.complete(&id, &grant, &bytes).await.is_err(), "nothing has come");
        if in_parts {
            let mut upload = store.put_multipart(&key).await?;
            upload.put_part(other.clone().into()).await?;
            upload.complete().await?;
        } else {
            store.put(&key, other.clone().into()).await?;
        }
        let refused = session.complete(&id, &grant, &bytes).await.unwrap_err();
        assert_eq!(refused.code(), Some("digest_mismatch"));
        server.hub.tidy().await?;
        assert_eq!(crate::uploads::files_below(directory.path()), 0);
        assert!(store.put(&key, other.clone().into()).await.is_err(), "the upload is over");
    }
    Ok(())
}
