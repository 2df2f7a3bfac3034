//! Section 6a: one blob.

use std::{fs, sync::Arc, time::Duration};

use gen_worker_hub::Blake3Hash;
use gen_worker_store::{FetchError, FormatGate, Store, StoreOptions, TransferOptions};
use gen_worker_tasks::Cancel;
use tokio::sync::Notify;

use crate::{
    pool::{Heard, Place, bytes, fetch},
    server::Answer,
};

const LEN: usize = 300_000;

/// Fetches one file with these answers, and gives the outcome and the ranges that were asked for.
async fn scripted(place: &Place, answers: Vec<Answer>) -> (Result<Vec<u8>, FetchError>, Vec<String>) {
    let content = bytes(LEN);
    let tree = place.one(&content);
    place.server.script(&Blake3Hash::of(&content).to_string(), answers);
    let held = fetch(&place.store().await, &tree).await;
    place.assert_sound();
    (held.map(|held| fs::read(held.dir().join("file")).unwrap()), place.server.ranges())
}

/// Puts the first `len` bytes where a download left them.
fn leave_part(place: &Place, len: usize) {
    let part = place.layout().part(Blake3Hash::of(&bytes(LEN)));
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(part, &bytes(LEN)[..len]).unwrap();
}

#[tokio::test]
async fn m6_1_a_blob_that_is_there_is_used_only_when_it_is_right() {
    let place = Place::new().await;
    let (first, _) = scripted(&place, vec![]).await;
    assert_eq!(first.unwrap(), bytes(LEN));
    let blob = place.layout().blob(Blake3Hash::of(&bytes(LEN)));
    fs::remove_dir_all(place.layout().snapshots()).unwrap();
    let (again, ranges) = scripted(&place, vec![]).await;
    assert_eq!((again.unwrap(), ranges.len()), (bytes(LEN), 1));
    fs::remove_dir_all(place.layout().snapshots()).unwrap();
    fs::remove_file(&blob).unwrap();
    let mut flipped = bytes(LEN);
    flipped[LEN / 2] ^= 1;
    fs::write(&blob, flipped).unwrap();
    let (repaired, ranges) = scripted(&place, vec![]).await;
    assert_eq!((repaired.unwrap(), ranges.len()), (bytes(LEN), 2));
}

#[tokio::test]
async fn m6_2_a_part_is_gone_on_with() {
    let place = Place::new().await;
    leave_part(&place, 100_000);
    let (got, ranges) = scripted(&place, vec![]).await;
    assert_eq!((got.unwrap(), ranges), (bytes(LEN), vec!["bytes=100000-".to_owned()]));
}

#[tokio::test]
async fn m6_2_a_part_that_is_complete_needs_no_server_and_one_that_is_wrong_is_fetched_again() {
    let place = Place::new().await;
    leave_part(&place, LEN);
    let (got, ranges) = scripted(&place, vec![]).await;
    assert_eq!((got.unwrap(), ranges.len()), (bytes(LEN), 0));
    for len in [LEN, LEN + 7] {
        let place = Place::new().await;
        let part = place.layout().part(Blake3Hash::of(&bytes(LEN)));
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::write(part, vec![7; len]).unwrap();
        let (got, ranges) = scripted(&place, vec![]).await;
        assert_eq!((got.unwrap(), ranges), (bytes(LEN), vec![String::new()]));
    }
}

#[tokio::test]
async fn m6_3_a_server_that_does_not_give_the_range_gives_the_file() {
    let whole = format!("bytes 0-{}/{LEN}", LEN - 1);
    let changed = format!("bytes 100000-{}/{}", LEN + 9, LEN + 10);
    for answer in [Answer::Whole, Answer::Range(whole), Answer::Range("nonsense".into()), Answer::Range(changed)] {
        let place = Place::new().await;
        leave_part(&place, 100_000);
        let (got, ranges) = scripted(&place, vec![answer]).await;
        assert_eq!((got.unwrap(), ranges), (bytes(LEN), vec!["bytes=100000-".to_owned(), String::new()]));
    }
}

