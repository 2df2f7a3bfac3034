//! Contents of several objects that become one object of their bucket.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture};
use gen_worker_hub::{
    Blake3Hash, HubRef,
    api::{CommitMode, FileSource},
};
use gen_worker_hubd::{JoinError, UNUSED_GRACE, Visibility, blobs::BlobStore};
use gen_worker_tasks::Scope;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload, path::Path, signer::Signer};

use crate::{
    bucket_faults::{Flaky, PART_BYTES, WRITES_MAX},
    server::{Server, adding, content},
};

/// Tells where an object is, and signs nothing: what S3 makes of addresses is shown with a server of it.
#[derive(Debug)]
struct Addresses;

impl Signer for Addresses {
    fn signed_url<'a, 'b, 'c>(
        &'a self,
        method: reqwest::Method,
        path: &'b Path,
        valid: Duration,
    ) -> BoxFuture<'c, object_store::Result<reqwest::Url>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let url = format!("http://bucket.test/{path}?method={method}&valid={}", valid.as_secs());
        async move { Ok(url.parse().expect("an address")) }.boxed()
    }
}

/// A hub whose clients read from its bucket, and a content that came in two parts.
struct Place {
    server: Server,
    objects: Flaky,
    bytes: Vec<u8>,
    address: String,
    _directory: tempfile::TempDir,
}

impl Place {
    async fn new() -> Result<Self> {
        let (directory, objects) = (tempfile::tempdir()?, Flaky::default());
        let blobs = BlobStore::remote(Arc::new(objects.clone()), Arc::new(Scope::new("hub-blobs")));
        let blobs = blobs.read_directly(Arc::new(Addresses), Path::from("models/a"));
        let mut server = Server::start_over(directory.path(), blobs, |options| {
            options.visibility = Visibility::Public;
            options.part_bytes = PART_BYTES;
        })
        .await?;
        server.http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let (client, repo) = (server.writer("acme")?, "acme/model".parse()?);
        let bytes = content(usize::try_from(PART_BYTES)? + 1024, 1);
        server.commit(&client, &repo, &adding(CommitMode::Replace, &[("w", &bytes)])?, &[&bytes]).await?;
        let resolved = client.resolve(&HubRef::parse("acme/model")?).await?;
        let FileSource::Url(url) = &resolved.files[0].source else { anyhow::bail!("an address") };
        let address = url.reveal().to_owned();
        Ok(Self { server, objects, bytes, address, _directory: directory })
    }

    /// The bytes, when they come through the hub; else the object that the hub leads to.
    async fn read(&self) -> Result<Result<Vec<u8>, String>> {
        let reply = self.server.http.get(&self.address).send().await?;
        if reply.status() != 307 {
            return Ok(Ok(reply.error_for_status()?.bytes().await?.into()));
        }
        ensure!(reply.headers()["cache-control"] == "no-store");
        Ok(Err(reply.headers().get("location").context("an address")?.to_str()?.to_owned()))
    }

    async fn keys(&self) -> Result<Vec<String>> {
        Ok(self.objects.list(None).map_ok(|object| object.location.to_string()).try_collect().await?)
    }

    /// The address leads to an object that has the content.
    async fn assert_joined(&self) -> Result<()> {
        let to = self.read().await?.err().context("it comes through the hub")?;
        let key = to.strip_prefix("http://bucket.test/models/a/").and_then(|rest| rest.split_once('?'));
        let (key, query) = key.with_context(|| to.clone())?;
        ensure!(query == "method=GET&valid=3600", "{query}");
        let object = self.objects.get(&Path::from(key)).await?.bytes().await?;
        ensure!(Blake3Hash::of(&object) == Blake3Hash::of(&self.bytes));
        Ok(())
    }
}

#[tokio::test]
async fn h4_30_a_join_that_fails_anywhere_leaves_the_content_as_it_was() -> Result<()> {
    let mut failures = 0;
    for number in 1..=WRITES_MAX {
        let place = Place::new().await?;
        let before = place.keys().await?;
        place.objects.fail_at(number);
        let joined = place.server.hub.join_scattered().await;
        if !place.objects.has_failed() {
            joined?;
            place.assert_joined().await?;
            break;
        }
        failures += 1;
        ensure!(matches!(joined, Err(JoinError::Objects { .. })), "write {number}: {joined:?}");
        // Not at once again: each try may be of gigabytes.
        place.server.hub.join_scattered().await?;
        ensure!(place.read().await?.as_ref() == Ok(&place.bytes), "write {number}");
        place.server.hub.tidy().await?;
        ensure!(place.keys().await? == before, "write {number} leaves nothing");
    }
    ensure!(failures == 4, "begin, two pieces and an end: {failures}");
    Ok(())
}

#[tokio::test]
async fn h4_30_whoever_reads_the_parts_of_a_content_reads_on_while_it_is_joined() -> Result<()> {
    let place = Place::new().await?;
    let parts = place.keys().await?;
    let reply = place.server.http.get(&place.address).send().await?.error_for_status()?;
    place.server.hub.join_scattered().await?;
    place.server.hub.tidy().await?;
    place.assert_joined().await?;
    ensure!(place.keys().await?.len() == parts.len() + 1, "they stay for a grace");
    let read = reply.bytes_stream().map(|piece| piece.map(|piece| piece.to_vec())).try_concat().await?;
    ensure!(read == place.bytes);
    place.server.clock.advance(UNUSED_GRACE.as_secs() + 1);
    place.server.hub.tidy().await?;
    let left = place.keys().await?;
    ensure!(left.len() == 1 && !parts.contains(&left[0]), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn h4_30_a_content_whose_objects_are_damaged_is_not_joined() -> Result<()> {
    let place = Place::new().await?;
    for key in place.keys().await? {
        let object = place.objects.get(&Path::from(key.as_str())).await?.bytes().await?;
        place.objects.put(&Path::from(key), PutPayload::from(vec![0; object.len()])).await?;
    }
    let before = place.keys().await?;
    let joined = place.server.hub.join_scattered().await;
    ensure!(
        matches!(&joined, Err(JoinError::Damaged { content }) if *content == Blake3Hash::of(&place.bytes)),
        "{joined:?}"
    );
    // It is said once: another try would read all of it again.
    place.server.hub.join_scattered().await?;
    place.server.hub.tidy().await?;
    ensure!(place.keys().await? == before);
    Ok(())
}
