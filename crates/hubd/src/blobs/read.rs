//! Bytes of contents go out. A directory is read here and not through the object store, which reads eight KiB at a time.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    ops::Range,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use futures::{
    Stream, StreamExt as _, TryStreamExt as _,
    future::Either,
    stream::{self, BoxStream},
};
use gen_worker_tasks::Scope;
use object_store::{Error, GetOptions, GetRange, GetResult, ObjectStore, path::Path as Key};

use super::BlobStore;
use crate::metadata::Segment;

/// Bytes of one read of a file. A reply holds two of them or three, so this bounds the memory of many downloads; with twice as
/// many a download gains next to nothing.
const READ_BYTES: usize = 256 * 1024;

/// A part of an object, by its key.
type Piece = (String, Range<u64>);

impl BlobStore {
    /// The bytes of `range` of `segments`, one object after the other.
    pub fn read(
        &self,
        segments: Vec<Segment>,
        range: Range<u64>,
    ) -> impl Stream<Item = object_store::Result<Bytes>> + Send + 'static {
        let pieces = stream::iter(pieces(segments, range));
        let Some(directory) = self.directory.clone() else {
            let objects = Arc::clone(&self.objects);
            let opened = pieces.then(move |piece| open_object(Arc::clone(&objects), piece));
            return Either::Right(opened.try_flatten());
        };
        let scope = Arc::clone(&self.scope);
        let read = move |(key, range): Piece| {
            let file = FileRead { at: directory.join(&key).into(), key: key.into(), open: None, range };
            let scope = Arc::clone(&scope);
            stream::try_unfold(file, move |file| {
                let scope = Arc::clone(&scope);
                async move { if file.range.is_empty() { Ok(None) } else { file.next(&scope).await.map(Some) } }
            })
        };
        Either::Left(pieces.flat_map(read))
    }
}

impl BlobStore {
    /// Gives the bytes of `segments` to `take`, in their order.
    pub(crate) async fn feed(
        &self,
        segments: Vec<Segment>,
        range: Range<u64>,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> object_store::Result<()> {
        let mut bytes = std::pin::pin!(self.read(segments, range));
        while let Some(piece) = bytes.next().await {
            take(&piece?);
        }
        Ok(())
    }
}

async fn open_object(
    objects: Arc<dyn ObjectStore>,
    (key, range): Piece,
) -> object_store::Result<BoxStream<'static, object_store::Result<Bytes>>> {
    let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
    objects.get_opts(&Key::from(key), options).await.map(GetResult::into_stream)
}

/// A file that is read from its front. It is opened once: one that is deleted meanwhile is read to its end.
struct FileRead {
    key: Arc<str>,
    at: Arc<Path>,
    open: Option<File>,
    /// What is still to be read.
    range: Range<u64>,
}

impl FileRead {
    /// The next bytes, and the rest.
    async fn next(mut self, scope: &Scope) -> object_store::Result<(Bytes, Self)> {
        let key = Arc::clone(&self.key);
        let read = move || {
            let bytes = self.read()?;
            Ok((bytes, self))
        };
        let read = scope.spawn_blocking(read).await.map_err(io::Error::other);
        read.flatten().map_err(|error: io::Error| failed(&key, error))
    }

    /// Blocks.
    fn read(&mut self) -> io::Result<Bytes> {
        let file = match &mut self.open {
            Some(file) => file,
            None => {
                let mut file = File::open(&self.at)?;
                file.seek(SeekFrom::Start(self.range.start))?;
                self.open.insert(file)
            }
        };
        let left = self.range.end.saturating_sub(self.range.start);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(READ_BYTES);
        let mut bytes = Vec::with_capacity(wanted);
        if file.take(wanted as u64).read_to_end(&mut bytes)? < wanted {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the object is shorter than its record"));
        }
        self.range.start = self.range.start.saturating_add(wanted as u64);
        Ok(bytes.into())
    }
}

/// An error of the directory as one of a store.
pub(super) fn failed(key: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound { path: key.to_owned(), source: error.into() },
        _ => Error::Generic { store: "directory", source: error.into() },
    }
}

/// What of each object belongs to `range`.
fn pieces(segments: Vec<Segment>, range: Range<u64>) -> Vec<Piece> {
    let mut start = 0u64;
    let mut pieces = Vec::new();
    for Segment { key, size_bytes } in segments {
        let end = start.saturating_add(size_bytes);
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            pieces.push((key, from - start..to - start));
        }
        start = end;
    }
    pieces
}
