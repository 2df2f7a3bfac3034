//! One upload from its content to the hub's word that it has it. Owns the bounds on what goes on at once.

use std::{fmt, sync::Arc};

use gen_worker_hub::{
    ServerId,
    api::{
        CompleteRequest, LocalFile, PartEtag, PartUrls, TransferDone, TransferGrant, UploadCreate, UploadPlace,
        UploadSource, UploadStart, UploadedFile,
    },
    client::{HubClient, UploadTarget},
};
use gen_worker_tasks::Scope;
use reqwest::header::HeaderMap;
use tokio::sync::Semaphore;

use super::{
    content::{Measured, UploadContent},
    error::{UploadError, UploadPhase},
    forsake::Forsake,
    grant::GrantSender,
    options::UploadOptions,
    pace::Audience,
    part::PartSender,
    part_connections::{ConnectionMaker, PartConnections},
    parts::send_all,
};
use crate::progress::{Progress, Sum, Unheard};

/// Kind of content when nobody says it.
const BYTES: &str = "application/octet-stream";

/// One file to upload.
#[derive(Clone)]
pub struct Upload {
    /// Whose it will be.
    pub target: UploadTarget,
    /// Under which name.
    pub place: UploadPlace,
    /// What it is.
    pub content: UploadContent,
    /// Kind of content; none means bytes.
    pub content_type: Option<String>,
    /// For which request.
    pub request_id: Option<String>,
    /// For which job; media only.
    pub job_id: Option<String>,
    /// Whether to refuse to replace what is there.
    pub create: bool,
    /// Who hears how it goes.
    pub progress: Arc<dyn Progress>,
}

/// Uploads files. Cheap to clone; clones share the bounds. One for a process.
#[derive(Clone)]
pub struct Uploader(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) options: UploadOptions,
    connections: ConnectionMaker,
    /// To where clients want files: nobody of the pool's own network.
    pub(super) outside: ConnectionMaker,
    pub(super) files: Semaphore,
    granted_files: Semaphore,
    pub(super) sockets: Semaphore,
    pub(super) scope: Arc<Scope>,
}

impl Upload {
    /// An upload that replaces what is there, and that nobody watches.
    #[must_use]
    pub fn new(target: UploadTarget, place: UploadPlace, content: UploadContent) -> Self {
        let progress = Arc::new(Unheard);
        Self { target, place, content, content_type: None, request_id: None, job_id: None, create: false, progress }
    }

    fn announcement(&self, content: &Measured) -> (UploadCreate, LocalFile) {
        let (size_bytes, blake3) = (content.size_bytes, content.blake3);
        let (UploadPlace::Ref(path) | UploadPlace::Path(path)) = &self.place;
        let create = UploadCreate {
            blake3,
            size_bytes,
            request_id: self.request_id.clone(),
            job_id: self.job_id.clone(),
            content_type: self.content_type.clone().filter(|kind| kind != BYTES),
            create: self.create,
            place: self.place.clone(),
        };
        let mime_type = self.content_type.clone().unwrap_or_else(|| BYTES.to_owned());
        (create, LocalFile { reference: path.as_str().to_owned(), size_bytes, blake3, mime_type })
    }
}

impl Uploader {
    /// An uploader whose readers and last words to hubs run in `scope`.
    ///
    /// # Errors
    /// [`UploadError::Setup`] when the trusted roots cannot be used.
    pub fn new(options: UploadOptions, scope: Arc<Scope>) -> Result<Self, UploadError> {
        let (connections, outside) = ConnectionMaker::pair(&options)?;
        let (files, sockets) = (Semaphore::new(options.files.max(1)), Semaphore::new(options.parts.max(1)));
        let granted_files = Semaphore::new(options.grant.files.max(1));
        Ok(Self(Arc::new(Shared { options, connections, outside, files, granted_files, sockets, scope })))
    }

    /// Uploads one file with the token and the owner of `client`. On return the hub has verified it and shows it under its
    /// name.
    ///
    /// # Errors
    /// [`UploadError`], with what to do about it in [`UploadError::failure`]. Nothing is visible under the name then, except
    /// when the answer to the last call was lost.
    ///
    /// # Cancel safety
    /// May be dropped: its requests end, and the hub is told in the background.
    pub async fn upload(&self, client: &HubClient, upload: Upload) -> Result<UploadedFile, UploadError> {
        let shared = &self.0;
        // Nobody closes the semaphore.
        let _file = shared.files.acquire().await.map_err(|_| UploadError::Closed)?;
        let (content, bytes_max) = (upload.content.clone(), shared.options.file_bytes_max);
        let content = Arc::new(shared.blocking(move || Measured::of(content, bytes_max)).await?);
        let (create, local) = upload.announcement(&content);
        let start = client.create_upload(&upload.target, &create, &local).await;
        let file = match start.map_err(UploadError::hub(UploadPhase::Create))? {
            UploadStart::Done(file) => file,
            UploadStart::Transfer { upload_id, source } => {
                let request = shared.transfer(client, &upload, &upload_id, &content, &source).await?;
                let done = client.complete_upload(&upload.target, &upload_id, &request, &local).await;
                done.map_err(UploadError::hub(UploadPhase::Complete))?
            }
        };
        shared.with_sha256(file, &content).await
    }
}

