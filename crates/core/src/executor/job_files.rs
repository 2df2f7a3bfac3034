//! What the handler of a job saves: checked, counted, and uploaded in the name of the job.

use std::{
    fs::File,
    io::{self, Read as _},
    sync::{Arc, OnceLock, Weak},
};

use futures::future::BoxFuture;
use gen_worker_hub::{BearerToken, RepoPath, api::UploadedFile, token::ByteLimits};
use gen_worker_store::UploadFailure;
use gen_worker_tasks::Scope;
use tokio::sync::{mpsc, oneshot};

use super::{
    JobCell, JobEvent,
    byte_budget::{ByteBudget, Reserved},
    gpu_lease::GpuLease,
    upload::{OutputUpload, UploadError, Uploads},
};
use crate::{
    job::NotStored,
    saves::{Asset, FILE_BYTES_MAX, FileSaver, HEAD_BYTES, OutputDestination, Save, SaveContent, file_ref, mime_type},
    worker_error::{Result, WorkerError},
};

/// Whom errors of the file API name.
const PROVIDER: &str = "hub";

/// Saves in the name of one job. Cheap to clone.
#[derive(Clone)]
pub(super) struct JobFiles {
    job: Arc<JobCell>,
    uploads: Arc<Uploads>,
    /// Made by the first save: few jobs save anything.
    budget: OnceLock<Arc<ByteBudget>>,
    scope: Arc<Scope>,
    /// Not held by it: an author's forgotten context must not keep accelerators.
    lease: Option<Weak<GpuLease>>,
    events: mpsc::Sender<JobEvent>,
}

/// What a file looks like before it is read.
struct Look {
    size_bytes: u64,
    head: Vec<u8>,
}

impl JobFiles {
    pub(super) fn new(
        job: Arc<JobCell>,
        uploads: Arc<Uploads>,
        scope: Arc<Scope>,
        lease: Option<&Arc<GpuLease>>,
        events: mpsc::Sender<JobEvent>,
    ) -> Self {
        Self { job, uploads, budget: OnceLock::new(), scope, lease: lease.map(Arc::downgrade), events }
    }

    async fn stored(self, save: Save) -> Result<Asset> {
        let Save { reference, content, create, to } = save;
        if let Some(to) = to {
            return self.delivered(to, content).await;
        }
        let name = file_ref(&reference)?;
        let looked = content.clone();
        let look =
            self.scope.spawn_blocking(move || look(&looked)).await.unwrap_or_else(|_| Err(WorkerError::canceled()));
        let Look { size_bytes, head } = look?;
        if size_bytes == 0 {
            return Err(WorkerError::validation(format!("the saved file {name} is empty")));
        }
        if size_bytes > FILE_BYTES_MAX {
            return Err(WorkerError::output_too_large(size_bytes, FILE_BYTES_MAX));
        }
        let uploader = self.uploads.of(usize::try_from(size_bytes).unwrap_or(usize::MAX)).map_err(not_stored)?;
        let _reserved = match content {
            SaveContent::File(_) => self.reserve(size_bytes).await?,
            SaveContent::Bytes(_) => None,
        };
        let mime_type = mime_type(&head, name.as_str()).to_owned();
        let base = self.uploads.file_base_url();
        let upload = self.job.file_upload(name.as_str().to_owned(), content, Some(mime_type), base);
        let upload = OutputUpload { create, ..upload };
        let owner = upload.tenant.clone();
        let stored = self.without_gpu(uploader.upload(upload)).await;
        Ok(asset(stored.map_err(|error| failed(&name, error))?, owner))
    }

    /// Writes to where the client wants it. The bytes that the token allows are those of the hub.
    async fn delivered(self, to: OutputDestination, content: SaveContent) -> Result<Asset> {
        let destination = to.checked()?;
        let looked = content.clone();
        let look =
            self.scope.spawn_blocking(move || look(&looked)).await.unwrap_or_else(|_| Err(WorkerError::canceled()));
        let Look { size_bytes, head } = look?;
        let uploader = self.uploads.of(usize::try_from(size_bytes).unwrap_or(usize::MAX)).map_err(not_stored)?;
        let delivering = uploader.deliver(self.job.pair().clone(), destination, content);
        let delivered = self.without_gpu(delivering).await.map_err(undelivered)?;
        Ok(Asset {
            reference: to.reference(),
            mime_type: Some(mime_type(&head, &to.name()).to_owned()),
            size_bytes: Some(delivered.size_bytes),
            sha256: Some(delivered.sha256),
            blake3: Some(delivered.blake3.to_string()),
            ..Asset::default()
        })
    }

