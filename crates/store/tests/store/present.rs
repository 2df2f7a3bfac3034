//! Models that are there already: sections 3 and 6d without a server.

use std::{fs, os::unix::fs::symlink, path::Path};

use gen_worker_hub::Blake3Hash;
use gen_worker_store::{Evictable, FetchError, FormatError, FormatGate, Unheard, Verified};

use crate::pool::{Place, bytes, fetch};

/// Bytes of a file of the store, changed without changing their number.
fn flip(path: &Path) {
    let mut content = fs::read(path).unwrap();
    content[0] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn m3_8_a_model_that_came_once_is_held_without_a_server() {
    let place = Place::new().await;
    let tree = place.tree("t", &[("config.json", b"{}"), ("unet/w", &bytes(100_000))]);
    fetch(&place.store().await, &tree).await.unwrap();
    let requests = place.server.seen().len();
    // Another process, so to say.
    let store = place.store().await;
    let held = store.find("o/t").await.unwrap().expect("it is there");
    assert_eq!(held.dir(), place.layout().snapshot(&tree.snapshot));
    assert!(store.find("o/other").await.unwrap().is_none());
    let named = store.find_snapshot("o/other@blake3:t", &tree.snapshot).await.unwrap();
    assert_eq!(named.expect("the tree is there").dir(), held.dir());
    assert!(store.is_present(&tree).await.unwrap());
    assert_eq!(place.server.seen().len(), requests, "nobody was asked");
}

#[tokio::test]
async fn m8_5_a_model_that_is_held_does_not_leave() {
    let place = Place::with_budget(10_000).await;
    let store = place.store().await;
    fetch(&store, &place.tree("t", &[("w", &bytes(6_000))])).await.unwrap();
    let held = store.find("o/t").await.unwrap();
    assert_eq!(store.evictable(9_000).await.unwrap(), Evictable::default());
    assert!(store.collect(9_000).await.unwrap().is_empty());
    drop(held);
    let leaving: Vec<_> =
        store.evictable(9_000).await.unwrap().models.into_iter().map(|(reference, _)| reference).collect();
    assert_eq!((leaving, place.events.take()), (vec!["o/t".to_owned()], vec!["+o/t".to_owned()]), "nothing left");
    assert_eq!(store.collect(9_000).await.unwrap(), ["o/t"]);
    assert!(store.find("o/t").await.unwrap().is_none());
    assert_eq!(fs::read_dir(place.layout().manifests()).unwrap().count(), 0);
}

#[tokio::test]
async fn m6_23_the_first_use_in_a_process_hashes_and_later_ones_do_not() {
    let place = Place::new().await;
    let tree = place.tree("t", &[("w", &bytes(100_000))]);
    let file = fetch(&place.store().await, &tree).await.unwrap().dir().join("w");
    let store = place.store().await;
    assert!(store.find("o/t").await.unwrap().is_some());
    flip(&file);
    assert!(store.find("o/t").await.unwrap().is_some(), "seen to be right before");
    place.events.take();
    let other = place.store().await;
    assert!(other.find("o/t").await.unwrap().is_none(), "a process that has not seen it hashes it");
    assert_eq!(place.events.take(), ["+o/t", "-o/t"]);
    assert!(!file.exists() && other.models().await.unwrap().is_empty());
}

#[tokio::test]
async fn m6_25_a_damaged_model_is_told_to_be_gone_and_comes_anew() {
    let place = Place::new().await;
    let store = place.store().await;
    let tree = place.tree("t", &[("a", b"one"), ("b", &bytes(10_000))]);
    let dir = fetch(&store, &tree).await.unwrap().dir().to_owned();
    assert_eq!(store.verify("o/t").await.unwrap(), Verified::Sound);
    flip(&dir.join("b"));
    fs::remove_file(dir.join("a")).unwrap();
    let wrong = ["a", "b"].map(|path| path.parse().unwrap());
    let Verified::Damaged(mut files) = store.verify("o/t").await.unwrap() else { panic!("it is damaged") };
    files.sort();
    assert_eq!(files, wrong);
    assert_eq!(place.events.take(), ["+o/t", "-o/t"]);
    assert_eq!(store.verify("o/t").await.unwrap(), Verified::Absent);
    let held = fetch(&store, &tree).await.unwrap();
    assert_eq!(fs::read(held.dir().join("b")).unwrap(), bytes(10_000));
    assert_eq!(store.verify("o/t").await.unwrap(), Verified::Sound);
}

#[tokio::test]
async fn m9_3_only_news_of_the_disk_are_told() {
    let place = Place::new().await;
    let store = place.store().await;
    let tree = place.tree("t", &[("w", b"weights")]);
    fetch(&store, &tree).await.unwrap();
    fetch(&store, &tree).await.unwrap();
    drop(store.find("o/t").await.unwrap());
    assert_eq!(place.events.take(), ["+o/t"], "the first time");
    let held = store.find_snapshot("o/other", &tree.snapshot).await.unwrap().unwrap();
    assert_eq!(
        (place.events.take(), store.models().await.unwrap()["o/other"].path.as_path()),
        (vec!["+o/other".into()], held.dir())
    );
}

#[tokio::test]
async fn m6_24_without_a_manifest_the_structure_is_what_is_checked() {
    let place = Place::new().await;
    let weights = [2u64.to_le_bytes().as_slice(), b"{}"].concat();
    let tree = place.tree("t", &[("model.safetensors", &weights)]);
    let file = fetch(&place.store().await, &tree).await.unwrap().dir().join("model.safetensors");
    fs::remove_dir_all(place.layout().manifests()).unwrap();
    let store = place.store().await;
    assert_eq!(store.verify("o/t").await.unwrap(), Verified::SoundStructure);
    fs::remove_file(&file).unwrap();
    fs::write(&file, [9u64.to_le_bytes().as_slice(), b"{}"].concat()).unwrap();
    assert_eq!(store.verify("o/t").await.unwrap(), Verified::Damaged(vec!["model.safetensors".parse().unwrap()]));
}

#[tokio::test]
async fn m6_15_a_tree_that_a_peer_put_together_of_links_is_found_and_checked() {
    let place = Place::new().await;
    let weights = [2u64.to_le_bytes().as_slice(), b"{}"].concat();
    let tree = place.tree("t", &[("unet/model.safetensors", &weights)]);
    let file = fetch(&place.store().await, &tree).await.unwrap().dir().join("unet/model.safetensors");
    fs::remove_dir_all(place.layout().manifests()).unwrap();
    let blob = place.layout().blob(Blake3Hash::of(&weights));
    fs::remove_file(&file).unwrap();
    symlink(&blob, &file).unwrap();
    let store = place.store().await;
    let held = store.find("o/t").await.unwrap().expect("it is there");
    store.check_safe(&held).await.unwrap();
    drop(held);
    assert_eq!(store.verify("o/t").await.unwrap(), Verified::SoundStructure);
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, [9u64.to_le_bytes().as_slice(), b"{}"].concat()).unwrap();
    let wrong = vec!["unet/model.safetensors".parse().unwrap()];
    assert_eq!(store.verify("o/t").await.unwrap(), Verified::Damaged(wrong));
}

