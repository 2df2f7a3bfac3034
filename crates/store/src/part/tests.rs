use std::{fs, os::unix::fs::symlink};

use gen_worker_hub::Blake3Hash;

use super::*;
use crate::lock::Hold;

const BYTES: &[u8] = b"0123456789";

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn part(&self) -> PathBuf {
        self.dir.path().join("x.part")
    }

    fn last(&self) -> PathBuf {
        self.dir.path().join("x")
    }

    fn open(&self, size: Size) -> Part {
        let lock = StoreLock::try_take(&self.dir.path().join("lock"), Hold::Alone).unwrap().unwrap();
        Part::open(&self.part(), Blake3Hash::of(BYTES).into(), size, Arc::new(lock)).unwrap()
    }
}

#[test]
fn m6_2_a_part_goes_on_where_it_ended() {
    let place = Place::new();
    place.open(Size::Exactly(10)).append(b"0123").unwrap();
    let mut part = place.open(Size::Exactly(10));
    assert_eq!(part.len(), 4);
    part.append(b"456789").unwrap();
    assert!(part.finish(&place.last()).unwrap());
    assert_eq!(fs::read(place.last()).unwrap(), BYTES);
    assert!(!place.part().exists());
}

#[test]
fn m6_2_what_is_too_long_or_of_unknown_length_starts_again() {
    for size in [Size::Exactly(3), Size::Unknown] {
        let place = Place::new();
        fs::write(place.part(), BYTES).unwrap();
        assert_eq!(place.open(size).len(), 0);
        assert_eq!(fs::metadata(place.part()).unwrap().len(), 0);
    }
}

#[test]
fn m6_6_a_wrong_file_never_gets_to_its_final_place() {
    let place = Place::new();
    fs::write(place.part(), b"012345678X").unwrap();
    assert!(!place.open(Size::Exactly(10)).finish(&place.last()).unwrap());
    assert!(!place.part().exists() && !place.last().exists());
}

#[test]
fn m6_19_a_part_that_is_a_link_is_replaced_and_its_target_left_alone() {
    let place = Place::new();
    let target = place.dir.path().join("target");
    fs::write(&target, b"01").unwrap();
    symlink(&target, place.part()).unwrap();
    let mut part = place.open(Size::Exactly(10));
    assert_eq!(part.len(), 0);
    part.append(b"zz").unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"01");
}

/// A device that takes everything and cannot be synced.
fn refusing() -> File {
    fs::OpenOptions::new().write(true).open("/dev/null").unwrap()
}

#[test]
fn what_the_disk_refuses_in_the_end_is_not_taken_up_again() {
    let place = Place::new();
    let mut part = place.open(Size::Exactly(10));
    part.append(BYTES).unwrap();
    part.file = refusing();
    assert_eq!(part.finish(&place.last()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(!place.part().exists() && !place.last().exists());
}

#[test]
fn an_early_sync_tells_once_that_the_disk_refuses() {
    let place = Place::new();
    let mut part = place.open(Size::Exactly(10));
    std::thread::scope(|threads| {
        let mut early = EarlySync::new(threads, &part);
        early.appended(&part).unwrap();
        part.file = refusing();
        part.len = 1 << 40;
        early.appended(&part).unwrap();
        let told = part.synced(early.end());
        assert_eq!(told.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    });
    assert!(!place.part().exists());
    part.synced(Ok(())).unwrap();
}
