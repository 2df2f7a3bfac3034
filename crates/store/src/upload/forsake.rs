//! The end of an upload whose parts did not all arrive (Hub contract, 4.14).

use std::sync::Arc;

use gen_worker_hub::{
    ServerId,
    client::{HubClient, UploadTarget},
};
use gen_worker_tasks::Scope;
use tokio::runtime::Handle;

/// Tells the hub, unless the upload was kept: also when whoever waited for it is gone.
pub(super) struct Forsake {
    scope: Arc<Scope>,
    upload: Option<Opened>,
}

#[derive(Clone)]
struct Opened {
    client: HubClient,
    target: UploadTarget,
    id: ServerId,
}

impl Forsake {
    pub(super) fn new(scope: Arc<Scope>, client: HubClient, target: UploadTarget, id: ServerId) -> Self {
        Self { scope, upload: Some(Opened { client, target, id }) }
    }

    /// All parts are there.
    pub(super) fn keep(mut self) {
        self.upload = None;
    }

    /// Gives the upload up. Best effort.
    pub(super) async fn now(mut self) {
        if let Some(upload) = self.upload.clone() {
            upload.forsake().await;
        }
        self.upload = None;
    }
}

impl Opened {
    async fn forsake(&self) {
        self.client.abort_upload(&self.target, &self.id).await;
    }
}

impl Drop for Forsake {
    fn drop(&mut self) {
        // Without a runtime nobody can speak to the hub; it drops such uploads by itself.
        if let (Some(upload), Ok(_)) = (self.upload.take(), Handle::try_current()) {
            self.scope.spawn("upload-forsake", async move { upload.forsake().await });
        }
    }
}
