//! One file to the bucket that its grant names (Hub contract, 4d).

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use gen_worker_hub::api::{PartRange, TransferDone, TransferGrant};
use gen_worker_tasks::Scope;
use object_store::PutPayload;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::debug;

use super::{
    bucket::{Begun, BucketObject},
    bucket_http::BucketHttp,
    content::Measured,
    error::UploadError,
    grant_part::{ranges, read},
    options::UploadOptions,
    pace::Audience,
    part_connections::ConnectionMaker,
};
use crate::progress::{Progress, Sum};

/// How the bytes came there, in the words of the contract.
const MODE: &str = "s3_sdk";

/// Sends one file. All attempts are new: nothing of one that failed is used again.
pub(super) struct GrantSender<'a> {
    pub(super) grant: &'a TransferGrant,
    pub(super) content: &'a Arc<Measured>,
    pub(super) progress: &'a Arc<dyn Progress>,
    pub(super) connections: &'a ConnectionMaker,
    pub(super) options: &'a UploadOptions,
    /// Parts at once, of all files of the process.
    pub(super) sockets: &'a Semaphore,
    pub(super) scope: &'a Scope,
}

impl GrantSender<'_> {
    /// Sends all of it; what the hub has to be told of that. Whatever a bucket does may pass, what is wrong with the file
    /// does not.
    ///
    /// # Cancel safety
    /// May be dropped: its requests end. The bucket drops the parts that it has by itself.
    pub(super) async fn send(&self) -> Result<TransferDone, UploadError> {
        let mut failures = 0;
        loop {
            let error = match self.attempt(failures as usize).await {
                Ok(()) => return Ok(self.done()),
                Err(error @ UploadError::Transfer { .. }) => error,
                Err(error) => return Err(error),
            };
            failures += 1;
            // The contract spreads these waits by nothing.
            let Some(wait) = self.options.grant.retry.wait(failures, None, 0.0) else { return Err(error) };
            debug!(failures, %error, wait_ms = wait.as_millis(), "a transfer failed, trying again");
            tokio::time::sleep(wait).await;
        }
    }

    fn done(&self) -> TransferDone {
        TransferDone {
            mode: MODE.to_owned(),
            bucket: self.grant.bucket.clone(),
            key: self.grant.key.clone(),
            size_bytes: self.content.size_bytes,
            blake3: self.content.blake3,
            etag: String::new(),
        }
    }

    async fn attempt(&self, failures: usize) -> Result<(), UploadError> {
        // Before the bucket hears anything: the announced bytes are those that are there (4.23).
        self.unchanged().await?;
        let (size_bytes, part_bytes) = (self.content.size_bytes, self.options.grant.part_bytes);
        let audience = Audience { sum: Arc::new(Sum::of(size_bytes)), progress: self.progress.clone() };
        let http = BucketHttp { client: self.connections.client()?, stall: self.options.part_stall, audience };
        let object = BucketObject::of(self.grant, http, &self.options.grant.request_retry)?;
        if size_bytes < part_bytes {
            let (_socket, content) = self.part(PartRange { number: 1, offset: 0, length: size_bytes }).await?;
            object.put(content).await?;
        } else {
            let begun = object.begin().await?;
            if let Err(error) = self.in_parts(&begun, self.options.grant.at_once(failures)).await {
                begun.abort().await;
                return Err(error);
            }
        }
        self.unchanged().await
    }

    async fn in_parts(&self, begun: &Begun<'_>, at_once: usize) -> Result<(), UploadError> {
        let ranges = ranges(self.content.size_bytes, self.options.grant.part_bytes);
        let sent = futures::stream::iter(ranges.enumerate().map(|(index, range)| async move {
            let (_socket, part) = self.part(range).await?;
            begun.put_part(index, part).await
        }));
        let parts = sent.buffered(at_once).try_collect().await?;
        begun.finish(parts).await
    }

    /// The bytes of `range`, and leave to keep them in memory and to send them.
    async fn part(&self, range: PartRange) -> Result<(SemaphorePermit<'_>, PutPayload), UploadError> {
        // Nobody closes the semaphore.
        let socket = self.sockets.acquire().await.map_err(|_| UploadError::Closed)?;
        let content = self.content.clone();
        let reading = self.scope.spawn_blocking(move || read(&content.source, range));
        Ok((socket, reading.await.unwrap_or(Err(UploadError::Closed))?))
    }

    async fn unchanged(&self) -> Result<(), UploadError> {
        let content = self.content.clone();
        self.scope.spawn_blocking(move || content.source.unchanged()).await.unwrap_or(Err(UploadError::Closed))
    }
}
