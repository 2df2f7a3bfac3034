//! The Hub of a worker: files of jobs to its media, tokens of jobs renewed. Owns the client of the Hub that was named last.

use std::{error::Error, fmt, sync::Arc};

use futures::future::BoxFuture;
use gen_worker_hub::{
    BearerToken,
    api::{RenewReply, RenewRequest, UploadPlace, UploadedFile},
    client::{HubClient, HubClientOptions, HubError, UploadTarget},
};
use gen_worker_store::{Upload, UploadContent, UploadFailure, UploadOptions, Uploader};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;

use crate::{
    executor::{NotRenewed, OutputUpload, OutputUploader, Renewal, TokenRenewer, UploadError},
    saves::SaveContent,
};

/// Stores files at the Hub that the orchestrator names. Cheap to clone.
#[derive(Clone)]
pub struct HubUploader(Arc<Shared>);

struct Shared {
    options: UploadOptions,
    scope: Arc<Scope>,
    /// Made for the first file: reading the trusted roots of the system takes longer than most workers need to start.
    uploader: Mutex<Option<Uploader>>,
    /// Base URL and client. Orchestrators name another Hub rarely, and then for all jobs.
    latest: Mutex<Option<(String, HubClient)>>,
}

type Cause = Box<dyn Error + Send + Sync>;

impl HubUploader {
    /// An uploader whose tasks run in `scope`. It does nothing before the first file.
    #[must_use]
    pub fn new(options: UploadOptions, scope: Arc<Scope>) -> Self {
        Self(Arc::new(Shared { options, scope, uploader: Mutex::new(None), latest: Mutex::new(None) }))
    }
}

impl Shared {
    fn client(&self, base_url: &str) -> Result<HubClient, HubError> {
        let mut latest = self.latest.lock();
        if let Some((known, client)) = &*latest
            && known == base_url
        {
            return Ok(client.clone());
        }
        let extra_roots = self.options.extra_roots.clone();
        let options = HubClientOptions { base_url: base_url.to_owned(), extra_roots, ..HubClientOptions::default() };
        let client = HubClient::new(options)?;
        *latest = Some((base_url.to_owned(), client.clone()));
        Ok(client)
    }

    fn uploader(&self) -> Result<Uploader, gen_worker_store::UploadError> {
        let mut uploader = self.uploader.lock();
        match &*uploader {
            Some(uploader) => Ok(uploader.clone()),
            None => Ok(uploader.insert(Uploader::new(self.options.clone(), self.scope.clone())?).clone()),
        }
    }

    async fn renew(&self, renewal: Renewal) -> Result<RenewReply, NotRenewed> {
        let unsent = |source: Cause| NotRenewed { status: None, source };
        let client = self.client(&renewal.file_base_url).map_err(|error| unsent(error.into()))?;
        let worker_token = renewal.worker_token.parse::<BearerToken>().map_err(|error| unsent(error.into()))?;
        let request = RenewRequest {
            request_id: renewal.pair.request_id.as_str().to_owned(),
            attempt: u32::try_from(renewal.pair.attempt.0).map_err(|error| unsent(error.into()))?,
            capability_token: renewal.capability_token,
        };
        let reply = client.renew_capability(&worker_token, &request).await;
        reply.map_err(|error| NotRenewed { status: error.status(), source: error.into() })
    }

    async fn upload(&self, upload: OutputUpload) -> Result<UploadedFile, (UploadFailure, Cause)> {
        let terminal = |error: Cause| (UploadFailure::Terminal, error);
        let uploader = self.uploader().map_err(|error| terminal(error.into()))?;
        let token = match upload.capability_token.as_str() {
            "" => None,
            token => Some(token.parse::<BearerToken>().map_err(|error| terminal(error.into()))?),
        };
        let client = self.client(&upload.file_base_url).map_err(|error| terminal(error.into()))?;
        let client = client.with_token(token).with_owner(&upload.tenant);
        let place = UploadPlace::media(&upload.name).map_err(|error| terminal(error.into()))?;
        let content = match upload.content {
            SaveContent::Bytes(bytes) => UploadContent::Bytes(bytes),
            SaveContent::File(path) => UploadContent::File(path),
        };
        let mut file = Upload::new(UploadTarget::Media { owner: upload.tenant }, place, content);
        file.content_type = upload.mime_type;
        file.create = upload.create;
        file.request_id = Some(upload.pair.request_id.as_str().to_owned());
        uploader.upload(&client, file).await.map_err(|error| (error.failure(), error.into()))
    }
}

impl OutputUploader for HubUploader {
    fn upload(&self, upload: OutputUpload) -> BoxFuture<'static, Result<UploadedFile, UploadError>> {
        let shared = self.0.clone();
        Box::pin(async move {
            let pair = upload.pair.clone();
            let uploaded = shared.upload(upload).await;
            uploaded.map_err(|(failure, source)| UploadError { pair, failure, source })
        })
    }
}

impl TokenRenewer for HubUploader {
    fn renew(&self, renewal: Renewal) -> BoxFuture<'static, Result<RenewReply, NotRenewed>> {
        let shared = self.0.clone();
        Box::pin(async move { shared.renew(renewal).await })
    }
}

impl fmt::Debug for HubUploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubUploader").field("options", &self.0.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
