//! An upload to the object store that is not complete. It is given up when its request is.

use std::sync::Arc;

use gen_worker_tasks::Scope;
use object_store::{MultipartUpload, PutPayload, Result};
use tokio::runtime::Handle;

/// An upload that has begun.
#[derive(Debug)]
pub(super) struct Pending {
    upload: Option<Box<dyn MultipartUpload>>,
    scope: Arc<Scope>,
}

impl Pending {
    /// Watches over `upload`; what is left of it is removed in `scope`.
    pub fn new(upload: Box<dyn MultipartUpload>, scope: Arc<Scope>) -> Self {
        Self { upload: Some(upload), scope }
    }

    /// Sends the next piece.
    pub async fn put(&mut self, piece: PutPayload) -> Result<()> {
        match &mut self.upload {
            Some(upload) => upload.put_part(piece).await,
            None => Ok(()),
        }
    }

    /// Makes an object of the pieces.
    pub async fn complete(mut self) -> Result<()> {
        if let Some(upload) = &mut self.upload {
            upload.complete().await?;
        }
        self.upload = None;
        Ok(())
    }

    /// Removes the pieces.
    pub async fn abort(mut self) {
        if let Some(upload) = self.upload.take() {
            abort(upload).await;
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        // Without a runtime the process is about to end.
        if Handle::try_current().is_ok() {
            drop(self.scope.spawn_bare(abort(upload)));
        }
    }
}

async fn abort(mut upload: Box<dyn MultipartUpload>) {
    if let Err(error) = upload.abort().await {
        tracing::debug!(%error, "a part that failed was not removed at once");
    }
}
