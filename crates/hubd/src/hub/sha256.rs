//! SHA-256 of contents. It can only be computed from front to end, so those that came in several parts are read once more: at
//! the end of an upload whose reply tells it, else when somebody first asks.

use std::time::Duration;

use futures::FutureExt as _;
use gen_worker_hub::{
    Blake3Hash,
    digest::{DigestAlgorithm, DigestHasher},
};

use tokio::time::timeout;

use super::{Busy, Hub};
use crate::{
    blobs::BlobStore,
    metadata::{BlobRecord, MetadataError, Segment},
};

/// Why a hash is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Sha256Error {
    /// There is no such content.
    #[error("there is no such content")]
    Gone,
    /// The bytes or their record.
    #[error("cannot hash a content: {0}")]
    Store(String),
    /// Too much is under way.
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl From<MetadataError> for Sha256Error {
    fn from(error: MetadataError) -> Self {
        Self::Store(error.to_string())
    }
}

impl Hub {
    /// SHA-256 of a content that is there. Computed once, and for all who ask meanwhile; who stops waiting does not stop it.
    pub(crate) async fn sha256_of(&self, hash: Blake3Hash) -> Result<String, Sha256Error> {
        let (metadata, blobs) = (self.metadata.clone(), self.blobs.clone());
        let turns = self.hashing_turns.clone();
        let work = async move {
            let blob = metadata.blob(hash).await?.ok_or(Sha256Error::Gone)?;
            let BlobRecord { size_bytes, sha256, segments, .. } = blob;
            if let Some(sha256) = sha256 {
                return Ok(sha256);
            }
            let _turn = turns.acquire().await.map_err(|error| Sha256Error::Store(error.to_string()))?;
            let sha256 = hashed(&blobs, segments, size_bytes).await;
            let sha256 = sha256.map_err(|error| Sha256Error::Store(error.to_string()))?;
            metadata.learn_sha256(hash, sha256.clone()).await?;
            Ok(sha256)
        };
        let flight = self.hashing.join(self.blobs.scope(), "hub-sha256", hash, work.boxed()).ok_or(Busy)?;
        flight.await.ok_or(Busy)?
    }
}

/// How long an announcement waits for the SHA-256 of a content that is there already. Clients give it 60 s.
const SOON: Duration = Duration::from_secs(45);

impl Hub {
    /// SHA-256 of a content that is there, unless that takes long: it goes on then, and who asks again learns it.
    pub(crate) async fn sha256_soon(&self, hash: Blake3Hash) -> Result<Option<String>, Sha256Error> {
        timeout(SOON, self.sha256_of(hash)).await.ok().transpose()
    }
}

/// SHA-256 of the bytes of `segments`.
async fn hashed(blobs: &BlobStore, segments: Vec<Segment>, size_bytes: u64) -> object_store::Result<String> {
    let mut hasher = DigestHasher::new(DigestAlgorithm::Sha256);
    blobs.feed(segments, 0..size_bytes, &mut |piece| hasher.update(piece)).await?;
    Ok(hasher.digest().hex())
}
