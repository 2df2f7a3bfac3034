use std::os::unix::fs::symlink;

use super::*;

#[test]
fn m8_1_a_replaced_file_is_old_or_new_and_leaves_nothing_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    for (sync, bytes) in [(true, &b"one"[..]), (false, b"two!")] {
        replace(&path, bytes, sync).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(read_bounded(&path, 3).is_err());
    assert_eq!(read_bounded(&path, 4).unwrap().unwrap(), b"two!");
}

#[test]
fn m6_19_links_and_devices_are_not_files() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    fs::write(&target, b"x").unwrap();
    symlink(&target, &link).unwrap();
    assert!(reader(&link).is_err() && writer(&link).is_err());
    assert!(reader(dir.path()).is_err());
    assert!(reader(&dir.path().join("absent")).unwrap().is_none());
}

#[test]
fn m6_19_no_directory_of_the_store_may_be_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), dir.path().join("aa")).unwrap();
    assert!(make_dirs(dir.path(), &dir.path().join("aa/bb")).is_err());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    make_dirs(dir.path(), &dir.path().join("cc/dd")).unwrap();
    assert!(dir.path().join("cc/dd").is_dir());
    assert!(make_dirs(dir.path(), elsewhere.path()).is_err());
}

#[test]
fn m8_1_a_file_with_two_names_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), [0; 100]).unwrap();
    link(&dir.path().join("a"), &dir.path().join("b")).unwrap();
    fs::create_dir(dir.path().join("c")).unwrap();
    fs::write(dir.path().join("c/d"), [0; 11]).unwrap();
    assert_eq!(bytes_below(dir.path()).unwrap(), 111);
}
