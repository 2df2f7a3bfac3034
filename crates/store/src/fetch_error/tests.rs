use super::*;

#[test]
fn m3_7_the_words_for_failures_are_a_closed_list() {
    let blob = Blake3Hash::of(b"x");
    let path = PathBuf::from("/r");
    let io = || Arc::new(io::Error::from(io::ErrorKind::PermissionDenied));
    for (error, word, passing) in [
        (FetchError::UrlExpired { blob, status: 403 }, "url_expired", false),
        (
            FetchError::InsufficientDisk { path: path.clone(), required_bytes: 2, available_bytes: 1 },
            "insufficient_disk",
            false,
        ),
        (FetchError::DigestMismatch { blob }, "digest_mismatch", true),
        (FetchError::Transfer { blob, source: io() }, "download_failed", true),
        (FetchError::Disk { operation: "write", path, source: io() }, "download_failed", true),
        (FetchError::Closed, "download_failed", false),
    ] {
        assert_eq!((error.failure().as_str(), error.is_passing()), (word, passing), "{error}");
    }
}

#[test]
fn m6_4_a_full_disk_is_told_from_a_broken_one() {
    for (kind, full) in [
        (io::ErrorKind::StorageFull, true),
        (io::ErrorKind::QuotaExceeded, true),
        (io::ErrorKind::ReadOnlyFilesystem, false),
        (io::ErrorKind::PermissionDenied, false),
    ] {
        assert_eq!(FetchError::says_full(&kind.into()), full);
    }
}
