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

#[test]
fn m6_23_what_a_tree_has_to_be_is_kept_without_its_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
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
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
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
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    sweep(&layout).unwrap();
    let (stays, goes) = (tree("stays"), tree("goes"));
    note(&layout, &stays).unwrap();
    note(&layout, &goes).unwrap();
    fs::create_dir_all(layout.snapshot(stays.id())).unwrap();
    sweep(&layout).unwrap();
    assert!(layout.manifest(stays.id()).exists() && !layout.manifest(goes.id()).exists());
}
