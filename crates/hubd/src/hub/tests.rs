use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use gen_worker_tasks::Scope;

use super::{upkeep::TIDY_STEP, *};
use crate::{
    blobs::Expected,
    clock::Clock,
    metadata::{Author, NewUpload, Part, Reader, Segment, UploadOwner, sqlite::SqliteMetadata},
    signing::SECRET_BYTES,
};

const KEY: &str = "blobs/u1/1-x";

#[tokio::test]
async fn h4_14_an_object_whose_request_was_dropped_before_the_record_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let scope = Arc::new(Scope::new("test"));
    let metadata = SqliteMetadata::open(&directory.path().join("hub.db"), &scope).unwrap();
    let blobs = BlobStore::local(directory.path().to_owned(), Arc::clone(&scope)).unwrap();
    let hub = Hub::new(Arc::new(metadata), blobs, HubOptions::new("http://hub.test", [1; SECRET_BYTES])).unwrap();
    let write = async || {
        let unrecorded = hub.unrecorded(KEY);
        let expected = Expected { size_bytes: 3, offset: 0, is_whole: true };
        let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"one"))]);
        hub.blobs.receive(KEY, expected, body).await.unwrap();
        unrecorded
    };
    let keys = async || hub.blobs.keys().try_collect::<Vec<_>>().await.unwrap();
    write().await.recorded();
    hub.tidy().await.unwrap();
    assert_eq!(keys().await, [KEY]);
    drop(write().await);
    hub.tidy().await.unwrap();
    assert!(keys().await.is_empty());
    // The round that would have found it is dropped on its way.
    drop(write().await);
    let mut dropped = Box::pin(hub.tidy());
    assert!(futures::poll!(&mut dropped).is_pending());
    drop(dropped);
    hub.tidy().await.unwrap();
    assert!(keys().await.is_empty());
}

#[tokio::test]
async fn h4_14_objects_that_cannot_be_deleted_do_not_keep_those_behind_them() {
    let directory = tempfile::tempdir().unwrap();
    let scope = Arc::new(Scope::new("test"));
    let metadata = Arc::new(SqliteMetadata::open(&directory.path().join("hub.db"), &scope).unwrap());
    let blobs = BlobStore::local(directory.path().to_owned(), Arc::clone(&scope)).unwrap();
    let options = HubOptions::new("http://hub.test", [1; SECRET_BYTES]);
    let hub = Hub::new(Arc::<SqliteMetadata>::clone(&metadata), blobs, options).unwrap();
    let doomed = |key: String| {
        let segment = Segment { key, size_bytes: 3 };
        metadata.put_part("u1".parse().unwrap(), Part { segment, ..part() }, 1_000)
    };
    // A directory is no object.
    let stuck: Vec<String> = (0..TIDY_STEP).map(|number| format!("blobs/u0/{number}")).collect();
    for key in &stuck {
        std::fs::create_dir_all(directory.path().join(key).join("more")).unwrap();
    }
    futures::future::try_join_all(stuck.into_iter().map(doomed)).await.unwrap();
    std::fs::create_dir_all(directory.path().join("blobs/u1")).unwrap();
    std::fs::write(directory.path().join(KEY), "one").unwrap();
    doomed(KEY.to_owned()).await.unwrap();
    hub.tidy().await.unwrap();
    assert!(!directory.path().join(KEY).exists());
    assert_eq!(metadata.doomed(String::new(), 2 * TIDY_STEP).await.unwrap().len(), TIDY_STEP, "they are tried again");
}

#[tokio::test(start_paused = true)]
async fn h4_4_an_announcement_does_not_wait_for_a_hash_that_takes_long() {
    let directory = tempfile::tempdir().unwrap();
    let scope = Arc::new(Scope::new("test"));
    let metadata = SqliteMetadata::open(&directory.path().join("hub.db"), &scope).unwrap();
    let (hash, now_s) = (Blake3Hash::of(b"one"), 1);
    let owner = UploadOwner::Media { owner: "acme".to_owned(), reference: "a".to_owned(), create: false };
    let (id, mime_type) = ("u1".parse::<ServerId>().unwrap(), "text/plain".to_owned());
    let new = NewUpload { id: id.clone(), owner, blake3: hash, size_bytes: 3, mime_type, expires_s: 9 };
    metadata.open_upload(new, Author::unlimited(Reader::Operator), now_s).await.unwrap();
    assert!(metadata.put_part(id.clone(), part(), now_s).await.unwrap());
    metadata.complete_upload(id, vec![KEY.to_owned()], None, now_s).await.unwrap();
    let blobs = BlobStore::local(directory.path().to_owned(), Arc::clone(&scope)).unwrap();
    let hub = Hub::new(Arc::new(metadata), blobs, HubOptions::new("http://hub.test", [1; SECRET_BYTES])).unwrap();
    let _busy = hub.hashing_turns.acquire_many(u32::try_from(HASHES_AT_ONCE).unwrap()).await.unwrap();
    assert_eq!(hub.sha256_soon(hash).await.unwrap(), None);
}

#[tokio::test]
async fn options_that_make_no_hub_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let scope = Arc::new(Scope::new("test"));
    let metadata = Arc::new(SqliteMetadata::open(&directory.path().join("hub.db"), &scope).unwrap());
    let blobs = BlobStore::local(directory.path().to_owned(), scope).unwrap();
    let make = |options| Hub::new(Arc::<SqliteMetadata>::clone(&metadata), blobs.clone(), options);
    let refused = make(HubOptions::new("hub.test", [1; SECRET_BYTES]));
    assert!(matches!(refused, Err(HubSetupError::PublicUrl)));
    for (connections, connections_per_address) in [(0, 1), (1, 0)] {
        let options = HubOptions::new("http://hub.test", [1; SECRET_BYTES]);
        let refused = make(HubOptions { connections, connections_per_address, ..options });
        assert!(matches!(refused, Err(HubSetupError::Connections)));
    }
    for part_bytes in [0, 512, 3000] {
        let options = HubOptions { part_bytes, ..HubOptions::new("http://hub.test", [1; SECRET_BYTES]) };
        assert!(matches!(make(options), Err(HubSetupError::PartSize)), "{part_bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn h4_14_a_hub_that_runs_removes_what_has_expired_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let scope = Arc::new(Scope::new("test"));
    let metadata = Arc::new(SqliteMetadata::open(&directory.path().join("hub.db"), &scope).unwrap());
    let blobs = BlobStore::local(directory.path().to_owned(), Arc::clone(&scope)).unwrap();
    let clock = Clock::standing(1_000);
    let options = HubOptions { clock: clock.clone(), ..HubOptions::new("http://hub.test", [1; SECRET_BYTES]) };
    let hub = Hub::new(Arc::<SqliteMetadata>::clone(&metadata), blobs, options).unwrap();
    std::fs::create_dir_all(directory.path().join("blobs/u1")).unwrap();
    std::fs::write(directory.path().join(KEY), "one").unwrap();
    metadata.put_part("u1".parse().unwrap(), part(), 1_000).await.unwrap();
    let gone = async {
        while !metadata.doomed(String::new(), 1).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        scope.cancel().stop();
    };
    tokio::join!(hub.run(scope.cancel()), gone);
    assert_eq!(hub.blobs.keys().count().await, 0);
}

/// Of an upload that is not there: its object is doomed.
fn part() -> Part {
    let chaining = Blake3Hash::of(b"one");
    Part { number: 1, segment: Segment { key: KEY.to_owned(), size_bytes: 3 }, chaining, sha256: None }
}
