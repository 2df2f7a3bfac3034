use std::time::Duration;

use gen_worker_tasks::JoinOutcome;

use super::*;

/// Longer than any disk takes for twenty bytes.
const LONG: Duration = Duration::from_secs(60);

/// What a process was promised, the directory that says so, and the owner of its jobs.
fn claims() -> (tempfile::TempDir, Claims, Arc<Scope>) {
    let dir = tempfile::tempdir().unwrap();
    let (layout, scope) = (Layout::new(dir.path()), Arc::new(Scope::new("store")));
    fs::create_dir_all(layout.locks()).unwrap();
    (dir, Claims::new(layout, Arc::clone(&scope)), scope)
}

/// What others read.
fn said(claims: &Claims) -> u64 {
    let path = claims.0.file.lock().as_ref().unwrap().path().to_owned();
    fs::read_to_string(path).unwrap().parse().unwrap()
}

#[tokio::test]
async fn m6_14_a_disk_that_does_not_answer_keeps_no_transfer_from_going_on() {
    let (_dir, claims, scope) = claims();
    let claim = claims.claim(4 * UNTOLD_BYTES_MAX).unwrap();
    assert_eq!(said(&claims), 4 * UNTOLD_BYTES_MAX);
    {
        // As who writes the file has it until the disk answers.
        let _writing = claims.0.file.lock();
        for left in [3, 2, 1] {
            claim.is_left(left * UNTOLD_BYTES_MAX);
        }
        drop(claim);
        assert_eq!(scope.len(), 1, "however often the sum changes");
        assert!(!claims.are_told());
    }
    assert_eq!(scope.join(LONG).await, JoinOutcome::Completed);
    assert_eq!(said(&claims), 0, "the last sum is what others hear");
    assert!(claims.are_told());
}

#[tokio::test]
async fn m6_14_others_hear_of_little_that_is_filled_later() {
    let (_dir, claims, scope) = claims();
    let claim = claims.claim(2 * UNTOLD_BYTES_MAX).unwrap();
    claim.is_left(UNTOLD_BYTES_MAX + 1);
    assert!(scope.is_empty() && claims.are_told());
    // One that starts again wants more than was told: that is told soon.
    claim.is_left(3 * UNTOLD_BYTES_MAX);
    assert_eq!(scope.join(LONG).await, JoinOutcome::Completed);
    assert_eq!(said(&claims), 3 * UNTOLD_BYTES_MAX);
}

#[test]
fn m6_14_without_a_runtime_a_promise_that_ends_is_told_by_who_ends_it() {
    let (_dir, claims, scope) = claims();
    drop(claims.claim(5).unwrap());
    assert_eq!((said(&claims), scope.len()), (0, 0));
}
