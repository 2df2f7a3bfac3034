//! The bytes: objects under keys that are used once. What they are, only [`crate::metadata`] knows.
//!
//! ```text
//! body ─> receive (hash, count) ─> object of one part ─> … complete ─> segments of a blob ─> read ─> body
//! ```
//! Parts stay objects of their own: a blob is read from one after the other, and nothing is ever copied. A transfer holds one
//! piece at a time, whatever its size, and all transfers together hold [`BUDGET_BYTES`].

mod claim;
mod direct;
mod pending;
mod read;
mod receive;
mod room;
mod staged;
mod subtree;

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use gen_worker_hub::{Blake3Hash, ServerId};
use gen_worker_tasks::Scope;
use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path};

pub use claim::ClaimError;
pub use receive::{Expected, ReceiveError, Received};
pub use subtree::merge;

use direct::Direct;
use room::Room;

/// Bytes that are written to a disk at once.
const LOCAL_PIECE_BYTES: usize = 256 * 1024;

/// Bytes that are sent to another store at once: what S3 takes at least for every part of an upload but the last. Some of its
/// kind want all parts alike, so pieces have this size exactly.
const REMOTE_PIECE_BYTES: usize = 5 * 1024 * 1024;

/// Largest content that becomes one object of another store: S3 takes 10,000 pieces.
pub(crate) const JOINED_BYTES_MAX: u64 = 10_000 * REMOTE_PIECE_BYTES as u64;

/// Bytes of all pieces that fill or are being written. Transfers for which there is no room do not read on.
pub const BUDGET_BYTES: usize = 20 * 1024 * 1024;

/// How long a piece may take to come. Clients give 64 MiB 600 s, so the slowest of them brings the largest piece in time; one
/// that holds its room any longer would keep out others.
const PIECE_TIME: Duration = Duration::from_secs(60);

/// Front of all keys.
const PREFIX: &str = "blobs";

/// Objects that are deleted at once.
const DELETES_AT_ONCE: usize = 16;

/// An object store, and the directory of it where it is one.
#[derive(Clone, Debug)]
pub struct BlobStore {
    objects: Arc<dyn ObjectStore>,
    directory: Option<PathBuf>,
    direct: Option<Direct>,
    scope: Arc<Scope>,
    piece_bytes: usize,
    room: Arc<Room>,
}

impl BlobStore {
    /// The same objects, with room for one piece that nobody else takes.
    #[must_use]
    pub(crate) fn apart(&self) -> Self {
        // One piece is kept for who goes on alone.
        let room = Arc::new(Room::new(2 * self.piece_bytes, self.piece_bytes));
        Self { room, ..self.clone() }
    }

    /// A store in `directory`, which must be there. Work that blocks runs in `scope`.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn local(directory: PathBuf, scope: Arc<Scope>) -> object_store::Result<Self> {
        let objects = LocalFileSystem::new_with_prefix(&directory)?.with_automatic_cleanup(true);
        Ok(Self { directory: Some(directory), ..Self::over(Arc::new(objects), scope, LOCAL_PIECE_BYTES) })
    }

    /// A store elsewhere. What it keeps of uploads that a killed process left open is for a rule of the store to remove.
    #[must_use]
    pub fn remote(objects: Arc<dyn ObjectStore>, scope: Arc<Scope>) -> Self {
        Self::over(objects, scope, REMOTE_PIECE_BYTES)
    }

    fn over(objects: Arc<dyn ObjectStore>, scope: Arc<Scope>, piece_bytes: usize) -> Self {
        let room = Arc::new(Room::new(BUDGET_BYTES, piece_bytes));
        Self { objects, directory: None, direct: None, scope, piece_bytes, room }
    }

    /// Where work on the bytes runs.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// A key for one part of `upload` that was never used before.
    #[must_use]
    pub fn key(upload: &ServerId, number: u32) -> String {
        format!("{PREFIX}/{upload}/{number}-{}", uuid::Uuid::new_v4().simple())
    }

    /// A key for all of `content` that was never used before.
    #[must_use]
    pub(crate) fn joined_key(content: Blake3Hash) -> String {
        format!("{PREFIX}/{content}/{}", uuid::Uuid::new_v4().simple())
    }

    /// Deletes objects and answers with those that are gone; of the others another attempt may be made.
    pub async fn delete(&self, keys: Vec<String>) -> Vec<String> {
        let deleted = futures::stream::iter(keys).map(|key| async move {
            match self.objects.delete(&Path::from(key.as_str())).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Some(key),
                Err(error) => {
                    tracing::warn!(%error, "an object was not deleted");
                    None
                }
            }
        });
        deleted.buffer_unordered(DELETES_AT_ONCE).filter_map(std::future::ready).collect().await
    }

    /// The keys of all objects.
    pub fn keys(&self) -> impl Stream<Item = object_store::Result<String>> + Send + 'static {
        self.keys_before(u64::MAX)
    }

    /// The keys of objects that were written before this time, in seconds since 1970, as far as the store knows.
    pub fn keys_before(&self, time_s: u64) -> impl Stream<Item = object_store::Result<String>> + Send + 'static {
        let time_s = i64::try_from(time_s).unwrap_or(i64::MAX);
        let objects = self.objects.list(Some(&Path::from(PREFIX)));
        let before = objects.try_filter(move |object| std::future::ready(object.last_modified.timestamp() < time_s));
        before.map_ok(|object| object.location.to_string())
    }

    /// Removes what transfers left that ended with the process. Only before the first transfer.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn remove_staged(&self) -> std::io::Result<()> {
        let Some(directory) = self.directory.clone() else { return Ok(()) };
        let work = move || remove_staged(&directory.join(PREFIX));
        self.scope.spawn_blocking(work).await.map_err(std::io::Error::other)?
    }
}

/// What comes is written to `name#1` and renamed in the end.
fn remove_staged(folder: &std::path::Path) -> std::io::Result<()> {
    let uploads = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        uploads => uploads?,
    };
    for upload in uploads {
        for file in std::fs::read_dir(upload?.path())? {
            let path = file?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains('#')) {
                std::fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