#[tokio::test]
async fn m6_4_an_expired_address_is_asked_once() {
    for status in [400, 401, 403, 404, 410] {
        let place = Place::new().await;
        let (got, ranges) = scripted(&place, vec![Answer::Status(status)]).await;
        let error = got.unwrap_err();
        assert_eq!((error.failure().as_str(), ranges.len()), ("url_expired", 1));
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}

#[tokio::test]
async fn m6_4_an_address_that_expires_in_the_middle_keeps_what_came() {
    let place = Place::new().await;
    let (got, ranges) = scripted(&place, vec![Answer::Cut(120_000), Answer::Status(403)]).await;
    assert_eq!((got.unwrap_err().failure().as_str(), ranges.len()), ("url_expired", 2));
    let (got, ranges) = scripted(&place, vec![]).await;
    assert_eq!((got.unwrap(), ranges[2].as_str()), (bytes(LEN), "bytes=120000-"));
}

#[tokio::test]
async fn m6_5_a_range_that_is_refused_starts_again_once() {
    let place = Place::new().await;
    leave_part(&place, 100_000);
    let (got, ranges) = scripted(&place, vec![Answer::Status(416)]).await;
    assert_eq!((got.unwrap(), ranges), (bytes(LEN), vec!["bytes=100000-".to_owned(), String::new()]));
    let place = Place::new().await;
    leave_part(&place, 100_000);
    let (got, ranges) = scripted(&place, vec![Answer::Status(416), Answer::Status(416)]).await;
    assert_eq!((got.unwrap_err().failure().as_str(), ranges.len()), ("url_expired", 2));
}

#[tokio::test]
async fn m6_6_wrong_bytes_are_tried_three_times() {
    let mut flipped = bytes(LEN);
    flipped[LEN - 1] ^= 0x80;
    for wrong in [flipped.clone(), bytes(LEN - 1), [bytes(LEN), vec![0]].concat(), Vec::new()] {
        let place = Place::new().await;
        let (got, ranges) = scripted(&place, vec![Answer::Bytes(wrong.clone()); 3]).await;
        assert_eq!((got.unwrap_err().failure().as_str(), ranges.len()), ("digest_mismatch", 3));
        let place = Place::new().await;
        let (got, ranges) = scripted(&place, vec![Answer::Bytes(wrong); 2]).await;
        assert_eq!((got.unwrap(), ranges), (bytes(LEN), vec![String::new(); 3]));
    }
    let place = Place::new().await;
    let endless = Answer::Unframed([bytes(LEN), bytes(LEN)].concat());
    let (got, ranges) = scripted(&place, vec![endless; 3]).await;
    assert_eq!((got.unwrap_err().failure().as_str(), ranges.len()), ("digest_mismatch", 3));
}

#[tokio::test]
async fn m6_6_a_server_that_cannot_now_is_asked_again() {
    let place = Place::new().await;
    let answers = [500, 503, 408, 429].map(Answer::Status).into_iter().chain([Answer::Cut(0)]).collect();
    let (got, ranges) = scripted(&place, answers).await;
    assert_eq!((got.unwrap(), ranges.len()), (bytes(LEN), 6));
    let place = Place::new().await;
    let (got, ranges) = scripted(&place, vec![Answer::Status(500); 31]).await;
    assert_eq!((got.unwrap_err().failure().as_str(), ranges.len()), ("download_failed", 30));
}

#[tokio::test]
async fn m6_7_a_stream_that_ends_early_is_gone_on_with() {
    let place = Place::new().await;
    let unframed = Answer::Unframed(bytes(LEN)[..50_000].to_vec());
    let (got, ranges) = scripted(&place, vec![unframed, Answer::Cut(50_000), Answer::Cut(1)]).await;
    assert_eq!(got.unwrap(), bytes(LEN));
    assert_eq!(ranges, ["", "bytes=50000-", "bytes=100000-", "bytes=100001-"].map(str::to_owned));
}

#[tokio::test]
async fn m6_7_a_file_in_chunks_of_one_byte_is_a_file() {
    let place = Place::new().await;
    let (got, ranges) = scripted(&place, vec![Answer::Crumbs]).await;
    assert_eq!((got.unwrap(), ranges.len()), (bytes(LEN), 1));
}

#[tokio::test]
async fn m6_7_a_server_that_stalls_is_left_and_what_came_is_kept() {
    let place = Place::new().await;
    let content = bytes(LEN);
    let tree = place.one(&content);
    place.server.script(&Blake3Hash::of(&content).to_string(), [Answer::Stall(80_000)]);
    let transfer = TransferOptions { stall: Duration::from_secs(1), ..place.options().transfer };
    let options = StoreOptions { transfer, ..place.options() };
    let store = Store::open(options, &Cancel::new()).await.unwrap();
    let held = fetch(&store, &tree).await.unwrap();
    assert_eq!(fs::read(held.dir().join("file")).unwrap(), content);
    assert_eq!(place.server.ranges(), ["", "bytes=80000-"].map(str::to_owned));
}

#[tokio::test]
async fn m6_7_progress_is_absolute_and_ends_at_the_total() {
    let place = Place::new().await;
    leave_part(&place, 100_000);
    let tree = place.one(&bytes(LEN));
    let heard = Heard::default();
    place.store().await.fetch("o/r", &tree, FormatGate::Any, &heard).await.unwrap();
    let done = heard.done();
    assert_eq!(done.last(), Some(&(LEN as u64)));
    assert!(done.is_sorted());
    assert!(heard.0.lock().iter().all(|so_far| so_far.bytes_total == LEN as u64));
}

#[tokio::test]
async fn m6_2_a_file_of_unknown_size_comes_in_one_go() {
    let place = Place::new().await;
    leave_part(&place, 100_000);
    let mut tree = place.one(&bytes(LEN));
    tree.files[0].size_bytes = 0;
    let held = fetch(&place.store().await, &tree).await.unwrap();
    assert_eq!(fs::read(held.dir().join("file")).unwrap(), bytes(LEN));
    assert_eq!(place.server.ranges(), [String::new()]);
}

#[tokio::test]
async fn m6_14_a_file_of_unknown_size_does_not_fill_the_disk() {
    let place = Place::with_budget(100_000).await;
    let mut tree = place.one(&bytes(LEN));
    tree.files[0].size_bytes = 0;
    let error = fetch(&place.store().await, &tree).await.unwrap_err();
    assert_eq!(error.failure().as_str(), "insufficient_disk");
    place.assert_sound();
}

#[tokio::test]
async fn m6_6_redirects_are_followed_to_the_file_and_not_in_circles() {
    let place = Place::new().await;
    let content = bytes(LEN);
    let name = Blake3Hash::of(&content).to_string();
    let to = format!("{}/{name}?elsewhere=hush", place.server.base);
    let (got, ranges) = scripted(&place, vec![Answer::Redirect(to.clone())]).await;
    assert_eq!((got.unwrap(), ranges.len()), (content, 2));
    let place = Place::new().await;
    let transfer = TransferOptions { tries: 1, ..place.options().transfer };
    let tree = place.one(&bytes(LEN));
    place.server.script(&name, vec![Answer::Redirect(format!("/{name}?elsewhere=hush")); 20]);
    let store = Store::open(StoreOptions { transfer, ..place.options() }, &Cancel::new()).await.unwrap();
    let error = fetch(&store, &tree).await.unwrap_err();
    assert!(
        matches!(&error, FetchError::Transfer { source, .. } if !format!("{source:?}").contains("hush")),
        "{error:?}"
    );
    assert_eq!(place.server.seen().len(), 6);
}

#[tokio::test]
async fn m6_7_a_dropped_download_is_gone_on_with() {
    let place = Place::new().await;
    let content = bytes(LEN);
    let tree = place.one(&content);
    let never = Arc::new(Notify::new());
    place.server.script(&Blake3Hash::of(&content).to_string(), [Answer::Cut(90_000), Answer::Wait(never)]);
    let store = place.store().await;
    tokio::select! {
        _ = fetch(&store, &tree) => panic!("the server does not answer"),
        () = async { place.server.arrival().await; place.server.arrival().await } => {}
    }
    let held = fetch(&store, &tree).await.unwrap();
    assert_eq!(fs::read(held.dir().join("file")).unwrap(), content);
    assert_eq!(place.server.ranges(), ["", "bytes=90000-", "bytes=90000-"].map(str::to_owned));
}
