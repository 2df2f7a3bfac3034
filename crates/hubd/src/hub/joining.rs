//! Contents of several objects become one object, so that clients read them from their bucket. A part that came is an object of
//! its own, because parts come in any order and again; a bucket has no way to make them one but to be sent all of it.

use gen_worker_hub::Blake3Hash;

use super::Hub;
use crate::{
    blobs::{BlobStore, Expected, JOINED_BYTES_MAX, ReceiveError},
    metadata::{BlobRecord, MetadataError, Segment},
};

/// Contents of one look.
const PAGE: usize = 100;

/// Contents of one round that may fail: with more of them it is the bucket, and not they.
const FAILURES_MAX: usize = 8;

/// Why contents were not joined. They are read as they were, and another round tries again.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The metadata.
    #[error("cannot list or record contents")]
    Metadata(#[from] MetadataError),
    /// The bucket.
    #[error("cannot join the objects of {content}")]
    Objects {
        /// Which.
        content: Blake3Hash,
        /// What failed.
        #[source]
        source: ReceiveError,
    },
    /// The bucket gave other bytes than it got.
    #[error("the objects of {content} are damaged")]
    Damaged {
        /// Which.
        content: Blake3Hash,
    },
}

impl Hub {
    /// Joins the objects of every content that has several, where clients read from the bucket: once for each, and what it costs
    /// is a read and a write of its bytes.
    ///
    /// # Errors
    /// The last of [`JoinError`]; what could be joined is.
    ///
    /// # Cancel safety
    /// May be dropped; another call does what is left.
    pub async fn join_scattered(&self) -> Result<(), JoinError> {
        if !self.blobs.is_read_directly() {
            return Ok(());
        }
        // Several hubs seldom begin with the same. When they do, one of them was for nothing.
        let start = Blake3Hash::of(uuid::Uuid::new_v4().as_bytes());
        let mut failed = Vec::new();
        self.join_between(Some(start), None, &mut failed).await?;
        self.join_between(None, Some(start), &mut failed).await?;
        failed.pop().map_or(Ok(()), Err)
    }

    /// Joins what comes after `after`, up to `last`.
    async fn join_between(
        &self,
        mut after: Option<Blake3Hash>,
        last: Option<Blake3Hash>,
        failed: &mut Vec<JoinError>,
    ) -> Result<(), MetadataError> {
        loop {
            let page = self.metadata.scattered(after, PAGE).await?;
            for hash in &page {
                if last.is_some_and(|last| *hash > last) || failed.len() >= FAILURES_MAX {
                    return Ok(());
                }
                match self.join(*hash).await {
                    Err(JoinError::Metadata(error)) => return Err(error),
                    joined => failed.extend(joined.err()),
                }
            }
            after = page.last().copied();
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    async fn join(&self, hash: Blake3Hash) -> Result<(), JoinError> {
        let Some(blob) = self.metadata.blob(hash).await? else { return Ok(()) };
        let BlobRecord { size_bytes, segments, .. } = blob;
        if size_bytes > JOINED_BYTES_MAX || self.damaged.lock().contains(&hash) {
            return Ok(());
        }
        let from = segments.iter().map(|segment| segment.key.clone()).collect();
        let key = BlobStore::joined_key(hash);
        let unrecorded = self.unrecorded(&key);
        let expected = Expected { size_bytes, offset: 0, is_whole: true };
        let bytes = self.blobs.read(segments, 0..size_bytes);
        let received = self.blobs.receive(&key, expected, bytes).await;
        let received = received.map_err(|source| JoinError::Objects { content: hash, source })?;
        if received.chaining != hash {
            // Said once: each try would read all of it.
            self.damaged.lock().insert(hash);
            return Err(JoinError::Damaged { content: hash });
        }
        let joined = Segment { key, size_bytes };
        self.metadata.put_joined(hash, from, joined, self.options.clock.now_s()).await?;
        unrecorded.recorded();
        if let Some(sha256) = received.sha256 {
            self.metadata.learn_sha256(hash, sha256).await?;
        }
        Ok(())
    }

    /// A content came that may be in several objects.
    pub(crate) fn came_in_parts(&self) {
        self.scattered.notify_one();
    }

    /// Joins now and then, and soon after a content of several objects came. What fails is logged.
    pub(super) async fn keep_joining(&self) {
        loop {
            if let Err(error) = self.join_scattered().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "contents were not joined");
            }
            tokio::select! {
                () = tokio::time::sleep(self.options.tidy_every) => {}
                () = self.scattered.notified() => {}
            }
        }
    }
}
