use bytes::Bytes;
use futures::{Stream, stream};

use super::*;
use crate::metadata::Segment;
use gen_worker_hub::Blake3Hash;

const PART: usize = 4096;

fn store() -> (tempfile::TempDir, BlobStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = BlobStore::local(directory.path().to_owned(), Arc::new(Scope::new("test"))).unwrap();
    (directory, store)
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn body(bytes: &[u8]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
    stream::iter(bytes.chunks(777).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect::<Vec<_>>())
}

async fn put_parts(store: &BlobStore, all: &[u8]) -> (Vec<Blake3Hash>, Vec<Segment>) {
    let (mut hashes, mut segments) = (Vec::new(), Vec::new());
    for (number, part) in (0u32..).zip(all.chunks(PART)) {
        let key = BlobStore::key(&"u1".parse().unwrap(), number);
        let (offset, size_bytes) = (u64::from(number) * PART as u64, part.len() as u64);
        let expected = Expected { size_bytes, offset, is_whole: all.len() <= PART };
        hashes.push(store.receive(&key, expected, body(part)).await.unwrap().chaining);
        segments.push(Segment { key, size_bytes });
    }
    (hashes, segments)
}

#[tokio::test]
async fn h4_19_the_hash_of_parts_is_the_hash_of_the_content() {
    let (_directory, store) = store();
    for bytes in [1, PART, PART + 1, 2 * PART, 3 * PART, 5 * PART + 9, 8 * PART, 13 * PART - 1] {
        let all = content(bytes);
        let (hashes, segments) = put_parts(&store, &all).await;
        assert_eq!(merge(&hashes), Some(Blake3Hash::of(&all)), "{bytes} bytes");
        let read: Vec<Bytes> = store.read(segments, 0..bytes as u64).try_collect().await.unwrap();
        assert_eq!(read.concat(), all);
    }
    assert_eq!(merge(&[]), None);
}

#[tokio::test]
async fn h7_4_a_range_crosses_the_borders_of_parts() {
    let (_directory, store) = store();
    let all = content(3 * PART);
    let (_, segments) = put_parts(&store, &all).await;
    for range in [0..1, PART - 1..PART + 1, PART..2 * PART, 10..3 * PART, 5..5] {
        let wanted = range.start as u64..range.end as u64;
        let read: Vec<Bytes> = store.read(segments.clone(), wanted).try_collect().await.unwrap();
        assert_eq!(read.concat(), all.get(range).unwrap());
    }
}

#[tokio::test]
async fn an_object_that_is_gone_or_shorter_than_its_record_is_an_error() {
    let (directory, store) = store();
    let all = content(PART);
    let (_, segments) = put_parts(&store, &all).await;
    let read = async || store.read(segments.clone(), 0..PART as u64).try_collect::<Vec<Bytes>>().await;
    assert_eq!(read().await.unwrap().concat(), all);
    let at = directory.path().join(&segments[0].key);
    std::fs::OpenOptions::new().write(true).open(&at).unwrap().set_len(100).unwrap();
    assert!(matches!(read().await, Err(object_store::Error::Generic { .. })));
    std::fs::remove_file(at).unwrap();
    assert!(matches!(read().await, Err(object_store::Error::NotFound { .. })));
}

#[tokio::test]
async fn h4_19_a_part_of_another_size_or_that_breaks_off_leaves_nothing() {
    let (_directory, store) = store();
    let receive = |size_bytes, broken: bool| {
        let expected = Expected { size_bytes, offset: 0, is_whole: true };
        let end = stream::iter(broken.then(|| Err(std::io::Error::other("lost"))));
        let store = store.clone();
        async move { store.receive("blobs/u1/1-x", expected, body(&content(100)).chain(end)).await }
    };
    assert!(matches!(receive(99, false).await, Err(ReceiveError::Size)));
    assert!(matches!(receive(101, false).await, Err(ReceiveError::Size)));
    assert!(matches!(receive(100, true).await, Err(ReceiveError::Body)));
    assert_eq!(store.keys().count().await, 0);
    receive(100, false).await.unwrap();
    assert_eq!(store.keys().try_collect::<Vec<_>>().await.unwrap(), ["blobs/u1/1-x"]);
    assert_eq!(store.delete(vec!["blobs/u1/1-x".to_owned(), "blobs/none".to_owned()]).await.len(), 2);
}

fn names(folder: &std::path::Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn an_object_of_a_directory_is_there_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let scope = Arc::new(Scope::new("test"));
    let store = BlobStore::local(directory.path().to_owned(), Arc::clone(&scope)).unwrap();
    let (folder, size) = (directory.path().join("blobs/u1"), 17 * MIB + 5);
    let mut receive = Box::pin(store.receive("blobs/u1/1-x", whole(size), zeros(9 * MIB).chain(stream::pending())));
    while !folder.is_dir() || names(&folder).is_empty() {
        assert!(futures::poll!(receive.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(names(&folder), ["1-x#1"]);
    assert_eq!(store.keys().count().await, 0);
    drop(receive);
    scope.join(Duration::from_secs(60)).await;
    assert!(names(&folder).is_empty());
    store.receive("blobs/u1/1-x", whole(size), zeros(size)).await.unwrap();
    let nothing = Expected { is_whole: true, ..whole(0) };
    store.receive("blobs/u1/2-x", nothing, zeros(0)).await.unwrap();
    assert_eq!(std::fs::read(folder.join("1-x")).unwrap(), vec![0; size]);
    assert_eq!(std::fs::read(folder.join("2-x")).unwrap(), [0; 0]);
    assert_eq!(names(&folder).len(), 2);
}

#[tokio::test]
async fn a_disk_that_refuses_is_an_error_that_names_the_object() {
    let (directory, store) = store();
    // No folder can be made where a file is.
    std::fs::write(directory.path().join("blobs"), "").unwrap();
    let refused = store.receive("blobs/u1/1-x", whole(5), zeros(5)).await;
    assert!(matches!(refused, Err(ReceiveError::Store(object_store::Error::Generic { .. }))), "{refused:?}");
}

#[tokio::test]
async fn h5_4_what_a_killed_process_left_is_removed() {
    let (directory, store) = store();
    let folder = directory.path().join("blobs/u1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("1-x#1"), "half").unwrap();
    std::fs::write(folder.join("2-x"), "whole").unwrap();
    store.remove_staged().await.unwrap();
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["2-x"]);
}

const MIB: usize = 1024 * 1024;

/// So many bytes in pieces of 64 KiB.
fn zeros(bytes: usize) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    let piece = Bytes::from(vec![0; 64 * 1024]);
    stream::iter(
        (0..bytes.div_ceil(piece.len())).map(move |at| Ok(piece.slice(..piece.len().min(bytes - at * piece.len())))),
    )
}

fn whole(size_bytes: usize) -> Expected {
    Expected { size_bytes: size_bytes as u64, offset: 0, is_whole: false }
}

#[tokio::test]
async fn pieces_for_another_store_are_as_large_as_s3_wants_them_and_all_alike() {
    let bucket = Arc::new(testing::Bucket::default());
    let store = BlobStore::remote(Arc::<testing::Bucket>::clone(&bucket), Arc::new(Scope::new("test")));
    store.receive("blobs/u1/1-x", whole(11 * MIB + 1), zeros(11 * MIB + 1)).await.unwrap();
    assert_eq!(*bucket.pieces.lock(), [5 * MIB, 5 * MIB, MIB + 1]);
    assert_eq!((bucket.completed(), bucket.aborted()), (1, 0));
    // What is no more than a piece needs no upload in parts.
    store.receive("blobs/u1/2-x", whole(5 * MIB), zeros(5 * MIB)).await.unwrap();
    assert_eq!((bucket.completed(), bucket.pieces.lock().len()), (1, 3));
}

#[tokio::test]
async fn all_transfers_together_stay_within_the_budget() {
    let bucket = Arc::new(testing::Bucket::default());
    let store = BlobStore::remote(Arc::<testing::Bucket>::clone(&bucket), Arc::new(Scope::new("test")));
    let received = (0..32).map(|number| {
        let store = store.clone();
        async move { store.receive(&format!("blobs/u1/{number}-x"), whole(5 * MIB + 1), zeros(5 * MIB + 1)).await }
    });
    futures::future::try_join_all(received).await.unwrap();
    assert_eq!(bucket.completed(), 32);
    let most = bucket.most_bytes();
    assert!((2 * REMOTE_PIECE_BYTES..=BUDGET_BYTES).contains(&most), "{most} bytes at once");
    assert_eq!(store.room.left(), (BUDGET_BYTES - REMOTE_PIECE_BYTES, true));
}

#[tokio::test]
async fn a_request_that_is_dropped_leaves_no_upload_open_and_no_room_taken() {
    let bucket = Arc::new(testing::Bucket::default());
    let scope = Arc::new(Scope::new("test"));
    let store = BlobStore::remote(Arc::<testing::Bucket>::clone(&bucket), Arc::clone(&scope));
    let endless = zeros(6 * MIB).chain(stream::pending());
    let mut receive = Box::pin(store.receive("blobs/u1/1-x", whole(20 * MIB), endless));
    // Until the first piece is there: what follows never comes.
    while bucket.pieces.lock().is_empty() {
        assert!(futures::poll!(receive.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(bucket.aborted(), 0);
    drop(receive);
    scope.join(Duration::from_secs(60)).await;
    assert_eq!((bucket.aborted(), bucket.completed()), (1, 0));
    assert_eq!(store.room.left(), (BUDGET_BYTES - REMOTE_PIECE_BYTES, true));
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_trickles_does_not_keep_its_room() {
    let bucket = Arc::new(testing::Bucket::default());
    let store = BlobStore::remote(bucket, Arc::new(Scope::new("test")));
    let trickle = stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, std::io::Error>(Bytes::from_static(b"x"))
    });
    let begun = tokio::time::Instant::now();
    let refused = store.receive("blobs/u1/1-x", whole(20 * MIB), trickle).await;
    assert!(matches!(refused, Err(ReceiveError::Stall)), "{refused:?}");
    assert_eq!(begun.elapsed(), PIECE_TIME);
    assert_eq!(store.room.left(), (BUDGET_BYTES - REMOTE_PIECE_BYTES, true));
}

#[tokio::test(start_paused = true)]
async fn senders_that_stop_do_not_stop_others() {
    let bucket = Arc::new(testing::Bucket::default());
    let store = BlobStore::remote(bucket, Arc::new(Scope::new("test")));
    // More of them than there are pieces in the budget: with a byte each, and with all but the end of a piece each.
    for (sent, at_most) in [(1, Duration::ZERO), (REMOTE_PIECE_BYTES - 1, PIECE_TIME)] {
        let begun = tokio::time::Instant::now();
        let halves = || Box::pin(store.receive("blobs/u1/1-x", whole(20 * MIB), zeros(sent).chain(stream::pending())));
        let mut slow: Vec<_> = (0..8).map(|_| halves()).collect();
        for sender in &mut slow {
            assert!(futures::poll!(sender).is_pending());
        }
        let other = store.receive("blobs/u1/2-x", whole(11 * MIB), zeros(11 * MIB));
        let (other, slow) = tokio::join!(async { (other.await, begun.elapsed()) }, futures::future::join_all(slow),);
        other.0.unwrap();
        assert!(other.1 <= at_most, "{:?} with {sent}", other.1);
        assert!(slow.iter().all(|slow| matches!(slow, Err(ReceiveError::Stall))), "{slow:?}");
        assert_eq!(store.room.left(), (BUDGET_BYTES - REMOTE_PIECE_BYTES, true));
    }
}
