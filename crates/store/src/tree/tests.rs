use serde_json::{Value, json};

use super::*;

fn entry(path: &str, content: &str, size: u64) -> Value {
    json!({"path": path, "size_bytes": size, "blake3": Blake3Hash::of(content.as_bytes()).to_string(), "url": "http://h/x"})
}

fn resolved(entries: &[Value]) -> Option<Resolved> {
    Resolved::from_snapshot(&json!({"snapshot_digest": "abc", "files": entries})).ok()
}

#[test]
fn m6_12_contents_come_once_and_the_largest_first() {
    let entries = [entry("a", "one", 3), entry("b", "three", 5), entry("c/d", "one", 3)];
    let tree = Tree::of(&resolved(&entries).unwrap()).unwrap();
    let sizes: Vec<_> = tree.blobs().iter().map(|blob| blob.size_bytes).collect();
    assert_eq!((sizes, tree.files().len(), tree.size_bytes()), (vec![Some(5), Some(3)], 3, 8));
}

#[test]
fn m6_16_no_path_leaves_its_directory_or_takes_the_place_of_another() {
    for bad in ["../x", "a/../../x", "a\\..\\..\\x", "/../x", "/", "", "a//b", "./a", "a/", "a\u{0}b"] {
        assert!(resolved(&[entry(bad, "x", 1)]).is_none(), "{bad}");
    }
    for (text, path) in [("/etc/passwd", "etc/passwd"), ("unet\\x", "unet/x"), ("\\\\unet/x", "unet/x")] {
        assert_eq!(resolved(&[entry(text, "x", 1)]).unwrap().files[0].path.as_str(), path);
    }
    for (one, two) in [("A/x", "a/x"), ("x", "X"), ("x", "x"), ("a", "a/b")] {
        let mut tree = resolved(&[entry(one, "x", 1), entry("other", "x", 1)]).unwrap();
        tree.files[1].path = two.parse().unwrap();
        assert!(matches!(Tree::of(&tree), Err(TreeError::Paths(_))), "{one} {two}");
    }
}

#[test]
fn m6_14_sizes_that_lie_are_refused() {
    let of = |entries: &[Value]| Tree::of(&resolved(entries).unwrap()).map(|_| ());
    assert!(matches!(of(&[entry("a", "x", 1), entry("b", "x", 2)]), Err(TreeError::Sizes(_))));
    assert_eq!(of(&[entry("a", "x", u64::MAX), entry("b", "y", 1)]), Err(TreeError::TooLarge));
    let mut named = resolved(&[entry("a", "x", 1)]).unwrap();
    named.snapshot = "abc.building.1".parse().unwrap();
    assert!(matches!(Tree::of(&named), Err(TreeError::Name(_))));
}
