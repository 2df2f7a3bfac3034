use super::*;

#[test]
fn m6_0_blobs_and_trees_are_where_the_contract_says() {
    let layout = Layout::new("/r");
    let hash = Blake3Hash::of(b"{}");
    let hex = "6e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279";
    assert_eq!(layout.blob(hash), Path::new("/r/blobs/blake3/6e/46").join(hex));
    assert_eq!(layout.part(hash), Path::new("/r/blobs/blake3/6e/46").join(format!("{hex}.part")));
    assert_eq!(layout.snapshot(&"abc".parse().unwrap()), Path::new("/r/snapshots/abc"));
}

#[test]
fn m6_20_an_unfinished_tree_says_whose_it_is() {
    let layout = Layout::new("/r");
    let id: SnapshotId = "abc.d".parse().unwrap();
    let name = layout.building(&id, "7.1").file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(Layout::unfinished(&name), Some(id.clone()));
    assert_eq!(Layout::unfinished("abc.d"), None);
    assert!(Layout::may_name(&id) && !Layout::may_name(&name.parse().unwrap()));
}

#[test]
fn m8_6_the_unit_of_deletion_is_a_snapshot_a_repository_or_the_path() {
    let layout = Layout::new("/r");
    let unit = |path: &str| layout.eviction_unit(Path::new(path)).map(|unit| unit.to_str().unwrap().to_owned());
    assert_eq!(unit("/r/snapshots/abc/unet/x").as_deref(), Some("/r/snapshots/abc"));
    assert_eq!(unit("/r/hf/models--o--r/snapshots/1").as_deref(), Some("/r/hf/models--o--r"));
    assert_eq!(unit("/r/civitai/123").as_deref(), Some("/r/civitai/123"));
    for foreign in [
        "/",
        "/r",
        "/r/blobs/blake3",
        "/r/locks/x",
        "/r/civitai",
        "/etc/passwd",
        "/r/civitai/../../etc",
        "/r/snapshots",
    ] {
        assert_eq!(unit(foreign), None, "{foreign}");
    }
}
