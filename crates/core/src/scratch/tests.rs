//! What is made is removed, by whoever is still there.

use std::{fs, path::Path};

use super::*;

fn root(dir: &Path) -> ScratchRoot {
    ScratchRoot::open(&dir.join("jobs"), Arc::new(Scope::new("scratch"))).expect("a root")
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir.join("jobs")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn a_directory_is_there_when_it_is_needed_and_gone_when_the_job_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = root(dir.path());
    let (scratch, other) = (root.scratch(), root.scratch());
    assert!(!scratch.shared().expect("a place").path().exists(), "not before it is needed");
    let inside = scratch.directory("a").await.expect("a directory");
    fs::write(inside.join("file"), "words").expect("a file");
    let kept = other.directory("a").await.expect("a directory of its own");
    scratch.remove();
    while scratch.shared().is_ok_and(|shared| shared.path().exists()) {
        tokio::task::yield_now().await;
    }
    assert!(scratch.directory("a").await.is_err(), "the job is over");
    assert!(kept.exists(), "the other one is not");
    drop((scratch, other));
    assert!(!kept.exists(), "nobody has it any more");
    drop(root);
    assert_eq!(count(dir.path()), 0);
}

#[tokio::test]
async fn a_job_that_outlives_its_worker_keeps_its_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let scratch = root(dir.path()).scratch();
    let inside = scratch.directory("a").await.expect("a directory");
    assert!(inside.exists());
    drop(scratch);
    assert_eq!(count(dir.path()), 0);
}

#[test]
fn what_a_killed_process_left_is_removed_and_what_lives_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let alive = root(dir.path());
    let inside = alive.scratch();
    let inside = (inside.directory_blocking("a").expect("a directory"), inside);
    let left = dir.path().join("jobs/1-00000000");
    fs::create_dir_all(left.join("7/inputs")).expect("a directory");
    fs::write(left.with_extension("lock"), "").expect("a lock that nobody holds");
    let foreign = dir.path().join("jobs/notes");
    fs::create_dir(&foreign).expect("a directory");
    let second = root(dir.path());
    assert!(!left.exists() && !left.with_extension("lock").exists());
    assert!(inside.0.exists() && foreign.exists());
    drop((second, inside, alive));
    assert_eq!(count(dir.path()), 1, "what is not ours");
}

#[tokio::test]
async fn what_another_process_made_is_removed_by_whoever_lent_the_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = root(dir.path());
    let scratch = root.scratch();
    let place = scratch.lend().expect("a place").to_owned();
    let there = Scratch::lent(place.clone(), Arc::new(Scope::new("child")));
    there.directory("a").await.expect("a directory");
    drop(there);
    assert!(place.exists(), "its end is not the borrower's");
    drop(scratch);
    assert!(!place.exists());
}

#[tokio::test]
async fn nowhere_is_told() {
    let error = Scratch::nowhere().directory("a").await.expect_err("no place");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
