use super::*;

fn place(snapshots: &[&str]) -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path());
    fs::create_dir_all(layout.locks()).unwrap();
    for id in snapshots {
        fs::create_dir_all(layout.snapshots().join(id)).unwrap();
    }
    (dir, layout)
}

fn reference(text: &str) -> HubRef {
    HubRef::parse_for_lookup(text).unwrap()
}

fn recalled(layout: &Layout, text: &str) -> Option<String> {
    recall(layout, &reference(text)).unwrap().map(|id| id.to_string())
}

#[test]
fn m3_8_a_tag_and_flavor_is_the_snapshot_that_it_was_at_the_last_resolve() {
    let (dir, layout) = place(&["one", "two"]);
    let id = |name: &str| name.parse::<SnapshotId>().unwrap();
    assert_eq!(recalled(&layout, "o/r"), None);
    remember(&layout, &reference("o/r"), &id("one")).unwrap();
    remember(&layout, &reference("o/r:v@1#fp8".replace('@', "+").as_str()), &id("two")).unwrap();
    assert_eq!(recalled(&layout, "o/r:latest").as_deref(), Some("one"));
    assert_eq!(recalled(&layout, "o/r:v+1#fp8").as_deref(), Some("two"));
    assert!(dir.path().join("refs/o/r/v_1#fp8").is_file());
    remember(&layout, &reference("o/r"), &id("two")).unwrap();
    assert_eq!(recalled(&layout, "o/r").as_deref(), Some("two"));
    assert_eq!(fs::read_dir(dir.path().join("refs/o/r")).unwrap().count(), 2);
    fs::remove_dir(layout.snapshots().join("two")).unwrap();
    assert_eq!(recalled(&layout, "o/r"), None);
}

#[test]
fn m3_8_what_peers_wrote_is_read_and_what_nobody_can_read_is_nothing() {
    let (dir, layout) = place(&["abc"]);
    let path = dir.path().join("refs/o/r/latest");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for (text, found) in [("blake3:abc\n", true), ("abc", true), ("", false), ("../abc", false), ("\u{0}", false)] {
        fs::write(&path, text).unwrap();
        assert_eq!(recalled(&layout, "o/r").is_some(), found, "{text:?}");
    }
    fs::write(&path, [b'a'; 2000]).unwrap();
    assert_eq!(recalled(&layout, "o/r"), None);
}

#[test]
fn m3_8_the_start_of_a_digest_is_enough_when_only_one_snapshot_has_it() {
    let (whole, other) = ("0123".repeat(16), "01ff".repeat(16));
    let (_dir, layout) = place(&[&whole, &other, &format!("{whole}.building.1.2")]);
    assert_eq!(recalled(&layout, &format!("o/r@blake3:{whole}")).as_ref(), Some(&whole));
    assert_eq!(recalled(&layout, "o/r@blake3:01230123").as_ref(), Some(&whole));
    assert_eq!(recalled(&layout, "o/r@blake3:01"), None);
    assert_eq!(recalled(&layout, "o/r@blake3:77"), None);
}

#[test]
fn m3_8_no_ref_is_noted_outside() {
    let (dir, layout) = place(&["one"]);
    for tag in ["..", ".", "..\\..\\x"] {
        remember(&layout, &reference(&format!("o/r:{tag}")), &"one".parse().unwrap()).unwrap();
        assert_eq!(recalled(&layout, &format!("o/r:{tag}")).as_deref(), Some("one"), "{tag}");
    }
    assert_eq!(fs::read_dir(dir.path().join("refs/o/r")).unwrap().count(), 3);
}
