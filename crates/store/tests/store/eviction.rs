//! Section 8: who leaves when the disk is short.

use gen_worker_hub::api::Resolved;
use gen_worker_store::{FetchError, FormatGate, HeldModel, Store, Unheard};

use crate::{
    pool::{Place, bytes},
    server::Answer,
};

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
async fn m8_8_the_list_of_what_is_kept_is_replaced_as_a_whole_and_brings_nothing() {
    let place = Place::with_budget(10_000).await;
    let store = place.store().await;
    for id in ["a", "b"] {
        drop(fetch(&store, &model(&place, id, 4000)).await.unwrap());
    }
    let requests = place.server.seen().len();
    store.spare(["a".to_owned(), "nowhere".to_owned()]);
    store.spare(["b".to_owned(), "nowhere".to_owned()]);
    assert_eq!(place.server.seen().len(), requests, "what is not here is not fetched");
    // The older one, which the first list had.
    assert_eq!(store.collect(4000).await.unwrap(), ["a"]);
    store.spare([]);
    drop(fetch(&store, &model(&place, "c", 4000)).await.unwrap());
    assert_eq!(store.collect(6000).await.unwrap(), ["b"], "nothing is kept any more: the oldest leaves");
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

#[tokio::test]
async fn m8_9_a_snapshot_whose_last_ref_went_on_is_evicted() {
    let place = Place::with_budget(10_000).await;
    let store = place.store().await;
    let (old, new, other) = (model(&place, "old", 4000), model(&place, "new", 4000), model(&place, "other", 5000));
    for tree in [&old, &new] {
        drop(store.fetch("o/r", tree, FormatGate::Any, &Unheard).await.unwrap());
    }
    assert_eq!(place.events.take(), ["+o/r", "+o/r"]);
    assert_eq!(store.models().await.unwrap()["o/r"].path, place.layout().snapshot(&new.snapshot));
    fetch(&store, &other).await.unwrap();
    // Nobody was told of it, so nobody hears that it is gone.
    assert_eq!(place.events.take(), ["+other"]);
    assert!(!place.layout().snapshot(&old.snapshot).exists() && place.layout().snapshot(&new.snapshot).exists());
    place.assert_sound();
}

#[tokio::test]
async fn m8_9_what_came_already_needs_no_room_and_what_is_joined_does() {
    let place = Place::with_budget(10_000).await;
    let content = bytes(9000);
    let part = place.layout().part(gen_worker_hub::Blake3Hash::of(&content));
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(part, &content[..6000]).unwrap();
    fetch(&place.store().await, &place.one(&content)).await.unwrap();
    assert_eq!(place.server.ranges(), ["bytes=6000-"]);
    // Two pieces of 3000 fit; the file of 6000 beside them does not.
    let place = Place::with_budget(10_000).await;
    let halves = [bytes(3000), vec![7; 3000]];
    let parts = halves.each_ref().map(|half| serde_json::json!({"digest": gen_worker_hub::Blake3Hash::of(half)}));
    let said = serde_json::json!({"original_path": "m", "parts": parts}).to_string().into_bytes();
    let tree = place.tree("t", &[("m.parts.json", &said), ("m.part1", &halves[0]), ("m.part2", &halves[1])]);
    let error = fetch(&place.store().await, &tree).await.unwrap_err();
    let required = 12_000 + said.len() as u64;
    assert!(
        matches!(error, FetchError::InsufficientDisk { required_bytes, available_bytes: 10_000, .. } if required_bytes == required),
        "{error:?}"
    );
    assert!(place.server.seen().is_empty());
}

#[tokio::test]
async fn m8_9_what_came_in_part_leaves_when_the_disk_is_short_and_nobody_goes_on_with_it() {
    let place = Place::with_budget(10_000).await;
    let part = place.layout().part(gen_worker_hub::Blake3Hash::of(b"what a killed process began"));
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    std::fs::write(&part, bytes(6000)).unwrap();
    let store = place.store().await;
    drop(fetch(&store, &model(&place, "a", 3000)).await.unwrap());
    let evictable = store.evictable(6000).await.unwrap();
    assert_eq!((evictable.models.len(), evictable.unfinished_bytes), (0, 6000), "it is older than the model");
    let _b = fetch(&store, &model(&place, "b", 5000)).await.unwrap();
    assert!(!part.exists());
    assert_eq!(place.events.take(), ["+a", "+b"]);
}

#[tokio::test]
async fn m6_21_a_download_keeps_nobody_from_evicting_and_loses_nothing_to_it() {
    let place = Place::with_budget(10_000).await;
    let (one, two) = (place.store().await, place.store().await);
    drop(fetch(&one, &model(&place, "idle", 4000)).await.unwrap());
    place.events.take();
    let (large, small, never) = (bytes(3000), bytes(100), std::sync::Arc::new(tokio::sync::Notify::new()));
    let slow = place.tree("slow", &[("a", &large), ("b", &small)]);
    let hash = |content: &[u8]| gen_worker_hub::Blake3Hash::of(content);
    place.server.script(&hash(&large).to_string(), [Answer::Wait(std::sync::Arc::clone(&never))]);
    let evicting = async {
        while place.server.seen().len() < 3 || !place.layout().blob(hash(&small)).exists() {
            place.events.changed().await;
        }
        // One file of the other build is there and in no tree yet.
        let held = fetch(&two, &model(&place, "wanted", 6000)).await.unwrap();
        assert_eq!(place.events.take(), ["-idle", "+wanted"]);
        assert!(place.layout().blob(hash(&small)).exists());
        never.notify_one();
        held
    };
    let (slow, _held) = tokio::join!(one.fetch("slow", &slow, FormatGate::Any, &*place.events), evicting);
    slow.unwrap();
    let asked = place.server.seen().into_iter().filter(|seen| seen.path == hash(&small).to_string()).count();
    assert_eq!(asked, 1);
    place.assert_sound();
}

#[tokio::test]
async fn m8_5_nothing_is_short_while_others_evict() {
    let place = Place::with_budget(10_000).await;
    let store = place.store().await;
    drop(fetch(&store, &model(&place, "idle", 8000)).await.unwrap());
    // Another process is at it.
    let gc = std::fs::File::options().write(true).open(place.layout().gc_lock()).unwrap();
    let wanted = model(&place, "wanted", 8000);
    tokio::time::pause();
    gc.try_lock().unwrap();
    let mut fetching = std::pin::pin!(fetch(&store, &wanted));
    assert!(tokio::time::timeout(std::time::Duration::from_secs(600), &mut fetching).await.is_err());
    tokio::time::resume();
    gc.unlock().unwrap();
    fetching.await.unwrap();
}