    /// The output of `work`, during which others may have the accelerators of the job.
    async fn without_gpu<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(lease) = self.lease.as_ref().and_then(Weak::upgrade) else { return work.await };
        let back = async || {
            let (grant, granted) = oneshot::channel();
            let wanted = JobEvent::GpuWanted { job: self.job.clone(), grant };
            // The receiver goes away only with the worker.
            drop(self.events.send(wanted).await);
            granted.await.ok()
        };
        lease.without(work, back).await
    }

    /// Waits for room within what the token allows; nothing is counted where it sets no total.
    async fn reserve(&self, size_bytes: u64) -> Result<Option<Reserved>> {
        let token = self.job.capability_token().parse::<BearerToken>();
        let limits = token.map(|token| ByteLimits::read_unverified(&token)).unwrap_or_default();
        if let Some(max) = limits.per_file.filter(|max| size_bytes > *max) {
            return Err(WorkerError::output_too_large(size_bytes, max));
        }
        let Some(total) = limits.total else { return Ok(None) };
        let reserved = self.budget.get_or_init(Arc::default).reserve(size_bytes, total).await;
        reserved.map(Some).map_err(|_| WorkerError::output_too_large(size_bytes, total))
    }
}

impl FileSaver for JobFiles {
    fn save(&self, save: Save) -> BoxFuture<'static, Result<Asset>> {
        // Before it is cloned: all saves of the job share it.
        self.budget.get_or_init(Arc::default);
        Box::pin(self.clone().stored(save))
    }
}

/// Blocks.
fn look(content: &SaveContent) -> Result<Look> {
    let path = match content {
        SaveContent::Bytes(bytes) => {
            let head = bytes.get(..HEAD_BYTES).unwrap_or(bytes).to_vec();
            return Ok(Look { size_bytes: bytes.len() as u64, head });
        }
        SaveContent::File(path) => path,
    };
    let looked = || {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        let mut head = Vec::with_capacity(HEAD_BYTES);
        File::open(path)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        Ok(Look { size_bytes: metadata.len(), head })
    };
    looked().map_err(|error: io::Error| {
        WorkerError::resource(format!("a file to save cannot be read: {error}")).with_source(error)
    })
}

fn not_stored(why: NotStored) -> WorkerError {
    match why {
        NotStored::TooLarge { bytes, bytes_max } => WorkerError::output_too_large(bytes as u64, bytes_max as u64),
        NotStored::NoStore { .. } | NotStored::Failed => {
            WorkerError::resource("this worker has nowhere to save files to")
        }
    }
}

/// What the author sees of a delivery that failed. The place is the client's own, so what is wrong with it is the client's fault.
fn undelivered(error: UploadError) -> WorkerError {
    let cause = format!("the output was not delivered: {}", error.source);
    match error.failure {
        UploadFailure::Retryable => WorkerError::transfer("web", "upload", true, None, &cause).with_source(error),
        UploadFailure::Unsupported => WorkerError::resource(cause).with_source(error),
        UploadFailure::Auth | UploadFailure::Terminal => WorkerError::validation(cause).with_source(error),
    }
}

/// What the author sees; the cause is for the log.
fn failed(name: &RepoPath, error: UploadError) -> WorkerError {
    let cause = format!("{name} was not saved");
    let error_of = |retryable| WorkerError::transfer(PROVIDER, "upload", retryable, None, &cause);
    match error.failure {
        UploadFailure::Auth => WorkerError::auth(format!("{cause}: the token of the job does not allow it")),
        UploadFailure::Retryable => error_of(true),
        UploadFailure::Unsupported | UploadFailure::Terminal => error_of(false),
    }
    .with_source(error)
}

fn asset(file: UploadedFile, owner: String) -> Asset {
    Asset {
        reference: file.reference,
        owner: Some(owner).filter(|owner| !owner.is_empty()),
        mime_type: Some(file.mime_type),
        size_bytes: Some(file.size_bytes),
        sha256: file.sha256,
        blake3: Some(file.blake3.to_string()),
        media_id: file.media_id,
        ..Asset::default()
    }
}
