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
use tokio::task::JoinHandle;

use super::BlobStore;
use crate::metadata::Segment;

/// Bytes of one read of a file. A reply holds three of them or four, so this bounds the memory of many downloads; with twice as
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
            stream::try_unfold(Ahead::No(file), move |ahead| {
                let scope = Arc::clone(&scope);
                async move { ahead.next(&scope).await }
            })
        };
        Either::Left(pieces.flat_map(read))
    }

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

/// The next read of a file: it is under way while the bytes of the last one are used.
enum Ahead {
    No(FileRead),
    Yes(Arc<str>, JoinHandle<io::Result<(Bytes, FileRead)>>),
}

impl Ahead {
    /// The next bytes, and the rest; none at the end.
    async fn next(self, scope: &Scope) -> object_store::Result<Option<(Bytes, Self)>> {
        let (key, reading) = match self {
            Self::No(file) if file.range.is_empty() => return Ok(None),
            Self::No(file) => file.begin(scope),
            Self::Yes(key, reading) => (key, reading),
        };
        let read = reading.await.map_err(io::Error::other).flatten();
        let (bytes, file) = read.map_err(|error| failed(&key, error))?;
        if file.range.is_empty() {
            return Ok(Some((bytes, Self::No(file))));
        }
        let (key, reading) = file.begin(scope);
        Ok(Some((bytes, Self::Yes(key, reading))))
    }
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
    /// Begins to read the next bytes.
    fn begin(mut self, scope: &Scope) -> (Arc<str>, JoinHandle<io::Result<(Bytes, Self)>>) {
        let key = Arc::clone(&self.key);
        let wanted = self.range.end.saturating_sub(self.range.start).min(READ_BYTES as u64) as usize;
        // Made here: of what a thread allocates the allocator may keep something for it, and there are many that block.
        let bytes = Vec::with_capacity(wanted);
        let read = move || {
            let bytes = self.read(bytes, wanted)?;
            Ok((bytes, self))
        };
        (key, scope.spawn_blocking(read))
    }

    /// Blocks.
    fn read(&mut self, mut bytes: Vec<u8>, wanted: usize) -> io::Result<Bytes> {
        let file = match &mut self.open {
            Some(file) => file,
            None => {
                let mut file = File::open(&self.at)?;
                file.seek(SeekFrom::Start(self.range.start))?;
                self.open.insert(file)
            }
        };
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
