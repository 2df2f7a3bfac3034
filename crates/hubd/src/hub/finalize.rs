//! A commit becomes a checkpoint: the headers of its weights are read, then the metadata does the rest in one transaction.

use std::collections::HashSet;

use futures::FutureExt as _;
use gen_worker_hub::{
    Blake3Hash, ServerId,
    api::{CommitCreate, CommitOperation},
    model_ref::RepoName,
};
use tokio::time::timeout;

use super::{Busy, Hub};
use crate::{
    blobs::BlobStore,
    metadata::{BlobRecord, Dtypes, Finalized, Metadata, MetadataError},
    safetensors::{LENGTH_BYTES, dtypes, header_end, is_named},
};

/// Where a finalize is.
#[derive(Debug)]
pub(crate) enum Progress<T> {
    /// Over.
    Done(T),
    /// It goes on; who asks again later learns what came of it.
    Running,
}

/// Why a commit did not become a checkpoint.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FinalizeError {
    /// The metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The headers.
    #[error("cannot read a header")]
    Objects(#[from] object_store::Error),
    /// The pool of threads is gone: the process ends.
    #[error("the hub ends")]
    Ends,
}

impl Hub {
    /// Finalizes an open commit, or says what came of it. A long one goes on by itself. `told` makes of an outcome what every
    /// asker gets.
    pub(crate) async fn finalize(
        &self,
        repo: RepoName,
        id: ServerId,
        told: fn(Result<Finalized, FinalizeError>) -> super::Told,
    ) -> Result<Progress<super::Told>, Busy> {
        let (metadata, blobs, turns) = (self.metadata.clone(), self.blobs.clone(), self.header_turns.clone());
        let (clock, key) = (self.options.clock.clone(), (repo.clone(), id.clone()));
        let work = async move {
            let done = async {
                for hash in metadata.unread_weights(repo.clone(), id.clone()).await? {
                    let _turn = turns.acquire().await.map_err(|_| FinalizeError::Ends)?;
                    inspect(metadata.as_ref(), &blobs, hash).await?;
                }
                Ok(metadata.finalize_commit(repo, id, clock.now_s()).await?)
            };
            told(done.await)
        };
        let flight = self.finalizing.join(self.blobs.scope(), "hub-finalize", key, work.boxed()).ok_or(Busy)?;
        match timeout(self.options.finalize_wait, flight).await {
            Ok(outcome) => Ok(Progress::Done(outcome.ok_or(Busy)?)),
            Err(_) => Ok(Progress::Running),
        }
    }
}

impl Hub {
    /// Reads the headers of what `checkpoints` name and nobody has looked at. What is done stays done, for who asks again.
    pub(crate) async fn inspect(&self, checkpoints: &[CommitCreate]) -> Result<(), FinalizeError> {
        let named = checkpoints.iter().flat_map(|checkpoint| &checkpoint.operations).filter_map(|operation| {
            let CommitOperation::Add { path, blake3, .. } = operation else { return None };
            is_named(path).then_some(*blake3)
        });
        let named: HashSet<Blake3Hash> = named.collect();
        for hash in self.metadata.unread_among(named.into_iter().collect()).await? {
            let _turn = self.header_turns.acquire().await.map_err(|_| FinalizeError::Ends)?;
            inspect(self.metadata.as_ref(), &self.blobs, hash).await?;
        }
        Ok(())
    }
}

/// Reads the header of a content and records what it shows.
async fn inspect(metadata: &dyn Metadata, blobs: &BlobStore, hash: Blake3Hash) -> Result<(), FinalizeError> {
    // Its commit pins it.
    let Some(blob) = metadata.blob(hash).await? else { return Ok(()) };
    let header = header(blobs, &blob).await?;
    let found = blobs.scope().spawn_blocking(move || header.map_or_else(Dtypes::new, |header| dtypes(&header)));
    metadata.put_weights(hash, found.await.map_err(|_| FinalizeError::Ends)?).await?;
    Ok(())
}

/// The header of a content; none of what has none.
async fn header(blobs: &BlobStore, blob: &BlobRecord) -> Result<Option<Vec<u8>>, object_store::Error> {
    let read = async |range| {
        let mut bytes = Vec::new();
        blobs.feed(blob.segments.clone(), range, &mut |piece| bytes.extend_from_slice(piece)).await?;
        Ok::<_, object_store::Error>(bytes)
    };
    let Ok(length) = <[u8; 8]>::try_from(read(0..LENGTH_BYTES).await?) else { return Ok(None) };
    match header_end(length, blob.size_bytes) {
        Some(end) => read(LENGTH_BYTES..end).await.map(Some),
        None => Ok(None),
    }
}
