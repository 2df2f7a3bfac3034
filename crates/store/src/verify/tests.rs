use std::{fs, sync::Arc};

use gen_worker_hub::api::Resolved;
use gen_worker_tasks::Scope;
use serde_json::json;

use super::*;

/// Bytes that do not repeat soon.
fn content(len: usize) -> Vec<u8> {
    (0u64..).flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).take(len).collect()
}

fn place(files: &[(&str, &[u8], bool)]) -> (tempfile::TempDir, Arc<Tree>) {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> = files
        .iter()
        .map(|(path, bytes, sized)| {
            fs::write(dir.path().join(path), bytes).unwrap();
            let size = if *sized { bytes.len() } else { 0 };
            json!({"path": path, "size_bytes": size, "blake3": Blake3Hash::of(bytes), "url": "http://h/x"})
        })
        .collect();
    let resolved = Resolved::from_snapshot(&json!({"snapshot_digest": "t", "files": entries})).unwrap();
    (dir, Arc::new(Tree::of(&resolved).unwrap()))
}

async fn wrong(dir: &Path, tree: &Arc<Tree>) -> Vec<String> {
    let disk = DiskPool::new(Arc::new(Scope::new("test")));
    verify(&disk, dir, tree).await.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn m6_23_large_files_are_hashed_in_parts_and_a_bit_in_any_part_is_seen() {
    let large = content(usize::try_from(PART_BYTES).unwrap() * 2 + 12_345);
    let (dir, tree) = place(&[("large", &large, true), ("small", b"small", true), ("unsized", b"unsized", false)]);
    assert!(wrong(dir.path(), &tree).await.is_empty());
    for at in [0, large.len() / 2, large.len() - 1] {
        let mut flipped = large.clone();
        flipped[at] ^= 1;
        fs::write(dir.path().join("large"), flipped).unwrap();
        assert_eq!(wrong(dir.path(), &tree).await, ["large"]);
    }
}

#[tokio::test]
async fn m6_23_files_that_are_absent_cut_longer_or_links_are_wrong() {
    let (dir, tree) = place(&[("a", b"one", true), ("b", b"two", true), ("c", b"three", false), ("d", b"four", true)]);
    fs::remove_file(dir.path().join("a")).unwrap();
    fs::write(dir.path().join("b"), b"two!").unwrap();
    fs::write(dir.path().join("c"), b"thre").unwrap();
    fs::rename(dir.path().join("d"), dir.path().join("e")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("e"), dir.path().join("d")).unwrap();
    assert_eq!(wrong(dir.path(), &tree).await, ["a", "b", "c", "d"]);
}
