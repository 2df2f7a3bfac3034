use proptest::prelude::*;

use super::*;

fn file(path: &str, content: &[u8]) -> SnapshotFile {
    SnapshotFile { path: path.parse().unwrap(), size_bytes: content.len() as u64, blake3: Blake3Hash::of(content) }
}

#[test]
fn h12_6_vectors_of_trees() {
    let config = file("config.json", b"{}");
    let one = Snapshot::new(vec![config.clone()]).unwrap();
    assert_eq!(one.digest().hex(), "329d77ed06efccb9872ea7ae00d58956fe4efb95adc782c9021705cae36488f1");
    let two = Snapshot::new(vec![file("unet/model.safetensors", b"weights-bytes"), config]).unwrap();
    assert_eq!(two.digest().hex(), "f2fa47032890b6d843bbc766c06168797a6c6a846f192143fd52f698a810ef77");
    assert_eq!(two.sha256_alias().hex(), "603834f571421222d7a8d38a37c7f0f2a22a2094d661c1a5d08783a9161043fe");
    assert_eq!(two.size_bytes(), 15);
}

#[test]
fn h12_4_lines_are_sorted_bytewise() {
    let snapshot = Snapshot::new(vec![file("a/b", b"1"), file("a-b", b"22"), file("B", b"")]).unwrap();
    let lines = snapshot.lines();
    let paths: Vec<_> = lines.lines().map(|line| line.split('\t').collect::<Vec<_>>()).collect();
    assert_eq!(
        paths.iter().map(|line| (line[0], line[1])).collect::<Vec<_>>(),
        [("B", "0"), ("a-b", "2"), ("a/b", "1")]
    );
    assert!(lines.ends_with('\n'));
}

#[test]
fn h12_3_of_the_two_historic_forms_ours_is_the_one_of_lines() {
    let tree = Snapshot::new(vec![file("unet/model", b"weights-bytes"), file("a.json", b"{}")]).unwrap();
    let lines = concat!(
        "a.json\t2\t6e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279\n",
        "unet/model\t13\tb1b0b5d4ca3580ff05e68cb6e5f1a1cc76b90b3deba22b82f597471a77cdb6b7\n",
    );
    assert_eq!(tree.digest(), Digest::from(Blake3Hash::of(lines.as_bytes())));
    // The form asks for paths with `/` in between and none in front: there are no others.
    for path in ["/a.json", "unet\\model"] {
        assert!(path.parse::<RepoPath>().is_err(), "{path}");
    }
    // The other form has its alias only as a name, never as the digest.
    assert_ne!(tree.sha256_alias(), tree.digest());
}

#[test]
fn h6_18_what_is_no_tree_is_refused() {
    assert_eq!(Snapshot::new(vec![]), Err(SnapshotError::Empty));
    assert!(matches!(Snapshot::new(vec![file("a", b""), file("A", b"")]), Err(SnapshotError::Paths(_))));
    let huge = |path| SnapshotFile { size_bytes: u64::MAX, ..file(path, b"") };
    assert_eq!(Snapshot::new(vec![huge("a"), huge("b")]), Err(SnapshotError::Size));
    let many = (0..=SNAPSHOT_FILES_MAX).map(|n| file(&n.to_string(), b"")).collect();
    assert_eq!(Snapshot::new(many), Err(SnapshotError::TooMany));
}

proptest! {
    #[test]
    fn the_order_of_files_does_not_matter(names in proptest::collection::btree_set("[a-z]{1,6}", 1..20)) {
        let mut files: Vec<_> = names.iter().map(|name| file(name, name.as_bytes())).collect();
        let forward = Snapshot::new(files.clone()).unwrap();
        files.reverse();
        let backward = Snapshot::new(files).unwrap();
        prop_assert_eq!(forward.digest(), backward.digest());
        prop_assert_eq!(forward.sha256_alias(), backward.sha256_alias());
    }
}
