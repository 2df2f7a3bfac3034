//! What is measured is what is read.

use std::fs;

use super::*;

fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a");
    fs::write(&path, bytes).expect("a file");
    (directory, path)
}

#[test]
fn a_file_and_its_bytes_measure_the_same() {
    let bytes = vec![7; 3_000_000];
    let (_directory, path) = file(&bytes);
    let of_file = Measured::of(UploadContent::File(path), u64::MAX).expect("a file");
    let of_bytes = Measured::of(UploadContent::Bytes(bytes.into()), u64::MAX).expect("bytes");
    assert_eq!((of_file.size_bytes, of_file.blake3), (of_bytes.size_bytes, of_bytes.blake3));
    assert_eq!(of_file.sha256().expect("a hash"), of_bytes.sha256().expect("a hash"));
}

#[test]
fn another_file_in_its_place_is_a_change() {
    let (directory, path) = file(b"one");
    let measured = Measured::of(UploadContent::File(path.clone()), u64::MAX).expect("a file");
    let other = directory.path().join("other");
    fs::write(&other, b"two").expect("a file");
    fs::rename(&other, &path).expect("a rename");
    assert!(matches!(measured.source.unchanged(), Err(UploadError::Changed { .. })));
    assert!(matches!(measured.sha256(), Err(UploadError::Changed { .. })));
}

#[test]
fn what_is_no_file_is_not_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    let pipe = directory.path().join("pipe");
    let made = rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0);
    made.expect("a pipe");
    for path in [pipe, directory.path().to_owned()] {
        let error = Measured::of(UploadContent::File(path), u64::MAX).expect_err("no file");
        assert!(matches!(error, UploadError::Disk { .. }), "{error:?}");
    }
}