#[tokio::test]
async fn m11_2_what_cannot_be_looked_into_is_not_safe_but_there() {
    let place = Place::new().await;
    let tree = place.tree("t", &[("config.json", b"{}")]);
    let dir = fetch(&place.store().await, &tree).await.unwrap().dir().to_owned();
    fs::remove_dir_all(place.layout().manifests()).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("model.bin"), b"pickle").unwrap();
    // Nobody can load this one.
    symlink(elsewhere.path().join("nothing"), dir.join("nothing")).unwrap();
    let store = place.store().await;
    let held = store.find("o/t").await.unwrap().expect("it is there");
    store.check_safe(&held).await.unwrap();
    // A directory that is a link, and a file whose name no tree can have.
    symlink(elsewhere.path(), dir.join("unet")).unwrap();
    for name in ["unet", "a\\b.bin"] {
        if name != "unet" {
            fs::write(dir.join(name), b"pickle").unwrap();
        }
        let error = store.check_safe(&held).await.unwrap_err();
        let named = matches!(&error, FetchError::Format(FormatError::Unseen { path }) if path == Path::new(name));
        assert!(named, "{error:?}");
        assert!(place.store().await.find("o/t").await.unwrap().is_some());
        fs::remove_file(dir.join(name)).unwrap();
    }
    store.check_safe(&held).await.unwrap();
}

#[tokio::test]
async fn a_tree_that_changed_under_its_name_is_noted_anew() {
    let place = Place::new().await;
    fetch(&place.store().await, &place.tree("t", &[("w", b"first")])).await.unwrap();
    fetch(&place.store().await, &place.tree("t", &[("w", b"other")])).await.unwrap();
    assert_eq!(place.store().await.verify("o/t").await.unwrap(), Verified::Sound);
}

#[tokio::test]
async fn what_a_store_takes_counts_each_content_once() {
    let place = Place::new().await;
    let store = place.store().await;
    let tree = place.tree("t", &[("a", &bytes(10_000)), ("b", &bytes(10_000))]);
    store.fetch("o/t", &tree, FormatGate::Any, &Unheard).await.unwrap();
    fs::write(place.layout().part(tree.files[0].blake3), bytes(500)).unwrap();
    let usage = store.usage().await.unwrap();
    assert_eq!(usage.unfinished_bytes, 500);
    assert!((10_500..20_000).contains(&usage.total_bytes), "{usage:?}");
    assert_eq!(usage.root, place.dir.path());
}
