//! A hub on a port of its own, and shorter words for what clients do.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use gen_worker_hub::{
    BearerToken, Blake3Hash,
    api::{
        CommitCreate, CommitCreated, CommitFinalized, CommitMode, CommitOperation, CompleteRequest, LocalFile,
        PartEtag, PartUrls, UploadCreate, UploadPlace, UploadSource,
    },
    client::{HubClient, HubClientOptions},
    model_ref::RepoName,
    token::{Area, ByteLimits, CapabilityClaims, Grant, Right, Workload},
};
use gen_worker_hubd::{
    Hub, HubOptions, OperatorToken, Visibility, blobs::BlobStore, clock::Clock, metadata::sqlite::SqliteMetadata,
    serve, signing::token_signer,
};
use gen_worker_tasks::Scope;
use tokio::net::TcpListener;

/// Secret of all hubs here.
pub const SECRET: [u8; 32] = [7; 32];

/// The token of those who run the hubs here.
pub const OPERATOR: &str = "operator-token";

/// Largest file of older workers here.
pub const OLD_FILE_BYTES_MAX: u64 = 5000;

/// Bytes of a part here: small files have several.
pub const PART: usize = 1024;

/// A running hub.
pub struct Server {
    pub url: String,
    pub hub: Arc<Hub>,
    pub clock: Clock,
    pub http: reqwest::Client,
    scope: Scope,
}

impl Server {
    /// A hub over `directory`, which may hold what an earlier one left.
    pub async fn start(directory: &Path, visibility: Visibility) -> Result<Self> {
        Self::start_with(directory, |options| options.visibility = visibility).await
    }

    /// The same with a clock.
    pub async fn start_at(directory: &Path, visibility: Visibility, clock: Clock) -> Result<Self> {
        Self::start_with(directory, |options| {
            options.visibility = visibility;
            options.clock = clock;
        })
        .await
    }

    /// The same with other options.
    pub async fn start_with(directory: &Path, change: impl FnOnce(&mut HubOptions)) -> Result<Self> {
        let objects = directory.join("objects");
        std::fs::create_dir_all(&objects)?;
        let blobs = BlobStore::local(objects, Arc::new(Scope::new("hub-blobs")))?;
        Self::start_over(directory, blobs, change).await
    }

    /// The same over other objects.
    pub async fn start_over(directory: &Path, blobs: BlobStore, change: impl FnOnce(&mut HubOptions)) -> Result<Self> {
        let scope = Scope::new("hub-test");
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let metadata = Arc::new(SqliteMetadata::open(&directory.join("hub.db"), &scope)?);
        let mut options = HubOptions::new(url.clone(), SECRET);
        options.part_bytes = PART as u64;
        options.clock = Clock::standing(1_000_000);
        options.old_file_bytes_max = OLD_FILE_BYTES_MAX;
        options.anonymous_per_minute = 20;
        options.operators = vec![OperatorToken(OPERATOR.parse()?)];
        change(&mut options);
        let clock = options.clock.clone();
        let hub = Arc::new(Hub::new(metadata, blobs, options)?);
        hub.recover().await?;
        let (serving, cancel) = (Arc::clone(&hub), scope.cancel().clone());
        scope.spawn("serve", async move { serve(listener, serving, Duration::from_secs(5), &cancel).await });
        Ok(Self { url, hub, clock, http: http()?, scope })
    }

    /// Ends it; its file can be opened again.
    pub async fn stop(self) {
        let Self { hub, scope, .. } = self;
        scope.cancel().stop();
        drop(hub);
        scope.join(Duration::from_secs(30)).await;
    }

    /// A client with these grants; without any, one without a token.
    pub fn client(&self, owner: &str, grants: &[(Area, Right, &str)]) -> Result<HubClient> {
        let token = (!grants.is_empty()).then(|| self.token(owner, grants, ByteLimits::default())).transpose()?;
        Ok(HubClient::new(HubClientOptions { base_url: self.url.clone(), token, ..HubClientOptions::default() })?)
    }

    /// A client that may write everything of `owner`.
    pub fn writer(&self, owner: &str) -> Result<HubClient> {
        self.client(owner, &[(Area::Repo, Right::Write, owner), (Area::Media, Right::Write, owner)])
    }

    pub fn token(&self, tenant: &str, grants: &[(Area, Right, &str)], limits: ByteLimits) -> Result<BearerToken> {
        let grants = grants.iter().map(|(area, right, owner)| Grant::new(*area, *right, owner, "*"));
        self.signed(tenant, grants.collect::<Result<_, _>>()?, limits)
    }

    /// A token for single names.
    pub fn token_of(&self, tenant: &str, grants: &[(Area, Right, &str, &str)]) -> Result<BearerToken> {
        let grants = grants.iter().map(|(area, right, owner, name)| Grant::new(*area, *right, owner, name));
        self.signed(tenant, grants.collect::<Result<_, _>>()?, ByteLimits::default())
    }

