//! A hub in this process, with a file of metadata and a directory of objects that end with it.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use gen_worker_hub::{
    BearerToken, Blake3Hash, HubRef,
    api::{
        CommitCreate, CommitMode, CommitOperation, CommitTag, CompleteRequest, FileSource, PartEtag, Resolved,
        UploadSource,
    },
    client::{HubClient, HubClientOptions},
    model_ref::RepoName,
};
use gen_worker_hubd::{
    Hub, HubOptions, OperatorToken, Visibility, blobs::BlobStore, metadata::sqlite::SqliteMetadata, serve,
};
use gen_worker_proto::pb;
use gen_worker_tasks::Scope;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// The token that may write everything.
const OPERATOR: &str = "operator-of-tests-operator-of-tests";

/// A running hub. It ends with its guard.
pub struct TestHub {
    url: String,
    _dir: TempDir,
    _scope: Scope,
}

impl TestHub {
    /// A hub on a free port, whose repositories everybody may read. Needs a runtime of several threads.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start() -> Result<Self> {
        let dir = tempfile::tempdir().context("make a directory")?;
        let scope = Scope::new("test-hub");
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let metadata = Arc::new(SqliteMetadata::open(&dir.path().join("hub.db"), &scope)?);
        let objects = dir.path().join("objects");
        std::fs::create_dir_all(&objects)?;
        let blobs = BlobStore::local(objects, Arc::new(Scope::under("test-hub-blobs", scope.cancel())))?;
        let mut options = HubOptions::new(url.clone(), [7; 32]);
        options.operators = vec![OperatorToken(OPERATOR.parse()?)];
        options.visibility = Visibility::Public;
        let hub = Arc::new(Hub::new(metadata, blobs, options)?);
        hub.recover().await?;
        let cancel = scope.cancel().clone();
        scope.spawn("serve", async move { serve(listener, hub, Duration::from_secs(5), &cancel).await });
        Ok(Self { url, _dir: dir, _scope: scope })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    fn client(&self, token: Option<BearerToken>) -> Result<HubClient> {
        Ok(HubClient::new(HubClientOptions { base_url: self.url.clone(), token, ..HubClientOptions::default() })?)
    }

    /// Publishes these files as the latest of `owner/repo`, and under `tag`.
    ///
    /// # Errors
    /// When the hub does not take them.
    pub async fn publish(&self, repo: &str, tag: &str, files: &[(String, Vec<u8>)]) -> Result<()> {
        let client = self.client(Some(OPERATOR.parse()?))?;
        let repo: RepoName = repo.parse()?;
        let add = |(path, content): &(String, Vec<u8>)| {
            let (blake3, size_bytes) = (Blake3Hash::of(content), content.len() as u64);
            Ok(CommitOperation::Add { path: path.parse()?, blake3, size_bytes })
        };
        let operations = files.iter().map(add).collect::<Result<_>>()?;
        let mut commit = CommitCreate::new(CommitMode::Replace, operations);
        commit.tags = vec![CommitTag { tag: tag.parse()?, default_flavor: None }];
        let created = client.create_commit(&repo, &commit).await?;
        for upload in &created.uploads {
            let content =
                files.iter().map(|(_, content)| content).find(|content| Blake3Hash::of(content) == upload.blake3);
            let content = content.context("the hub asks for what was not announced")?;
            let UploadSource::Parts(urls) = &upload.source else { bail!("parts are expected") };
            let mut etags = Vec::new();
            for (range, url) in urls.parts() {
                let from = usize::try_from(range.offset)?;
                let part = content.get(from..from + usize::try_from(range.length)?).context("a part")?;
                let reply = ureq::put(url.reveal()).send(part)?;
                let etag = reply.headers().get("etag").context("no etag")?.to_str()?.to_owned();
                etags.push(PartEtag { part_number: range.number, etag });
            }
            let request = CompleteRequest::of_parts(etags);
            client.complete_commit_upload(&repo, &created.revision_id, &upload.upload_id, &request).await?;
        }
        client.finalize_commit(&repo, &created.revision_id).await?;
        Ok(())
    }

    /// What an orchestrator would send for `reference`.
    ///
    /// # Errors
    /// When the hub does not have it.
    pub async fn snapshot(&self, reference: &str) -> Result<pb::Snapshot> {
        let Resolved { snapshot, files, .. } = self.client(None)?.resolve(&HubRef::parse(reference)?).await?;
        let file = |file: gen_worker_hub::api::ResolvedFile| {
            let FileSource::Url(url) = file.source else { bail!("an address is expected") };
            let size_bytes = i64::try_from(file.size_bytes)?;
            let (path, blake3) = (file.path.to_string(), file.blake3.to_string());
            Ok(pb::SnapshotFile { path, size_bytes, blake3, url: url.reveal().to_owned() })
        };
        Ok(pb::Snapshot { digest: snapshot.to_string(), files: files.into_iter().map(file).collect::<Result<_>>()? })
    }
}

/// The files of a directory, by their paths in it.
///
/// # Errors
/// When they cannot be read.
pub fn files_of(dir: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let (mut files, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).with_context(|| format!("read {}", at.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir)?.to_str().context("a path in UTF-8")?.to_owned();
                files.push((name, std::fs::read(&path)?));
            }
        }
    }
    Ok(files)
}
