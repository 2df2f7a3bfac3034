//! Sections 6b to 6d: trees.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    sync::Arc,
};

use gen_worker_hub::Blake3Hash;
use gen_worker_store::{
    FetchError, FormatError, FormatGate, Store, StoreObserver, StoreOptions, Transferred, TreeError, Unheard,
};
use gen_worker_tasks::Cancel;
use tokio::sync::Notify;

use crate::{
    pool::{Heard, Place, bytes, fetch, files},
    server::Answer,
};

#[tokio::test]
async fn m6_10_a_tree_that_is_there_needs_no_server() {
    let place = Place::new().await;
    let tree = place.tree("t", &[("config.json", b"{}"), ("unet/a/w.bin", b"weights"), ("unet/w2.bin", b"weights")]);
    let held = fetch(&place.store().await, &tree).await.unwrap();
    assert_eq!(held.dir(), place.dir.path().join("snapshots/t"));
    assert_eq!(fs::read(held.dir().join("unet/a/w.bin")).unwrap(), b"weights");
    assert_eq!(place.server.seen().len(), 2);
    let store = place.store().await;
    fetch(&store, &tree).await.unwrap();
    fetch(&store, &tree).await.unwrap();
    assert_eq!(place.server.seen().len(), 2);
    place.assert_sound();
}

