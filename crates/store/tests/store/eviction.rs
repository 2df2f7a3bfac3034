//! Section 8: who leaves when the disk is short.

use gen_worker_hub::api::Resolved;
use gen_worker_store::{FetchError, FormatGate, HeldModel, Store, Unheard};

use crate::pool::{Place, bytes};

/// A model of so many bytes that no other has.
fn model(place: &Place, id: &str, len: usize) -> Resolved {
    let mut content = bytes(len);
    content[..id.len()].copy_from_slice(id.as_bytes());
    place.tree(id, &[("file", &content)])
}

async fn fetch(store: &Store, tree: &Resolved) -> Result<HeldModel, FetchError> {
    store.fetch(tree.snapshot.as_str(), tree, FormatGate::Any, &Unheard).await
}

#[tokio::test]
async fn m8_4_only_the_oldest_that_nobody_keeps_leaves() {
    let place = Place::with_budget(10_000).await;
    let store = place.store().await;
    for (id, len) in [("a", 3000), ("b", 3000), ("keep", 1000), ("a", 3000)] {
        drop(fetch(&store, &model(&place, id, len)).await.unwrap());
    }
    store.spare(["keep".to_owned()]);
    assert_eq!(place.events.take(), ["+a", "+b", "+keep"]);
    fetch(&store, &model(&place, "new", 4000)).await.unwrap();
    assert_eq!(place.events.take(), ["-b", "+new"]);
    assert_eq!(store.models().await.unwrap().into_keys().collect::<Vec<_>>(), ["a", "keep", "new"]);
    assert!(!place.layout().snapshot(&"b".parse().unwrap()).exists());
    place.assert_sound();
}

#[tokio::test]
async fn m8_5_what_is_kept_leaves_last_and_says_so() {
    let place = Place::with_budget(10_000).await;
    let store = place.store().await;
    store.spare(["keep".to_owned()]);
    drop(fetch(&store, &model(&place, "keep", 3000)).await.unwrap());
    fetch(&store, &model(&place, "new", 8000)).await.unwrap();
    assert_eq!(place.events.take(), ["+keep", "-keep", "+new"]);
}

#[tokio::test]
async fn m8_3_what_can_never_fit_evicts_nothing() {
    let place = Place::with_budget(10_000).await;
    let store = place.store().await;
    drop(fetch(&store, &model(&place, "a", 3000)).await.unwrap());
    let error = fetch(&store, &model(&place, "new", 50_000)).await.unwrap_err();
    let numbers = matches!(error, FetchError::InsufficientDisk { required_bytes: 50_000, available_bytes: 7000, .. });
    assert!(numbers, "{error:?}");
    assert_eq!(place.events.take(), ["+a"]);
}

#[tokio::test]
async fn m8_5_what_is_in_use_or_pinned_stays_whoever_uses_it() {
    let place = Place::with_budget(10_000).await;
    let (store, other) = (place.store().await, place.store().await);
    let held = fetch(&other, &model(&place, "a", 6000)).await.unwrap();
    place.events.take();
    let wanted = model(&place, "b", 6000);
    assert!(matches!(fetch(&store, &wanted).await, Err(FetchError::InsufficientDisk { .. })));
    drop(held);
    assert!(store.pin("a", true).await.unwrap());
    assert!(matches!(fetch(&store, &wanted).await, Err(FetchError::InsufficientDisk { .. })));
    assert!(place.events.take().is_empty());
    assert!(store.pin("a", false).await.unwrap() && !store.pin("none", true).await.unwrap());
    fetch(&store, &wanted).await.unwrap();
    assert_eq!(place.events.take(), ["-a", "+b"]);
}

#[tokio::test]
async fn m8_2_a_restart_knows_what_is_there_and_forgets_what_is_not() {
    let place = Place::new().await;
    let store = place.store().await;
    for id in ["a", "b"] {
        drop(fetch(&store, &model(&place, id, 100)).await.unwrap());
    }
    std::fs::remove_dir_all(place.layout().snapshot(&"b".parse().unwrap())).unwrap();
    place.events.take();
    let store = place.store().await;
    assert_eq!(place.events.take(), ["+a"]);
    assert_eq!(store.models().await.unwrap().into_keys().collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn m8_9_a_snapshot_of_two_refs_leaves_with_the_last_and_shared_blobs_stay() {
    let place = Place::with_budget(10_000).await;
    let store = place.store().await;
    let shared = bytes(3000);
    let (one, two) =
        (place.tree("s1", &[("x", &shared), ("y", b"1")]), place.tree("s2", &[("x", &shared), ("z", b"2")]));
    for (reference, tree) in [("r1", &one), ("r2", &one), ("r3", &two)] {
        store.fetch(reference, tree, FormatGate::Any, &Unheard).await.unwrap();
    }
    store.pin("r3", true).await.unwrap();
    place.events.take();
    // 6999 - 3002 of blobs: only the one byte of the first snapshot can be freed, and is counted with all of it.
    drop(store.collect(6999).await.unwrap());
    assert_eq!(place.events.take(), ["-r1", "-r2"]);
    assert!(!place.layout().snapshot(&one.snapshot).exists() && place.layout().snapshot(&two.snapshot).exists());
    assert!(store.fetch("r3", &two, FormatGate::Any, &Unheard).await.is_ok());
    place.assert_sound();
}

#[tokio::test]
async fn m8_9_blobs_of_what_is_fetched_are_not_swept_for_it() {
    let place = Place::with_budget(10_000).await;
    let store = place.store().await;
    let wanted = place.tree("w", &[("x", &bytes(4000)), ("y", &bytes(3000))]);
    let first = gen_worker_hub::Blake3Hash::of(&bytes(4000));
    // As an interrupted build leaves it: a blob that no tree has yet.
    let blob = place.layout().blob(first);
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    std::fs::write(&blob, bytes(4000)).unwrap();
    drop(fetch(&store, &model(&place, "old", 5000)).await.unwrap());
    fetch(&store, &wanted).await.unwrap();
    assert_eq!(place.events.take(), ["+old", "-old", "+w"]);
    assert!(!place.server.seen().iter().any(|seen| seen.path == first.to_string()));
}
