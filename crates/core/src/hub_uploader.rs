//! Files of jobs to the media of a Hub. Owns one client for each Hub that it was told of last.

use std::{error::Error, fmt, sync::Arc};

use futures::future::BoxFuture;
use gen_worker_hub::{
    BearerToken,
    api::{UploadPlace, UploadedFile},
    client::{HubClient, HubClientOptions, HubError, UploadTarget},
};
use gen_worker_store::{Upload, UploadContent, UploadFailure, UploadOptions, Uploader};
use gen_worker_tasks::Scope;
use parking_lot::Mutex;

use crate::{
    executor::{OutputUpload, OutputUploader, UploadError},
    saves::SaveContent,
};

/// Stores files at the Hub that the orchestrator names. Cheap to clone.
#[derive(Clone)]
pub struct HubUploader(Arc<Shared>);

struct Shared {
    uploader: Uploader,
    extra_roots: Option<Vec<u8>>,
    /// Base URL and client. Orchestrators name another Hub rarely, and then for all jobs.
    latest: Mutex<Option<(String, HubClient)>>,
}

impl HubUploader {
    /// An uploader whose tasks run in `scope`.
    ///
    /// # Errors
    /// When the trusted roots of `options` cannot be used.
    pub fn new(options: UploadOptions, scope: Arc<Scope>) -> Result<Self, gen_worker_store::UploadError> {
        let extra_roots = options.extra_roots.clone();
        let uploader = Uploader::new(options, scope)?;
        Ok(Self(Arc::new(Shared { uploader, extra_roots, latest: Mutex::new(None) })))
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
        let extra_roots = self.extra_roots.clone();
        let options = HubClientOptions { base_url: base_url.to_owned(), extra_roots, ..HubClientOptions::default() };
        let client = HubClient::new(options)?;
        *latest = Some((base_url.to_owned(), client.clone()));
        Ok(client)
    }

    async fn upload(
        &self,
        upload: OutputUpload,
    ) -> Result<UploadedFile, (UploadFailure, Box<dyn Error + Send + Sync>)> {
        let terminal = |error: Box<dyn Error + Send + Sync>| (UploadFailure::Terminal, error);
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
        file.request_id = Some(upload.pair.request_id.as_str().to_owned());
        self.uploader.upload(&client, file).await.map_err(|error| (error.failure(), error.into()))
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

impl fmt::Debug for HubUploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HubUploader").field(&self.0.uploader).finish()
    }
}
