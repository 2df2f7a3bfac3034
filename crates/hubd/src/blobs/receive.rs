//! A part comes in: it is counted and hashed on its way to the object store.

use std::time::Duration;

use blake3::hazmat::HasherExt as _;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use gen_worker_hub::{
    Blake3Hash,
    digest::{DigestAlgorithm, DigestHasher},
};
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload, path::Path};

use super::{BlobStore, PIECE_BYTES};

/// How long a sender may send nothing. Senders give up themselves after 120 s.
const STALL: Duration = Duration::from_secs(60);

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
    /// The sender sends nothing.
    #[error("nothing came for {} s", STALL.as_secs())]
    Stall,
    /// The object store refuses.
    #[error("the part cannot be stored")]
    Store(#[from] object_store::Error),
}

impl BlobStore {
    /// Stores `body` under `key`. When this fails, or is dropped, nothing is there.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub async fn receive<E>(
        &self,
        key: &str,
        expected: Expected,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
    ) -> Result<Received, ReceiveError> {
        let mut upload = self.objects.put_multipart(&Path::from(key)).await?;
        let outcome = match transfer(upload.as_mut(), expected, body).await {
            Ok(received) => upload.complete().await.map(|_| received).map_err(ReceiveError::from),
            Err(error) => Err(error),
        };
        if outcome.is_err()
            && let Err(error) = upload.abort().await
        {
            tracing::debug!(%error, "a part that failed was not removed at once");
        }
        outcome
    }
}

async fn transfer<E>(
    upload: &mut dyn MultipartUpload,
    expected: Expected,
    body: impl Stream<Item = Result<Bytes, E>> + Send,
) -> Result<Received, ReceiveError> {
    let mut body = std::pin::pin!(body);
    let mut hash = PartHash::new(expected);
    let (mut piece, mut count) = (BytesMut::new(), 0u64);
    loop {
        let next = tokio::time::timeout(STALL, body.next()).await.map_err(|_| ReceiveError::Stall)?;
        let Some(bytes) = next else { break };
        let bytes = bytes.map_err(|_| ReceiveError::Body)?;
        count = count.saturating_add(bytes.len() as u64);
        if count > expected.size_bytes {
            return Err(ReceiveError::Size);
        }
        hash.update(&bytes);
        piece.extend_from_slice(&bytes);
        if piece.len() >= PIECE_BYTES {
            upload.put_part(PutPayload::from(piece.split().freeze())).await?;
        }
    }
    if count != expected.size_bytes {
        return Err(ReceiveError::Size);
    }
    if !piece.is_empty() {
        upload.put_part(PutPayload::from(piece.freeze())).await?;
    }
    Ok(hash.finish())
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
