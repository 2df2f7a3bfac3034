//! A store that keeps count of what it is asked to do.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use futures::{FutureExt as _, future::BoxFuture, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart, memory::InMemory, path::Path,
};
use parking_lot::Mutex;

/// A bucket in memory. Of uploads in parts it keeps the sizes only.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    objects: InMemory,
    /// Sizes of the parts of all uploads, in the order in which they came.
    pub pieces: Arc<Mutex<Vec<usize>>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    completed: AtomicUsize,
    aborted: AtomicUsize,
    bytes: AtomicUsize,
    most_bytes: AtomicUsize,
}

impl Bucket {
    pub fn completed(&self) -> usize {
        self.counts.completed.load(SeqCst)
    }

    pub fn aborted(&self) -> usize {
        self.counts.aborted.load(SeqCst)
    }

    /// Most bytes of pieces that were on their way at once.
    pub fn most_bytes(&self) -> usize {
        self.counts.most_bytes.load(SeqCst)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bucket")
    }
}

impl ObjectStore for Bucket {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        path: &'b Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'c, Result<PutResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.objects.put_opts(path, payload, options)
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        _path: &'b Path,
        _options: PutMultipartOptions,
    ) -> BoxFuture<'c, Result<Box<dyn MultipartUpload>>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let upload = Upload { pieces: Arc::clone(&self.pieces), counts: Arc::clone(&self.counts) };
        std::future::ready(Ok(Box::new(upload) as Box<dyn MultipartUpload>)).boxed()
    }

    fn get_opts<'a, 'b, 'c>(&'a self, path: &'b Path, options: GetOptions) -> BoxFuture<'c, Result<GetResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.objects.get_opts(path, options)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    fn list_with_delimiter<'a, 'b, 'c>(&'a self, prefix: Option<&'b Path>) -> BoxFuture<'c, Result<ListResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.objects.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'd, 'c>(
        &'a self,
        from: &'b Path,
        to: &'d Path,
        options: CopyOptions,
    ) -> BoxFuture<'c, Result<()>>
    where
        'a: 'c,
        'b: 'c,
        'd: 'c,
        Self: 'c,
    {
        self.objects.copy_opts(from, to, options)
    }
}

#[derive(Debug)]
struct Upload {
    pieces: Arc<Mutex<Vec<usize>>>,
    counts: Arc<Counts>,
}

impl MultipartUpload for Upload {
    fn put_part(&mut self, piece: PutPayload) -> UploadPart {
        let (bytes, counts) = (piece.content_length(), Arc::clone(&self.counts));
        self.pieces.lock().push(bytes);
        async move {
            let now = counts.bytes.fetch_add(bytes, SeqCst) + bytes;
            counts.most_bytes.fetch_max(now, SeqCst);
            // Long enough for the others to begin as well.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            counts.bytes.fetch_sub(bytes, SeqCst);
            Ok(())
        }
        .boxed()
    }

    fn complete<'a, 'c>(&'a mut self) -> BoxFuture<'c, Result<PutResult>>
    where
        'a: 'c,
        Self: 'c,
    {
        self.counts.completed.fetch_add(1, SeqCst);
        std::future::ready(Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })).boxed()
    }

    fn abort<'a, 'c>(&'a mut self) -> BoxFuture<'c, Result<()>>
    where
        'a: 'c,
        Self: 'c,
    {
        self.counts.aborted.fetch_add(1, SeqCst);
        std::future::ready(Ok(())).boxed()
    }
}