#[tokio::test]
async fn m6_11_many_callers_are_one_build() {
    let place = Place::new().await;
    let tree = place.tree("t", &[("a", &bytes(100_000)), ("b", b"two")]);
    let store = place.store().await;
    let all = futures::future::join_all((0..16).map(|_| fetch(&store, &tree))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(place.server.seen().len(), 2);
}

#[tokio::test]
async fn m6_12_the_first_error_ends_the_build_and_leaves_no_tree() {
    let place = Place::new().await;
    let (large, small) = (bytes(100_000), b"small");
    let tree = place.tree("t", &[("a", &large), ("b", small)]);
    place.server.script(&Blake3Hash::of(&large).to_string(), [Answer::Wait(Arc::new(Notify::new()))]);
    place.server.script(&Blake3Hash::of(small).to_string(), [Answer::Status(403)]);
    let error = fetch(&place.store().await, &tree).await.unwrap_err();
    assert!(matches!(error, FetchError::UrlExpired { status: 403, .. }));
    assert_eq!(fs::read_dir(place.layout().snapshots()).unwrap().count(), 0);
}

#[tokio::test]
async fn m6_13_a_blob_of_another_size_is_fetched_again() {
    let place = Place::new().await;
    let tree = place.one(b"content");
    let blob = place.layout().blob(Blake3Hash::of(b"content"));
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(&blob, b"short").unwrap();
    let held = fetch(&place.store().await, &tree).await.unwrap();
    assert_eq!(fs::read(held.dir().join("file")).unwrap(), b"content");
    place.assert_sound();
}

#[tokio::test]
async fn m6_14_what_does_not_fit_is_not_begun() {
    let place = Place::with_budget(50).await;
    let tree = place.one(&bytes(51));
    let error = fetch(&place.store().await, &tree).await.unwrap_err();
    assert!(matches!(error, FetchError::InsufficientDisk { required_bytes: 51, available_bytes: 50, .. }), "{error:?}");
    assert!(place.server.seen().is_empty());
    fetch(&place.store().await, &place.tree("two", &[("f", &bytes(50))])).await.unwrap();
    fetch(&place.store().await, &place.tree("two", &[("f", &bytes(50))])).await.unwrap();
}

#[tokio::test]
async fn m6_14_what_others_were_promised_is_not_promised_twice() {
    let place = Place::with_budget(100).await;
    let (large, other) = (bytes(60), [&bytes(59)[..], b"x"].concat());
    let go = Arc::new(Notify::new());
    place.server.script(&Blake3Hash::of(&large).to_string(), [Answer::Wait(Arc::clone(&go))]);
    let (first, second) = (place.tree("first", &[("f", &large)]), place.tree("second", &[("f", &other)]));
    let store = place.store().await;
    let mut coming = std::pin::pin!(fetch(&store, &first));
    tokio::select! {
        _ = coming.as_mut() => panic!("the server waits"),
        () = place.server.arrival() => {}
    }
    let error = fetch(&store, &second).await.unwrap_err();
    assert!(matches!(error, FetchError::InsufficientDisk { required_bytes: 60, available_bytes: 40, .. }), "{error:?}");
    fetch(&store, &place.tree("third", &[("f", &bytes(40))])).await.unwrap();
    go.notify_one();
    coming.await.unwrap();
    place.assert_sound();
}

#[tokio::test]
async fn m6_14_what_is_filled_is_promised_no_more_whoever_asks() {
    let place = Place::with_budget(100).await;
    let (large, other) = (bytes(60), [&bytes(39)[..], b"x"].concat());
    let (one, two) = (place.store().await, place.store().await);
    fetch(&one, &place.tree("first", &[("f", &large)])).await.unwrap();
    let error = fetch(&two, &place.tree("second", &[("f", &bytes(101))])).await.unwrap_err();
    assert!(matches!(error, FetchError::InsufficientDisk { required_bytes: 101, .. }), "{error:?}");
    // What came is on the disk, and what failed is not to come: nothing is left of either promise.
    fetch(&two, &place.tree("third", &[("f", &other)])).await.unwrap();
    place.assert_sound();
}

#[tokio::test]
async fn m6_15_what_is_unfinished_is_cleared_when_nobody_builds_it() {
    let place = Place::new().await;
    let stale = place.layout().snapshots().join("t.building.999999");
    fs::create_dir_all(&stale).unwrap();
    fs::write(stale.join("half"), b"x").unwrap();
    let held = fs::canonicalize(&stale).unwrap();
    place.store().await;
    assert!(!held.exists());
}

/// Stops in the middle of taking a damaged tree away, until the test says go on.
struct Blocking {
    reached: Notify,
    go: parking_lot::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl StoreObserver for Blocking {
    fn evicted(&self, _reference: &str) {
        self.reached.notify_one();
        self.go.lock().recv().unwrap();
    }
}

#[tokio::test]
async fn m6_20_what_a_dropped_fetch_left_running_keeps_its_lock() {
    let place = Place::new().await;
    let tree = place.one(b"content");
    flip(&fetch(&place.store().await, &tree).await.unwrap().dir().join("file"));
    let (go, wait) = std::sync::mpsc::channel();
    let blocking = Arc::new(Blocking { reached: Notify::new(), go: wait.into() });
    let observer = Arc::clone(&blocking) as Arc<dyn StoreObserver>;
    let options = StoreOptions { observer, ..place.options() };
    let store = Store::open(options, &Cancel::new()).await.unwrap();
    tokio::select! {
        _ = fetch(&store, &tree) => panic!("nobody said go on"),
        () = blocking.reached.notified() => {}
    }
    let lock = fs::File::open(place.layout().snapshot_lock(&tree.snapshot)).unwrap();
    assert!(lock.try_lock().is_err());
    drop(lock);
    go.send(()).unwrap();
    let held = fetch(&store, &tree).await.unwrap();
    assert_eq!(fs::read(held.dir().join("file")).unwrap(), b"content");
    place.assert_sound();
}

#[tokio::test]
async fn m6_16_a_tree_whose_files_collide_is_refused() {
    let place = Place::new().await;
    let mut tree = place.tree("t", &[("a/x", b"1"), ("b", b"2")]);
    tree.files[1].path = "A/X".parse().unwrap();
    let error = fetch(&place.store().await, &tree).await.unwrap_err();
    assert!(matches!(error, FetchError::Tree(TreeError::Paths(_))));
    assert!(place.server.seen().is_empty());
}

#[tokio::test]
async fn m6_19_files_are_names_of_blobs_and_cannot_be_written() {
    let place = Place::new().await;
    let held = fetch(&place.store().await, &place.one(b"content")).await.unwrap();
    let metadata = fs::symlink_metadata(held.dir().join("file")).unwrap();
    assert!(metadata.is_file() && metadata.nlink() == 2);
    assert_eq!(metadata.mode() & 0o222, 0);
}

#[tokio::test]
async fn m6_19_links_in_the_store_are_not_followed() {
    let place = Place::new().await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("file"), b"content").unwrap();
    let store = place.store().await;
    // In the place of a blob: replaced, its target stays.
    let blob = place.layout().blob(Blake3Hash::of(b"content"));
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    symlink(outside.path().join("file"), &blob).unwrap();
    let held = fetch(&store, &place.one(b"content")).await.unwrap();
    assert!(fs::symlink_metadata(&blob).unwrap().is_file() && held.dir().join("file").exists());
    assert_eq!(place.server.seen().len(), 1);
    // In the place of a tree, or of a directory of blobs: refused.
    symlink(outside.path(), place.layout().snapshots().join("t")).unwrap();
    let error = fetch(&store, &place.tree("t", &[("file", b"content")])).await.unwrap_err();
    assert!(matches!(error, FetchError::Disk { .. }));
    let others: Vec<Vec<u8>> = (0..9).map(|n| vec![n]).collect();
    let dir = |content: &[u8]| place.layout().blobs().join(&Blake3Hash::of(content).to_string()[..2]);
    let other = others.iter().find(|content| !dir(content).exists()).unwrap();
    symlink(outside.path(), dir(other)).unwrap();
    let error = fetch(&store, &place.tree("u", &[("file", other)])).await.unwrap_err();
    assert!(matches!(error, FetchError::Disk { .. }));
    assert_eq!(files(outside.path()).len(), 1);
}

#[tokio::test]
async fn m6_22_two_stores_on_one_directory_are_one_transfer() {
    let place = Place::new().await;
    let (content, go) = (bytes(200_000), Arc::new(Notify::new()));
    let tree = place.one(&content);
    place.server.script(&Blake3Hash::of(&content).to_string(), [Answer::Wait(Arc::clone(&go))]);
    let (one, two) = (place.store().await, place.store().await);
    let (first, second, ()) = tokio::join!(fetch(&one, &tree), fetch(&two, &tree), async {
        place.server.arrival().await;
        go.notify_one();
    });
    assert_eq!(first.unwrap().dir(), second.unwrap().dir());
    assert_eq!(place.server.seen().len(), 1);
}

#[tokio::test]
async fn m6_23_the_first_use_in_a_process_hashes_and_the_next_do_not() {
    let place = Place::new().await;
    let tree = place.one(b"content");
    let store = place.store().await;
    let held = fetch(&store, &tree).await.unwrap();
    flip(&held.dir().join("file"));
    // This process has seen it right; a new one looks.
    fetch(&store, &tree).await.unwrap();
    assert_eq!(place.server.seen().len(), 1);
    let held = fetch(&place.store().await, &tree).await.unwrap();
    assert_eq!(fs::read(held.dir().join("file")).unwrap(), b"content");
    assert_eq!(place.server.seen().len(), 2);
    place.assert_sound();
}

#[tokio::test]
async fn m6_25_a_damaged_tree_leaves_and_only_what_is_wrong_comes_again() {
    for remove in [true, false] {
        let place = Place::new().await;
        let tree = place.tree("t", &[("a", b"one"), ("b", b"two"), ("c", b"three")]);
        let held = fetch(&place.store().await, &tree).await.unwrap();
        let file = held.dir().join("b");
        if remove {
            fs::remove_file(&file).unwrap()
        } else {
            flip(&file)
        }
        let held = fetch(&place.store().await, &tree).await.unwrap();
        assert_eq!(files(held.dir()).into_values().collect::<Vec<_>>(), [&b"one"[..], b"two", b"three"]);
        assert_eq!(place.server.seen().len(), if remove { 3 } else { 4 });
        place.assert_sound();
    }
}

#[tokio::test]
async fn m6_25_who_listens_hears_that_a_damaged_model_has_left() {
    let place = Place::new().await;
    let tree = place.tree("t", &[("a", b"one"), ("b", b"two")]);
    let store = place.store().await;
    for reference in ["r1", "r2"] {
        store.fetch(reference, &tree, FormatGate::Any, &Unheard).await.unwrap();
    }
    place.events.take();
    flip(&place.layout().snapshot(&tree.snapshot).join("b"));
    assert!(!store.is_sound(&tree).await.unwrap());
    place.server.script(&Blake3Hash::of(b"two").to_string(), [Answer::Status(403)]);
    let error = store.fetch("r1", &tree, FormatGate::Any, &Unheard).await.unwrap_err();
    assert_eq!(error.failure().as_str(), "url_expired");
    assert_eq!(place.events.take(), ["-r1", "-r2"]);
    assert!(!place.layout().snapshot(&tree.snapshot).exists());
    store.fetch("r1", &tree, FormatGate::Any, &Unheard).await.unwrap();
    assert_eq!(place.events.take(), ["+r1"]);
}

#[tokio::test]
async fn m6_25_refs_and_pins_of_a_damaged_model_are_back_with_it() {
    let place = Place::new().await;
    let tree = place.tree("t", &[("a", b"one"), ("b", b"two")]);
    let store = place.store().await;
    for reference in ["r1", "r2"] {
        store.fetch(reference, &tree, FormatGate::Any, &Unheard).await.unwrap();
    }
    assert!(store.pin("r2", true).await.unwrap());
    place.events.take();
    flip(&place.layout().snapshot(&tree.snapshot).join("b"));
    store.is_sound(&tree).await.unwrap();
    store.fetch("r1", &tree, FormatGate::Any, &Unheard).await.unwrap();
    assert_eq!(place.events.take(), ["-r1", "-r2", "+r1", "+r2"]);
    let models = store.models().await.unwrap();
    assert_eq!(models.values().map(|model| model.pinned).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn m6_25_a_pin_outlives_a_model_that_could_not_come_again_at_once() {
    let place = Place::new().await;
    let tree = place.tree("t", &[("a", b"one"), ("b", b"two")]);
    let store = place.store().await;
    for reference in ["pinned", "let-go", "plain"] {
        store.fetch(reference, &tree, FormatGate::Any, &Unheard).await.unwrap();
    }
    for reference in ["pinned", "let-go"] {
        assert!(store.pin(reference, true).await.unwrap());
    }
    place.events.take();
    flip(&place.layout().snapshot(&tree.snapshot).join("b"));
    assert!(!store.is_sound(&tree).await.unwrap());
    place.server.script(&Blake3Hash::of(b"two").to_string(), [Answer::Status(403)]);
    store.fetch("plain", &tree, FormatGate::Any, &Unheard).await.unwrap_err();
    assert_eq!(place.events.take(), ["-let-go", "-pinned", "-plain"]);
    assert!(store.models().await.unwrap().is_empty(), "none of them is there");
    assert!(store.find("pinned").await.unwrap().is_none());
    assert!(store.pin("let-go", false).await.unwrap() && !store.pin("let-go", false).await.unwrap());
    // A process that begins later does not tell that it is there, and does not forget what somebody said.
    let store = place.store().await;
    assert_eq!(place.events.take(), [""; 0]);
    for reference in ["pinned", "let-go"] {
        store.fetch(reference, &tree, FormatGate::Any, &Unheard).await.unwrap();
    }
    assert_eq!(place.events.take(), ["+pinned", "+let-go"]);
    let models = store.models().await.unwrap();
    let pinned: Vec<_> = models.iter().map(|(reference, model)| (reference.as_str(), model.pinned)).collect();
    assert_eq!(pinned, [("let-go", false), ("pinned", true)]);
    assert!(models.values().all(|model| model.bytes > 0));
}

#[tokio::test]
async fn m6_18_progress_begins_with_what_is_there_and_ends_with_all() {
    let place = Place::new().await;
    let (large, begun, small) = (bytes(100_000), bytes(50_000), b"small");
    let store = place.store().await;
    fetch(&store, &place.tree("first", &[("f", small)])).await.unwrap();
    let part = place.layout().part(Blake3Hash::of(&begun));
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, &begun[..20_000]).unwrap();
    let tree = place.tree("t", &[("a", &large), ("b", &begun), ("c", small), ("d", small)]);
    let heard = Heard::default();
    store.fetch("o/t", &tree, FormatGate::Any, &heard).await.unwrap();
    let (told, total) = (heard.0.into_inner(), 150_005);
    assert_eq!(told.first(), Some(&Transferred { bytes_done: 20_005, bytes_total: total }));
    assert_eq!(told.last(), Some(&Transferred { bytes_done: total, bytes_total: total }));
    assert!(told.iter().all(|so_far| so_far.bytes_total == total && so_far.bytes_done <= total));
}

#[tokio::test]
async fn m6_26_after_a_failed_load_all_is_hashed_and_only_what_is_wrong_comes_again() {
    let place = Place::new().await;
    let tree = place.tree("t", &[("a", b"one"), ("b", b"two")]);
    let store = place.store().await;
    assert!(!store.is_sound(&tree).await.unwrap());
    let held = fetch(&store, &tree).await.unwrap();
    assert!(store.is_sound(&tree).await.unwrap());
    flip(&held.dir().join("b"));
    assert!(!store.is_sound(&tree).await.unwrap());
    let held = fetch(&store, &tree).await.unwrap();
    assert_eq!(fs::read(held.dir().join("b")).unwrap(), b"two");
    assert!(store.is_sound(&tree).await.unwrap());
    assert_eq!(place.server.seen().len(), 3);
}

#[tokio::test]
async fn m11_2_a_model_that_a_caller_chose_has_safe_and_whole_weights() {
    let place = Place::new().await;
    let store = place.store().await;
    let gated = async |tree| store.fetch("o/r", &tree, FormatGate::SafeOnly, &Unheard).await;
    let error = gated(place.tree("a", &[("m.bin", b"pickle")])).await.unwrap_err();
    assert!(matches!(error, FetchError::Format(FormatError::Unsafe { .. })));
    assert!(place.server.seen().is_empty());
    let error = gated(place.tree("b", &[("m.safetensors", &[255; 64])])).await.unwrap_err();
    assert!(matches!(error, FetchError::Format(FormatError::Broken { .. })));
    gated(place.tree("c", &[("m.safetensors", b"\x02\0\0\0\0\0\0\0{}")])).await.unwrap();
}

#[tokio::test]
async fn m6_17_a_file_in_pieces_is_joined_and_checked_like_others() {
    let place = Place::new().await;
    let digest = |content: &[u8]| format!("blake3:{}", Blake3Hash::of(content));
    let describe = |whole: &[u8]| {
        let parts = [digest(b"first"), digest(b"last")].map(|digest| serde_json::json!({"digest": digest}));
        let said = serde_json::json!({"original_path": "w/m", "parts": parts, "digest": digest(whole)});
        said.to_string().into_bytes()
    };
    let tree = |id: &str, said: &[u8]| {
        let files = [("w/m.parts.json", said), ("w/m.part0001", b"first"), ("w/m.part0002", b"last"), ("c", b"{}")];
        place.tree(id, &files)
    };
    let good = tree("good", &describe(b"firstlast"));
    let held = fetch(&place.store().await, &good).await.unwrap();
    assert_eq!(files(held.dir()).len(), 2);
    assert_eq!(fs::read(held.dir().join("w/m")).unwrap(), b"firstlast");
    flip(&held.dir().join("w/m"));
    let held = fetch(&place.store().await, &good).await.unwrap();
    assert_eq!(fs::read(held.dir().join("w/m")).unwrap(), b"firstlast");
    for (id, said) in [("lies", describe(b"other")), ("nonsense", b"[]".to_vec())] {
        let error = fetch(&place.store().await, &tree(id, &said)).await.unwrap_err();
        assert!(matches!(error, FetchError::Tree(TreeError::Pieces(_))), "{error:?}");
        assert!(!place.layout().snapshot(&id.parse().unwrap()).exists());
        // Nothing is left of what was built of it.
        place.assert_sound();
    }
}

/// Changes one bit of a file that is not to be written to.
fn flip(path: &std::path::Path) {
    let mut content = fs::read(path).unwrap();
    content[0] ^= 1;
    let mode = fs::metadata(path).unwrap().permissions();
    let mut writable = mode.clone();
    std::os::unix::fs::PermissionsExt::set_mode(&mut writable, 0o644);
    fs::set_permissions(path, writable).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

#[tokio::test]
async fn m6_27_a_checkpoint_in_shards_is_one_file_that_leaves_with_its_model() {
    let place = Place::new().await;
    let shard = |tensor: &str| {
        let header = format!(r#"{{"{tensor}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}}}"#);
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes(4)].concat()
    };
    let index = br#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#;
    let (one, two) = (shard("a"), shard("b"));
    let files =
        [("m.safetensors.index.json", &index[..]), ("m-1.safetensors", &one[..]), ("m-2.safetensors", &two[..])];
    let tree = place.tree("t", &files);
    let store = place.store().await;
    let held = fetch(&store, &tree).await.unwrap();
    let before = store.models().await.unwrap()["o/t"].bytes;
    let merged = store.checkpoint(&held).await.unwrap().unwrap();
    gen_worker_store::check_safetensors(&merged).unwrap().unwrap();
    assert_eq!(store.checkpoint(&held).await.unwrap(), Some(merged.clone()));
    let bytes = fs::metadata(&merged).unwrap().len();
    assert_eq!(store.models().await.unwrap()["o/t"].bytes, before + bytes);
    // It is no damage of the tree.
    assert!(store.is_sound(&tree).await.unwrap());
    drop(fetch(&place.store().await, &tree).await.unwrap());
    assert!(merged.exists());
}

#[tokio::test]
async fn m3_8_without_a_hub_a_ref_is_what_it_was() {
    let place = Place::new().await;
    let store = place.store().await;
    let tree = place.one(b"content");
    let reference = |text: &str| gen_worker_hub::HubRef::parse_for_lookup(text).unwrap();
    let recall = async |store: &Store, text: &str| store.recall(text, &reference(text)).await.unwrap();
    assert!(recall(&store, "o/r").await.is_none());
    let held = fetch(&store, &tree).await.unwrap();
    store.remember(&reference("o/r#fp8"), &tree.snapshot).await.unwrap();
    let store = place.store().await;
    assert_eq!(recall(&store, "o/r#fp8").await.unwrap().dir(), held.dir());
    assert!(recall(&store, "o/r").await.is_none());
    assert!(store.models().await.unwrap().contains_key("o/r#fp8"), "noted: it leaves as others do");
    flip(&held.dir().join("file"));
    assert!(recall(&place.store().await, "o/r#fp8").await.is_none(), "what is damaged is not loaded");
    assert_eq!(place.server.seen().len(), 1);
}
