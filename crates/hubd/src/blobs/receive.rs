//! A part comes in: it is counted and hashed on its way to the object store.

use std::{pin::Pin, sync::Arc};

use blake3::hazmat::HasherExt as _;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use gen_worker_hub::{
    Blake3Hash,
    digest::{DigestAlgorithm, DigestHasher},
};
use object_store::{ObjectStoreExt as _, PutPayload, path::Path};

use super::{
    BlobStore,
    pending::{Pending, Place},
    read::failed,
    room::Held,
    staged::Staged,
};
use crate::patience::Stalled;

/// Bytes for which room is taken at once: so little that all connections together have room for one step each.
const STEP_BYTES: usize = 32 * 1024;

/// What has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Bytes of the part.
    pub size_bytes: u64,
    /// Where it starts in the content.
    pub offset: u64,
    /// Whether it is the whole content.
    pub is_whole: bool,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The hash of a whole content, else the chaining value of the part.
    pub chaining: Blake3Hash,
    /// SHA-256 of a whole content.
    pub sha256: Option<String>,
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// More or fewer bytes than announced.
    #[error("the part does not have the announced size")]
    Size,
    /// The sender broke off.
    #[error("the part did not come to its end")]
    Body,
    /// The sender sends nothing, or next to nothing.
    #[error("the part did not come in time")]
    Stall,
    /// The object store refuses.
    #[error("the part cannot be stored")]
    Store(#[from] object_store::Error),
}

impl BlobStore {
    /// Stores `body` under `key`, so that it outlives a loss of power: a part that is on record is not asked for again.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub async fn receive<E>(
        &self,
        key: &str,
        expected: Expected,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Received, ReceiveError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut body = Incoming { body: std::pin::pin!(body), rest: Bytes::new() };
        let mut hash = PartHash::new(expected);
        if self.directory.is_none() && expected.size_bytes <= self.piece_bytes as u64 {
            let (piece, mut held) = self.piece(&mut body, expected.size_bytes, &mut hash).await?;
            body.end(&mut held).await?;
            self.objects.put(&Path::from(key), piece).await?;
        } else {
            self.receive_pieces(key, expected.size_bytes, &mut body, &mut hash).await?;
        }
        Ok(hash.finish())
    }

    /// The same in pieces. When this fails nothing is there, and when it is dropped nothing will be soon.
    async fn receive_pieces<S, E>(
        &self,
        key: &str,
        size_bytes: u64,
        body: &mut Incoming<'_, S>,
        hash: &mut PartHash,
    ) -> Result<(), ReceiveError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut upload = Pending::new(self.begin(key).await?, key, Arc::clone(&self.scope));
        let sent = async {
            let mut left = size_bytes;
            while left > 0 {
                let (piece, _held) = self.piece(body, left, hash).await?;
                left = left.saturating_sub(piece.content_length() as u64);
                upload.put(piece).await?;
            }
            body.end(&mut self.room.hold()).await
        };
        match sent.await {
            Ok(()) => Ok(upload.complete().await?),
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn begin(&self, key: &str) -> object_store::Result<Place> {
        Ok(match &self.directory {
            Some(directory) => {
                let staged = Staged::create(directory.join(key), &self.scope).await;
                Place::Directory(staged.map_err(|error| failed(key, error))?)
            }
            None => Place::Store(self.objects.put_multipart(&Path::from(key)).await?),
        })
    }

    /// The next piece of `left` bytes, hashed, and its room.
    async fn piece<S, E>(
        &self,
        body: &mut Incoming<'_, S>,
        left: u64,
        hash: &mut PartHash,
    ) -> Result<(PutPayload, Held<'_>), ReceiveError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.piece_bytes);
        let mut held = self.room.hold();
        let piece = body.take(wanted, &mut held).await?;
        piece.iter().for_each(|step| hash.update(step));
        Ok((piece.into_iter().collect(), held))
    }
}

/// A body, and what of its last bytes belongs to the next piece.
struct Incoming<'a, S> {
    body: Pin<&'a mut S>,
    rest: Bytes,
}

impl<S, E> Incoming<'_, S>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Exactly so many bytes. For each step there is room before it is kept.
    async fn take(&mut self, wanted: usize, held: &mut Held<'_>) -> Result<Vec<Bytes>, ReceiveError> {
        let (mut piece, mut left) = (Vec::new(), wanted);
        while left > 0 {
            self.some(held).await?;
            let size = left.min(STEP_BYTES);
            held.grow(size).await?;
            let mut step = BytesMut::with_capacity(size);
            while step.len() < size {
                self.some(held).await?;
                let part = self.rest.split_to(self.rest.len().min(size.saturating_sub(step.len())));
                step.extend_from_slice(&part);
            }
            piece.push(step.freeze());
            left = left.saturating_sub(size);
        }
        Ok(piece)
    }

    /// Waits for bytes that have to come.
    async fn some(&mut self, held: &mut Held<'_>) -> Result<(), ReceiveError> {
        while self.rest.is_empty() {
            if !held.patient(self.more()).await?? {
                return Err(ReceiveError::Size);
            }
        }
        Ok(())
    }

    /// There is nothing more.
    async fn end(&mut self, held: &mut Held<'_>) -> Result<(), ReceiveError> {
        while self.rest.is_empty() {
            if !held.patient(self.more()).await?? {
                return Ok(());
            }
        }
        Err(ReceiveError::Size)
    }

    /// Reads on; false at the end.
    async fn more(&mut self) -> Result<bool, ReceiveError> {
        let Some(bytes) = self.body.next().await else { return Ok(false) };
        self.rest = bytes.map_err(|error| {
            let stalled = Stalled::is_in(error.into().as_ref());
            if stalled { ReceiveError::Stall } else { ReceiveError::Body }
        })?;
        Ok(true)
    }
}

/// The hashes of one part.
struct PartHash {
    blake3: blake3::Hasher,
    sha256: Option<DigestHasher>,
}

impl PartHash {
    fn new(expected: Expected) -> Self {
        let mut blake3 = blake3::Hasher::new();
        if !expected.is_whole {
            blake3.set_input_offset(expected.offset);
        }
        Self { blake3, sha256: expected.is_whole.then(|| DigestHasher::new(DigestAlgorithm::Sha256)) }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    fn finish(self) -> Received {
        let chaining = match &self.sha256 {
            Some(_) => *self.blake3.finalize().as_bytes(),
            None => self.blake3.finalize_non_root(),
        };
        Received { chaining: Blake3Hash::from_bytes(chaining), sha256: self.sha256.map(|sha256| sha256.digest().hex()) }
    }
}
