//! Objects that cannot be written for a moment.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use anyhow::{Context as _, Result, ensure};
use futures::{FutureExt as _, TryStreamExt as _, future::BoxFuture, stream::BoxStream};
use gen_worker_hub::{
    Blake3Hash, HubRef,
    api::{CommitMode, FileSource, UploadSource},
};
use gen_worker_hubd::{Visibility, blobs::BlobStore};
use gen_worker_tasks::Scope;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as Stored, UploadPart, memory::InMemory, path::Path,
};

use crate::server::{Server, adding, content};

/// A part that is stored in two pieces, as a bucket takes them.
pub const PART_BYTES: u64 = 8 * 1024 * 1024;

/// How often writes may have to be refused until none is left: each file has a few.
pub const WRITES_MAX: usize = 32;

/// Objects in memory, of which one write fails.
#[derive(Clone, Debug, Default)]
pub struct Flaky {
    objects: Arc<InMemory>,
    /// Writes until that one; none when it is 0.
    left: Arc<AtomicUsize>,
}

impl Flaky {
    /// The write that comes after so many more fails.
    pub fn fail_at(&self, number: usize) {
        self.left.store(number, SeqCst);
    }

    /// Whether it has.
    pub fn has_failed(&self) -> bool {
        self.left.load(SeqCst) == 0
    }

    fn write(&self) -> Stored<()> {
        let before = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if before == Ok(1) {
            return Err(Error::Generic { store: "flaky", source: "no write now".into() });
        }
        Ok(())
    }
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flaky")
    }
}

impl ObjectStore for Flaky {
    fn put_opts<'a, 'b, 'c>(
        &'a self,
        path: &'b Path,
        bytes: PutPayload,
        how: PutOptions,
    ) -> BoxFuture<'c, Stored<PutResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        match self.write() {
            Ok(()) => self.objects.put_opts(path, bytes, how),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        path: &'b Path,
        how: PutMultipartOptions,
    ) -> BoxFuture<'c, Stored<Box<dyn MultipartUpload>>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        async move {
            self.write()?;
            let upload = self.objects.put_multipart_opts(path, how).await?;
            Ok(Box::new(FlakyUpload { upload, of: self.clone() }) as Box<dyn MultipartUpload>)
        }
        .boxed()
    }

    fn get_opts<'a, 'b, 'c>(&'a self, path: &'b Path, how: GetOptions) -> BoxFuture<'c, Stored<GetResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.objects.get_opts(path, how)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Stored<Path>>) -> BoxStream<'static, Stored<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Stored<ObjectMeta>> {
        self.objects.list(prefix)
    }

    fn list_with_delimiter<'a, 'b, 'c>(&'a self, prefix: Option<&'b Path>) -> BoxFuture<'c, Stored<ListResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.objects.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'd, 'c>(&'a self, from: &'b Path, to: &'d Path, how: CopyOptions) -> BoxFuture<'c, Stored<()>>
    where
        'a: 'c,
        'b: 'c,
        'd: 'c,
        Self: 'c,
    {
        self.objects.copy_opts(from, to, how)
    }
}

#[derive(Debug)]
struct FlakyUpload {
    upload: Box<dyn MultipartUpload>,
    of: Flaky,
}

impl MultipartUpload for FlakyUpload {
    fn put_part(&mut self, piece: PutPayload) -> UploadPart {
        match self.of.write() {
            Ok(()) => self.upload.put_part(piece),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    fn complete<'a, 'c>(&'a mut self) -> BoxFuture<'c, Stored<PutResult>>
    where
        'a: 'c,
        Self: 'c,
    {
        match self.of.write() {
            Ok(()) => self.upload.complete(),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    fn abort<'a, 'c>(&'a mut self) -> BoxFuture<'c, Stored<()>>
    where
        'a: 'c,
        Self: 'c,
    {
        self.upload.abort()
    }
}

/// Sends the parts of a commit. The status of the first that is refused.
async fn refused(
    server: &Server,
    uploads: &[gen_worker_hub::api::CommitUpload],
    bytes: &[u8],
) -> Result<Option<(u16, String)>> {
    for upload in uploads {
        let UploadSource::Parts(urls) = &upload.source else { anyhow::bail!("parts") };
        for (range, url) in urls.parts() {
            let from = usize::try_from(range.offset)?;
            let part = bytes.get(from..from + usize::try_from(range.length)?).context("a part")?.to_vec();
            let reply = server.http.put(url.reveal()).body(part).send().await?;
            if !reply.status().is_success() {
                let has_time = reply.headers().contains_key("retry-after");
                ensure!(has_time, "it says when to come again");
                return Ok(Some((reply.status().as_u16(), reply.text().await?)));
            }
        }
    }
    Ok(None)
}

#[tokio::test]
async fn a_bucket_that_refuses_a_write_anywhere_in_a_commit_leaves_the_repository_as_it_was() -> Result<()> {
    let (directory, objects) = (tempfile::tempdir()?, Flaky::default());
    let blobs = BlobStore::remote(Arc::new(objects.clone()), Arc::new(Scope::new("hub-blobs")));
    let server = Server::start_over(directory.path(), blobs, |options| {
        options.visibility = Visibility::Public;
        options.part_bytes = PART_BYTES;
    })
    .await?;
    let (client, repo) = (server.writer("acme")?, "acme/model".parse()?);
    let first = adding(CommitMode::Replace, &[("a", b"1")])?;
    let mut latest = server.commit(&client, &repo, &first, &[b"1"]).await?.checkpoint_id;
    let resolve = async || client.resolve(&HubRef::parse("acme/model").expect("a ref")).await;
    let mut failures = 0;
    for number in 1..=WRITES_MAX {
        // Another content each time: two pieces, and a part that is one.
        let bytes = content(usize::try_from(PART_BYTES)? + 1024, u8::try_from(number)?);
        let commit = adding(CommitMode::Replace, &[("w", &bytes)])?;
        let opened = client.create_commit(&repo, &commit).await?;
        objects.fail_at(number);
        let failed = refused(&server, &opened.uploads, &bytes).await?;
        if !objects.has_failed() {
            assert_eq!(failed, None, "write {number} is none of this upload");
            break;
        }
        failures += 1;
        let (status, told) = failed.with_context(|| format!("write {number} failed and nobody was told"))?;
        assert_eq!(status, 503, "write {number}: {told}");
        assert!(told.contains("\"unavailable\"") && !told.contains("no write now"), "{told}");
        let unfinished = client.finalize_commit(&repo, &opened.revision_id).await.unwrap_err();
        assert_eq!(unfinished.code(), Some("upload_incomplete"), "write {number}");
        assert_eq!(resolve().await?.snapshot.as_str(), latest.hex(), "write {number}");
        // The same commit goes on.
        server.bring(&client, &repo, &opened, &[&bytes]).await?;
        latest = client.finalize_commit(&repo, &opened.revision_id).await?.checkpoint_id;
        let resolved = resolve().await?;
        assert_eq!(resolved.snapshot.as_str(), latest.hex());
        let FileSource::Url(url) = &resolved.files[0].source else { anyhow::bail!("an address") };
        let got = server.http.get(url.reveal()).send().await?.bytes().await?;
        assert_eq!(Blake3Hash::of(&got), Blake3Hash::of(&bytes));
    }
    assert!(failures >= 5, "begin, two pieces, an end, and the other part: {failures}");
    server.hub.tidy().await?;
    let there = objects.objects.list(None).try_collect::<Vec<_>>().await?.len();
    let kept = 1 + 2 * failures;
    assert!((kept..=kept + 2).contains(&there), "{kept} named, {there} there");
    Ok(())
}
