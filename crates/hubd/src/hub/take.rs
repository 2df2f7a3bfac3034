//! Bytes come in: the one way in which they are stored, made to last, and recorded.

use bytes::Bytes;
use futures::Stream;
use gen_worker_hub::ServerId;

use super::{Hub, upkeep::Unrecorded};
use crate::{
    blobs::{BlobStore, Expected, ReceiveError},
    metadata::{Part, Segment},
};

/// A part that is on the disk and that nothing names yet.
#[must_use]
pub(crate) struct Taken<'a> {
    part: Part,
    unrecorded: Unrecorded<'a>,
}

impl Hub {
    /// Stores `body` as part `number` of an upload. Dropped before [`Taken::recorded`], its object goes with the next round of
    /// tidying.
    pub(crate) async fn take<E>(
        &self,
        upload: &ServerId,
        number: u32,
        expected: Expected,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Taken<'_>, ReceiveError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let key = BlobStore::key(upload, number);
        let unrecorded = self.unrecorded(&key);
        let received = self.blobs.receive(&key, expected, body).await?;
        let segment = Segment { key, size_bytes: expected.size_bytes };
        let part = Part { number, segment, chaining: received.chaining, sha256: received.sha256 };
        Ok(Taken { part, unrecorded })
    }
}

impl Taken<'_> {
    /// What to record.
    pub fn part(&self) -> Part {
        self.part.clone()
    }

    /// What clients are told to name it by.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.part.chaining)
    }

    /// The metadata names the object, or has doomed it.
    pub fn recorded(self) {
        self.unrecorded.recorded();
    }
}