    /// The token of who runs the hub.
    pub fn operator(&self) -> BearerToken {
        OPERATOR.parse().expect("a token")
    }

    fn signed(&self, tenant: &str, grants: Vec<Grant>, limits: ByteLimits) -> Result<BearerToken> {
        signed(tenant, grants, limits, self.clock.now_s(), 3600)
    }

    /// Sends all parts of `content`.
    pub async fn put_parts(&self, urls: &PartUrls, content: &[u8]) -> Result<CompleteRequest> {
        put_parts(&self.http, urls, content).await
    }

    /// A whole commit.
    pub async fn commit(
        &self,
        client: &HubClient,
        repo: &RepoName,
        commit: &CommitCreate,
        contents: &[&[u8]],
    ) -> Result<CommitFinalized> {
        let created = client.create_commit(repo, commit).await?;
        self.bring(client, repo, &created, contents).await?;
        Ok(client.finalize_commit(repo, &created.revision_id).await?)
    }

    /// The files of an open commit.
    pub async fn bring(
        &self,
        client: &HubClient,
        repo: &RepoName,
        created: &CommitCreated,
        contents: &[&[u8]],
    ) -> Result<()> {
        bring(&self.http, client, repo, created, contents).await
    }
}

/// A client for what the client of the hub does not do.
pub fn http() -> Result<reqwest::Client> {
    // The first test of a process installs it; in the others it is there.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// A token that is good for `life_s` from `now_s`.
pub fn signed(tenant: &str, grants: Vec<Grant>, limits: ByteLimits, now_s: u64, life_s: u64) -> Result<BearerToken> {
    let claims = CapabilityClaims {
        sub: "worker".to_owned(),
        tenant: tenant.to_owned(),
        request_id: "r1".to_owned(),
        attempt: 1,
        kind: Workload::Inference,
        grants,
        limits,
        iat: now_s,
        exp: now_s + life_s,
    };
    Ok(token_signer(&SECRET)?.sign(&claims)?)
}

/// Sends all parts of `content`.
pub async fn put_parts(http: &reqwest::Client, urls: &PartUrls, content: &[u8]) -> Result<CompleteRequest> {
    let mut etags = Vec::new();
    for (range, url) in urls.parts() {
        let from = usize::try_from(range.offset)?;
        let part = content.get(from..from + usize::try_from(range.length)?).context("a part")?.to_vec();
        let reply = http.put(url.reveal()).body(part).send().await?.error_for_status()?;
        let etag = reply.headers().get("etag").context("an etag")?.to_str()?.to_owned();
        etags.push(PartEtag { part_number: range.number, etag });
    }
    Ok(CompleteRequest::of_parts(etags))
}

/// Brings the files of an open commit.
pub async fn bring(
    http: &reqwest::Client,
    client: &HubClient,
    repo: &RepoName,
    created: &CommitCreated,
    contents: &[&[u8]],
) -> Result<()> {
    for upload in &created.uploads {
        let content = contents.iter().find(|content| Blake3Hash::of(content) == upload.blake3);
        let UploadSource::Parts(urls) = &upload.source else { anyhow::bail!("parts are expected") };
        let request = put_parts(http, urls, content.context("a known content")?).await?;
        client.complete_commit_upload(repo, &created.revision_id, &upload.upload_id, &request).await?;
    }
    Ok(())
}

/// A commit that adds files.
pub fn adding(mode: CommitMode, files: &[(&str, &[u8])]) -> Result<CommitCreate> {
    let add = |(path, content): &(&str, &[u8])| {
        let (blake3, size_bytes) = (Blake3Hash::of(content), content.len() as u64);
        Ok(CommitOperation::Add { path: path.parse()?, blake3, size_bytes })
    };
    Ok(CommitCreate::new(mode, files.iter().map(add).collect::<Result<_>>()?))
}

/// The announcement of a file.
pub fn announced(reference: &str, content: &[u8]) -> Result<(UploadCreate, LocalFile)> {
    let (blake3, size_bytes) = (Blake3Hash::of(content), content.len() as u64);
    let create = UploadCreate {
        blake3,
        size_bytes,
        request_id: None,
        job_id: None,
        content_type: Some("text/plain".to_owned()),
        create: false,
        place: UploadPlace::media(reference)?,
    };
    let mime_type = "text/plain".to_owned();
    Ok((create, LocalFile { reference: reference.to_owned(), size_bytes, blake3, mime_type }))
}

/// The announcement of a file of a revision.
pub fn announced_path(path: &str, content: &[u8]) -> Result<(UploadCreate, LocalFile)> {
    let (create, local) = announced(path, content)?;
    Ok((UploadCreate { place: UploadPlace::Path(path.parse()?), ..create }, local))
}

/// Some bytes.
pub fn content(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 251).unwrap_or_default() ^ seed).collect()
}
