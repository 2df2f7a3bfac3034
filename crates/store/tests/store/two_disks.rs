//! Blobs on one disk and trees on another: files are copies there, not second names (rule 6.19).

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use gen_worker_hub::{Blake3Hash, api::Resolved};
use gen_worker_store::{DiskSpace, Layout, Store, StoreOptions};
use gen_worker_tasks::Cancel;

use crate::{
    child::{Child, ended, ordered},
    pool::{Place, bytes, fetch, files},
};

/// What the child of this file is told to do.
const ORDER: &str = "two-disks.json";

/// Bytes that fit on both disks together, as far as the child knows.
const SPACE_BYTES: u64 = 10_000_000;

/// A disk that is both, of which blobs and trees take theirs.
struct Both;

impl DiskSpace for Both {
    fn available_bytes(&self, root: &Path) -> std::io::Result<u64> {
        let layout = Layout::new(root);
        let taken =
            [layout.blobs(), layout.snapshots()].map(|dir| files(&dir).into_values().map(|file| file.len()).sum());
        Ok(SPACE_BYTES - taken.iter().sum::<usize>() as u64)
    }
}

/// Not a test by itself: the other one runs it where the two disks are.
#[tokio::test]
async fn a_child_has_models_on_two_disks() {
    let Some(trees) = ordered(ORDER) else { return };
    let tree = trees.first().unwrap();
    let options = StoreOptions {
        space: std::sync::Arc::new(Both),
        headroom_bytes: 0,
        reserve_bytes: 0,
        ..StoreOptions::new(".")
    };
    let store = Store::open(options, &Cancel::new()).await.unwrap();
    let layout = Layout::new(".");
    drop(fetch(&store, tree).await.unwrap());
    let disk = |path: &Path| fs::metadata(path).unwrap().dev();
    assert_ne!(disk(&layout.blobs()), disk(&layout.snapshots()), "the disks of this test are two");
    assert_whole(&layout, tree);

    // What is damaged is found, and comes from the blobs, which nobody asks a server for.
    assert!(store.is_sound(tree).await.unwrap());
    flip(&layout.snapshot(&tree.snapshot).join("a/b/c"));
    assert!(!store.is_sound(tree).await.unwrap());
    drop(fetch(&store, tree).await.unwrap());
    assert_whole(&layout, tree);

    // Blobs have no second name here, so they leave with the next sweep: no tree needs them.
    assert!(store.collect(0).await.unwrap().is_empty());
    assert!(files(&layout.blobs()).is_empty());
    assert!(store.is_sound(tree).await.unwrap());
    assert_whole(&layout, tree);

    // All of a model leaves, and comes again.
    assert_eq!(store.collect(SPACE_BYTES).await.unwrap(), [format!("o/{}", tree.snapshot)]);
    assert_eq!(fs::read_dir(layout.snapshots()).unwrap().count(), 0);
    assert!(store.models().await.unwrap().is_empty());
    ended(&fetch(&store, tree).await.map(drop));
    assert_whole(&layout, tree);
}

/// All files are there, with their bytes, and nobody may write to them.
fn assert_whole(layout: &Layout, tree: &Resolved) {
    let dir = layout.snapshot(&tree.snapshot);
    assert_eq!(fs::read_dir(layout.snapshots()).unwrap().count(), 1, "nothing unfinished is beside it");
    assert_eq!(files(&dir).len(), tree.files.len());
    for file in &tree.files {
        let path = dir.join(file.path.as_str());
        assert_eq!(Blake3Hash::of(&fs::read(&path).unwrap()), file.blake3);
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert!(metadata.is_file() && metadata.nlink() == 1 && metadata.mode() & 0o222 == 0, "{metadata:?}");
    }
}

/// Writes another byte, as a disk does that forgets.
fn flip(path: &Path) {
    let mut content = fs::read(path).unwrap();
    content[0] ^= 1;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
}

#[tokio::test]
async fn m6_19_trees_on_another_disk_than_their_blobs_are_copies_that_are_checked_and_leave() {
    let place = Place::new().await;
    let tree = place.tree("t", &[("a/b/c", &bytes(100_000)), ("a/d", b"small"), ("e", b"")]);
    fs::write(place.dir.path().join(ORDER), serde_json::to_vec(&[&tree]).unwrap()).unwrap();
    let script = r#"mkdir snapshots; mount -t tmpfs tmpfs snapshots; exec "$@""#;
    let child = Child::start_test_by(script, "two_disks::a_child_has_models_on_two_disks", &place);
    assert_eq!(child.ended().await, ["ok"]);
    // Each file came when there was nothing, and once more when it had left.
    assert_eq!(place.server.seen().len(), 2 * tree.files.len());
}
