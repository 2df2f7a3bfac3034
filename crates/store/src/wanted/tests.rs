use super::*;

fn hashed(expected: Expected, bytes: &[u8]) -> bool {
    let mut hasher = expected.hasher();
    bytes.chunks(2).for_each(|piece| hasher.update(piece));
    expected.is(hasher)
}

#[test]
fn m4_15_a_small_file_is_known_by_the_name_git_gives_it() {
    // `printf hello | git hash-object --stdin`
    let id: GitBlobId = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0".parse().unwrap();
    assert_eq!(id.to_string(), "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
    let expected = Expected::GitBlob { id, size_bytes: 5 };
    assert!(hashed(expected, b"hello") && !hashed(expected, b"hellp"));
    for wrong in ["", "b6fc", "zzfc4c620b67d95f953a5c1c1230aaab5db5a1b0", &"0".repeat(64)] {
        assert!(wrong.parse::<GitBlobId>().is_err(), "{wrong}");
    }
}

#[test]
fn m5_4_a_rounded_size_is_right_within_1024_bytes() {
    for (size, right, wrong) in [
        (Size::About(5000), vec![5000, 5000 - 1024, 5000 + 1024], vec![5000 - 1025, 5000 + 1025]),
        (Size::Exactly(5000), vec![5000], vec![4999, 5001]),
        (Size::Unknown, vec![0, u64::MAX], vec![]),
    ] {
        assert!(right.into_iter().all(|bytes| size.fits(bytes)), "{size:?}");
        assert!(!wrong.into_iter().any(|bytes| size.fits(bytes)), "{size:?}");
    }
    assert_eq!(Size::About(5000).at_most(), Some(6024));
}

#[test]
fn m5_4_bytes_are_checked_by_sha256_when_it_is_said() {
    let expected = Expected::Digest(Digest::sha256(b"hello"));
    assert!(hashed(expected, b"hello") && !hashed(expected, b"hell"));
    assert!(hashed(Expected::Unsaid, b"anything"));
}