impl Shared {
    /// Sends the bytes, and gives what the hub has to be told of that. When parts fail it is told that, too.
    async fn transfer(
        &self,
        client: &HubClient,
        upload: &Upload,
        id: &ServerId,
        content: &Arc<Measured>,
        source: &UploadSource,
    ) -> Result<CompleteRequest, UploadError> {
        let forsake = matches!(source, UploadSource::Parts(_))
            .then(|| Forsake::new(self.scope.clone(), client.clone(), upload.target.clone(), id.clone()));
        let sent = self.bytes(content, source, &self.connections(), &upload.progress, true).await;
        match (forsake, &sent) {
            (Some(forsake), Ok(_)) => forsake.keep(),
            (Some(forsake), Err(_)) => forsake.now().await,
            (None, _) => {}
        }
        sent
    }

    /// Connections that nobody has used. Those of one save are its own (Hub contract, 4.11).
    pub(super) fn connections(&self) -> Arc<PartConnections> {
        self.connections.connections()
    }

    /// Sends `content` to `source`, parts over `connections`.
    pub(super) async fn bytes(
        &self,
        content: &Arc<Measured>,
        source: &UploadSource,
        connections: &Arc<PartConnections>,
        progress: &Arc<dyn Progress>,
        needs_etag: bool,
    ) -> Result<CompleteRequest, UploadError> {
        match source {
            UploadSource::Parts(urls) => {
                self.parts(content, urls, connections, progress, needs_etag).await.map(CompleteRequest::of_parts)
            }
            UploadSource::Grant(grant) => {
                self.by_grant(content, grant, progress).await.map(CompleteRequest::of_transfer)
            }
        }
    }

    /// Nothing is said to the hub when this fails: it drops such uploads by itself (Hub contract, 4.14).
    async fn by_grant(
        &self,
        content: &Arc<Measured>,
        grant: &TransferGrant,
        progress: &Arc<dyn Progress>,
    ) -> Result<TransferDone, UploadError> {
        // Nobody closes the semaphore.
        let _file = self.granted_files.acquire().await.map_err(|_| UploadError::Closed)?;
        let (connections, options) = (&self.connections, &self.options);
        let (sockets, scope) = (&self.sockets, &*self.scope);
        GrantSender { grant, content, progress, connections, options, sockets, scope }.send().await
    }

    async fn parts(
        &self,
        content: &Arc<Measured>,
        urls: &PartUrls,
        connections: &Arc<PartConnections>,
        progress: &Arc<dyn Progress>,
        needs_etag: bool,
    ) -> Result<Vec<PartEtag>, UploadError> {
        let audience = Audience { sum: Arc::new(Sum::of(content.size_bytes)), progress: progress.clone() };
        let sender = PartSender {
            source: &content.source,
            connections: Arc::clone(connections),
            headers: HeaderMap::new(),
            needs_etag,
            sha256: None,
            audience,
            options: &self.options,
            turns: Arc::new(Semaphore::new(self.options.parts_per_file.clamp(1, Semaphore::MAX_PERMITS))),
            sockets: &self.sockets,
            scope: &self.scope,
        };
        let parts = send_all(sender, urls).await?;
        let content = content.clone();
        self.blocking(move || content.source.unchanged()).await?;
        Ok(parts)
    }

    /// Fills in the hash that older hubs leave out.
    async fn with_sha256(&self, file: UploadedFile, content: &Arc<Measured>) -> Result<UploadedFile, UploadError> {
        if file.sha256.is_some() {
            return Ok(file);
        }
        let content = content.clone();
        let sha256 = self.blocking(move || content.sha256()).await?;
        Ok(UploadedFile { sha256: Some(sha256), ..file })
    }

    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
    ) -> Result<T, UploadError> {
        self.scope.spawn_blocking(work).await.unwrap_or(Err(UploadError::Closed))
    }
}

impl fmt::Debug for Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploader").field("options", &self.0.options).finish_non_exhaustive()
    }
}
