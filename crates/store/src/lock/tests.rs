use super::*;

#[test]
fn m6_20_a_lock_has_one_holder_or_several_that_share_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l");
    let take = |hold| StoreLock::try_take(&path, hold).unwrap();
    let alone = take(Hold::Alone);
    assert!(alone.is_some() && take(Hold::Alone).is_none() && take(Hold::Shared).is_none());
    drop(alone);
    let shared = (take(Hold::Shared), take(Hold::Shared));
    assert!(shared.0.is_some() && shared.1.is_some() && take(Hold::Alone).is_none());
    drop(shared);
    assert!(take(Hold::Alone).is_some());
}

#[tokio::test(start_paused = true)]
async fn m6_20_who_waits_gets_it_when_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l");
    let held = StoreLock::try_take(&path, Hold::Alone).unwrap().unwrap();
    let waiting = StoreLock::take(&path, Hold::Alone);
    tokio::pin!(waiting);
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    drop(held);
    waiting.await.unwrap();
}

#[test]
fn m6_20_a_lock_whose_file_was_removed_is_taken_at_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l");
    let first = StoreLock::try_take(&path, Hold::Alone).unwrap().unwrap();
    first.note(b"what is longer").unwrap();
    first.note(b"text").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"text");
    // As one that opened the file before it was removed would hold it: it has no name.
    let old = File::open(&path).unwrap();
    first.remove().unwrap();
    assert!(!is_named(&old, &path).unwrap());
    let second = StoreLock::try_take(&path, Hold::Alone).unwrap();
    assert!(second.is_some() && !is_named(&old, &path).unwrap());
}
