//! Contents of several objects become one object, so that clients read them from their bucket. A part that came is an object of
//! its own, because parts come in any order and again; a bucket has no way to make them one but to be sent all of it.
//!
//! ```text
//! scattered ─> begin (the object is on record, for who else may join it: until) ─> read, hash, write ─> put: one object
//!                                              └── goes on: until, later ──┘        └── failed: doomed, another time
//! ```

use std::{collections::HashMap, time::Duration};

use gen_worker_hub::Blake3Hash;
use tokio::time::Instant;

use super::Hub;
use crate::{
    blobs::{BlobStore, Expected, JOINED_BYTES_MAX, ReceiveError, Received},
    metadata::{BlobRecord, MetadataError, Segment},
};

/// Contents of one look.
const PAGE: usize = 100;

/// Failures after which a round ends: with so many it is the bucket, and not the contents.
const FAILURES_MAX: usize = 8;

/// How long nobody else joins a content whose joiner says nothing, and how often that says something.
const TURN: Duration = Duration::from_secs(20);
const TELL_EVERY: Duration = Duration::from_secs(5);

/// After the first failure of a content, and the most after many: each try may read and write all of it.
const AGAIN_FIRST: Duration = Duration::from_secs(60);
const AGAIN_LATEST: Duration = Duration::from_secs(24 * 60 * 60);

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

/// Contents that could not be joined, and when they are tried again.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<Blake3Hash, (Duration, Instant)>);

impl Failures {
    fn may_try(&self, hash: &Blake3Hash) -> bool {
        self.0.get(hash).is_none_or(|(_, again)| *again <= Instant::now())
    }

    fn failed(&mut self, hash: Blake3Hash, first: Duration) {
        let wait = self.0.get(&hash).map_or(first, |(wait, _)| (*wait * 2).min(AGAIN_LATEST));
        self.0.insert(hash, (wait, Instant::now() + wait));
    }
}

impl Hub {
    /// Joins the objects of every content that has several, where clients read from the bucket: once for each, and what it costs
    /// is a read and a write of its bytes. Those that another hub is at, or that failed a short time ago, are passed over.
    ///
    /// # Errors
    /// The last of [`JoinError`], which are logged; what could be joined is.
    ///
    /// # Cancel safety
    /// May be dropped; another call, of any hub, does what is left.
    pub async fn join_scattered(&self) -> Result<(), JoinError> {
        let Some(blobs) = &self.joins else { return Ok(()) };
        let (mut after, mut failed) = (None, Vec::new());
        loop {
            let page = self.metadata.scattered(after, self.options.clock.now_s(), PAGE).await?;
            for hash in &page {
                if !self.join_failures.lock().may_try(hash) {
                    continue;
                }
                let Err(error) = self.join(blobs, *hash).await else {
                    self.join_failures.lock().0.remove(hash);
                    continue;
                };
                tracing::warn!(error = &error as &dyn std::error::Error, "a content was not joined");
                let first = if matches!(error, JoinError::Damaged { .. }) { AGAIN_LATEST } else { AGAIN_FIRST };
                self.join_failures.lock().failed(*hash, first);
                failed.push(error);
                if failed.len() >= FAILURES_MAX {
                    break;
                }
            }
            after = page.last().copied();
            if page.len() < PAGE || failed.len() >= FAILURES_MAX {
                return failed.pop().map_or(Ok(()), Err);
            }
        }
    }

    async fn join(&self, blobs: &BlobStore, hash: Blake3Hash) -> Result<(), JoinError> {
        let Some(blob) = self.metadata.blob(hash).await? else { return Ok(()) };
        if blob.size_bytes > JOINED_BYTES_MAX {
            return Ok(());
        }
        let key = BlobStore::joined_key(hash);
        let now_s = self.options.clock.now_s();
        if !self.metadata.begin_join(hash, key.clone(), self.turn_ends_s(), now_s).await? {
            return Ok(());
        }
        let (from, size_bytes) = (blob.segments.iter().map(|segment| segment.key.clone()).collect(), blob.size_bytes);
        let sha256 = match self.join_into(blobs, &key, hash, blob).await {
            Ok(None) => return Ok(()),
            Ok(Some(received)) => received.sha256,
            Err(error) => {
                self.metadata.drop_join(hash, key).await?;
                return Err(error);
            }
        };
        let joined = Segment { key, size_bytes };
        if self.metadata.put_joined(hash, from, joined, self.options.clock.now_s()).await?
            && let Some(sha256) = sha256
        {
            self.metadata.learn_sha256(hash, sha256).await?;
        }
        Ok(())
    }

    /// Writes all of a content to one object. None when it is another hub's turn by now.
    async fn join_into(
        &self,
        blobs: &BlobStore,
        key: &str,
        hash: Blake3Hash,
        blob: BlobRecord,
    ) -> Result<Option<Received>, JoinError> {
        let BlobRecord { size_bytes, segments, .. } = blob;
        let expected = Expected { size_bytes, offset: 0, is_whole: true };
        let received = tokio::select! {
            received = blobs.receive(key, expected, blobs.read(segments, 0..size_bytes)) => received,
            () = self.keep_turn(hash, key) => return Ok(None),
        };
        match received {
            Ok(received) if received.chaining == hash => Ok(Some(received)),
            Ok(_) => Err(JoinError::Damaged { content: hash }),
            Err(source) => Err(JoinError::Objects { content: hash, source }),
        }
    }

    /// Tells other hubs that this one is still at it, until it is not its turn any more.
    async fn keep_turn(&self, hash: Blake3Hash, key: &str) {
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            // What cannot be told now is told the next time: in the end the metadata know whose turn it is.
            if matches!(self.metadata.keep_join(hash, key.to_owned(), self.turn_ends_s()).await, Ok(false)) {
                return;
            }
        }
    }

    fn turn_ends_s(&self) -> u64 {
        self.options.clock.now_s().saturating_add(TURN.as_secs())
    }

    /// A content came that may be in several objects.
    pub(crate) fn came_in_parts(&self) {
        self.scattered.notify_one();
    }

    /// Joins now and then, and soon after a content of several objects came. What fails is logged.
    pub(super) async fn keep_joining(&self) {
        if self.joins.is_none() {
            return std::future::pending().await;
        }
        loop {
            if let Err(JoinError::Metadata(error)) = self.join_scattered().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "contents were not joined");
            }
            tokio::select! {
                // What another hub was at when it was killed is joined by this one then.
                () = tokio::time::sleep(self.options.tidy_every.min(TURN)) => {}
                () = self.scattered.notified() => {}
            }
        }
    }
}
