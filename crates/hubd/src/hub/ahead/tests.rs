use bytes::Bytes;
use futures::stream;
use gen_worker_hub::Digest;
use gen_worker_tasks::Scope;

use super::*;
use crate::{
    blobs::Expected,
    hub::HubOptions,
    metadata::{Author, NewUpload, Reader, sqlite::SqliteMetadata},
    signing::SECRET_BYTES,
};

const PART: usize = 1024;

fn hub() -> (tempfile::TempDir, Arc<Hub>) {
    let directory = tempfile::tempdir().unwrap();
    let scope = Arc::new(Scope::new("test"));
    let metadata = Arc::new(SqliteMetadata::open(&directory.path().join("hub.db"), &scope).unwrap());
    let blobs = BlobStore::local(directory.path().to_owned(), scope).unwrap();
    let options = HubOptions { part_bytes: PART as u64, ..HubOptions::new("http://hub.test", [1; SECRET_BYTES]) };
    (directory, Arc::new(Hub::new(metadata, blobs, options).unwrap()))
}

fn id() -> ServerId {
    "u1".parse().unwrap()
}

async fn open(hub: &Hub, content: &[u8]) {
    let owner = UploadOwner::Media { owner: "acme".to_owned(), reference: "a".to_owned(), create: false };
    let (blake3, size_bytes, mime_type) = (Blake3Hash::of(content), content.len() as u64, "text/plain".to_owned());
    let new = NewUpload { id: id(), owner, blake3, size_bytes, mime_type, expires_s: u64::MAX };
    hub.metadata.open_upload(new, Author::unlimited(Reader::Operator), 1).await.unwrap();
}

async fn put(hub: &Hub, number: u32, bytes: &[u8]) {
    let expected =
        Expected { size_bytes: bytes.len() as u64, offset: u64::from(number - 1) * PART as u64, is_whole: false };
    let body = stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(bytes))]);
    let taken = hub.take(&id(), number, expected, body).await.unwrap();
    assert!(hub.metadata.put_part(id(), taken.part(), 1).await.unwrap());
    taken.recorded();
}

async fn upload(hub: &Hub) -> Upload {
    hub.metadata.upload(id(), 1).await.unwrap().unwrap()
}

/// Parts that are hashed. Waits for who hashes.
async fn hashed(hub: &Hub) -> usize {
    hub.fronts.of(&id()).lock().await.parts
}

#[tokio::test]
async fn h4_21_sha256_follows_the_parts_and_is_that_of_those_that_are_there_in_the_end() {
    let (_directory, hub) = hub();
    let content: Vec<u8> = (0..4 * PART + 100).map(|at| (at * 7 % 256) as u8).collect();
    let part = |number: usize| content.get((number - 1) * PART..content.len().min(number * PART)).unwrap();
    open(&hub, &content).await;
    put(&hub, 2, part(2)).await;
    hub.hash_ahead(&upload(&hub).await);
    assert_eq!(hashed(&hub).await, 0, "the first is not there");
    put(&hub, 1, &[0; PART]).await;
    hub.hash_ahead(&upload(&hub).await);
    assert_eq!(hashed(&hub).await, 2);
    // Its sender has changed its mind: what is hashed does not count.
    put(&hub, 1, part(1)).await;
    put(&hub, 4, part(4)).await;
    hub.hash_ahead(&upload(&hub).await);
    assert_eq!(hashed(&hub).await, 2);
    put(&hub, 3, part(3)).await;
    put(&hub, 5, part(5)).await;
    let upload = upload(&hub).await;
    // Nobody waits any longer; the next who asks gets the same.
    let mut dropped = Box::pin(hub.hash_to_end(&upload));
    assert!(futures::poll!(&mut dropped).is_pending());
    drop(dropped);
    assert_eq!(hub.hash_to_end(&upload).await.unwrap(), Digest::sha256(&content).hex());
    assert!(hub.fronts.0.lock().is_empty());
}

#[tokio::test]
async fn a_hub_that_hashes_enough_hashes_at_the_end() {
    let (directory, hub) = hub();
    let content = [7; 2 * PART];
    open(&hub, &content).await;
    put(&hub, 1, &content[..PART]).await;
    put(&hub, 2, &content[PART..]).await;
    let upload = upload(&hub).await;
    let busy = Arc::clone(&hub.ahead_turns).try_acquire_many_owned(2).unwrap();
    hub.hash_ahead(&upload);
    assert!(hub.fronts.0.lock().is_empty());
    drop(busy);
    std::fs::remove_file(directory.path().join(&upload.parts[1].segment.key)).unwrap();
    assert!(matches!(hub.hash_to_end(&upload).await, Err(HashError::Objects(object_store::Error::NotFound { .. }))));
    assert_eq!(hashed(&hub).await, 1, "what is hashed stays hashed");
}

#[test]
fn the_number_of_uploads_that_are_followed_is_bounded() {
    let fronts = Fronts::default();
    let kept = fronts.of(&"kept".parse().unwrap());
    for number in 0..2 * FRONTS_MAX {
        fronts.of(&format!("u{number}").parse().unwrap());
    }
    assert_eq!(fronts.0.lock().len(), FRONTS_MAX);
    assert!(Arc::ptr_eq(&kept, &fronts.of(&"kept".parse().unwrap())), "somebody works at it");
}
