use gen_worker_hub::api::Resolved;
use serde_json::json;

use super::*;

fn tree(id: &str) -> Tree {
    let hash = Blake3Hash::of(b"content").to_string();
    let file =
        |path: &str| json!({"path": path, "size_bytes": 7, "blake3": hash, "url": "http://host/secret?signature=hush"});
    let resolved = Resolved::from_snapshot(&json!({"snapshot_digest": id, "files": [file("a/b"), file("c")]}));
    Tree::of(&resolved.unwrap()).unwrap()
}

/// A store with nothing in it but a place for locks.
fn place() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    fs::create_dir(layout.locks()).unwrap();
    (dir, layout)
}

#[test]
fn m6_23_what_a_tree_has_to_be_is_kept_without_its_addresses() {
    let (_dir, layout) = place();
    let tree = tree("t");
    assert!(of(&layout, tree.id()).unwrap().is_none());
    note(&layout, &tree).unwrap();
    note(&layout, &tree).unwrap();
    let text = fs::read_to_string(layout.manifest(tree.id())).unwrap();
    assert!(!text.contains("host") && !text.contains("hush"), "{text}");
    assert_eq!(of(&layout, tree.id()).unwrap().unwrap().files(), tree.files());
}

#[test]
fn m6_23_a_manifest_that_says_nothing_good_is_none() {
    let (_dir, layout) = place();
    let tree = tree("t");
    note(&layout, &tree).unwrap();
    let whole = fs::read(layout.manifest(tree.id())).unwrap();
    let outside = String::from_utf8(whole.clone()).unwrap().replace("a/b", "../b");
    let twice = String::from_utf8(whole.clone()).unwrap().replace("a/b", "c");
    for broken in [b"{".as_slice(), b"{\"files\":[]}", &whole[..whole.len() - 1], outside.as_bytes(), twice.as_bytes()]
    {
        fs::remove_file(layout.manifest(tree.id())).unwrap();
        fs::write(layout.manifest(tree.id()), broken).unwrap();
        assert!(of(&layout, tree.id()).unwrap().is_none(), "{}", String::from_utf8_lossy(broken));
    }
}

#[test]
fn manifests_of_trees_that_are_gone_go_too() {
    let (_dir, layout) = place();
    sweep(&layout).unwrap();
    let (stays, goes) = (tree("stays"), tree("goes"));
    note(&layout, &stays).unwrap();
    note(&layout, &goes).unwrap();
    fs::create_dir_all(layout.snapshot(stays.id())).unwrap();
    sweep(&layout).unwrap();
    assert!(layout.manifest(stays.id()).exists() && !layout.manifest(goes.id()).exists());
}

#[test]
fn many_note_the_same_tree_at_once() {
    let (_dir, layout) = place();
    let tree = tree("t");
    std::thread::scope(|scope| {
        let notes: Vec<_> = (0..16).map(|_| scope.spawn(|| note(&layout, &tree))).collect();
        notes.into_iter().for_each(|noted| noted.join().unwrap().unwrap());
    });
    assert_eq!(of(&layout, tree.id()).unwrap().unwrap().files(), tree.files());
}
