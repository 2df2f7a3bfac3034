//! Objects that nobody can read while the gate is closed. They can be written all the time.

use std::{fmt, sync::Arc};

use futures::{FutureExt as _, future::BoxFuture, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use tokio::sync::watch;

/// Objects in memory behind a gate.
#[derive(Clone, Debug)]
pub(crate) struct ReadGate {
    objects: Arc<InMemory>,
    is_closed: watch::Sender<bool>,
}

impl ReadGate {
    pub(crate) fn new(is_closed: bool) -> Self {
        Self { objects: Arc::default(), is_closed: watch::Sender::new(is_closed) }
    }

    /// Who reads from now on waits.
    pub(crate) fn close(&self) {
        self.is_closed.send_replace(true);
    }

    /// Everybody goes on.
    pub(crate) fn open(&self) {
        self.is_closed.send_replace(false);
    }
}

impl fmt::Display for ReadGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadGate")
    }
}

impl ObjectStore for ReadGate {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        to: &'b Path,
        bytes: PutPayload,
        how: PutOptions,
    ) -> BoxFuture<'c, Result<PutResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.objects.put_opts(to, bytes, how)
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        to: &'b Path,
        how: PutMultipartOptions,
    ) -> BoxFuture<'c, Result<Box<dyn MultipartUpload>>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.objects.put_multipart_opts(to, how)
    }

    fn get_opts<'a, 'b, 'c>(&'a self, from: &'b Path, how: GetOptions) -> BoxFuture<'c, Result<GetResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        async move {
            // Whoever could open it is `self`.
            drop(self.is_closed.subscribe().wait_for(|is_closed| !is_closed).await);
            self.objects.get_opts(from, how).await
        }
        .boxed()
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

    fn copy_opts<'a, 'b, 'd, 'c>(&'a self, from: &'b Path, to: &'d Path, how: CopyOptions) -> BoxFuture<'c, Result<()>>
    where
        'a: 'c,
        'b: 'c,
        'd: 'c,
        Self: 'c,
    {
        self.objects.copy_opts(from, to, how)
    }
}
