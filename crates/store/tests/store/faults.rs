//! Disks that are really full or read-only: in a world of their own, where this test may mount.

use std::fs;

use crate::{
    child::{BALLAST, Child, ORDER, order},
    pool::{Place, bytes},
};

/// Puts a small disk in the place of the working directory, with the order and a file that takes most of it.
fn small_disk(order: &str, ballast: usize) -> String {
    format!(
        r#"at="$PWD"; mount -t tmpfs -o size=4m tmpfs "$at"; cd "$at"
        cat > {ORDER} <<'ORDER'
{order}
ORDER
        head -c {ballast} /dev/zero > {BALLAST}; exec "$@""#
    )
}

#[tokio::test]
async fn m6_4_a_disk_that_fills_up_is_insufficient_and_no_other_failure() {
    let place = Place::new().await;
    let tree = place.one(&bytes(2 << 20));
    order(place.dir.path(), &[&tree]);
    let script = small_disk(&fs::read_to_string(place.dir.path().join(ORDER)).unwrap(), 3 << 20);
    assert_eq!(Child::start_by(&script, &place).ended().await, ["insufficient_disk", "ok"]);
    // Not tried again by itself; what came is gone on with when there is space.
    let ranges = place.server.ranges();
    assert_eq!(ranges.len(), 2);
    assert!(ranges[1].starts_with("bytes="), "{ranges:?}");
}

#[tokio::test]
async fn m6_15_a_disk_that_fills_up_in_the_build_keeps_nothing_of_it() {
    let place = Place::new().await;
    let halves = [bytes(800 << 10), vec![7; 800 << 10]];
    let parts = halves.each_ref().map(|half| serde_json::json!({"digest": gen_worker_hub::Blake3Hash::of(half)}));
    let said = serde_json::json!({"original_path": "m", "parts": parts}).to_string().into_bytes();
    let tree = place.tree("t", &[("m.parts.json", &said), ("m.part1", &halves[0]), ("m.part2", &halves[1])]);
    order(place.dir.path(), &[&tree]);
    let script = small_disk(&fs::read_to_string(place.dir.path().join(ORDER)).unwrap(), 1 << 20);
    assert_eq!(Child::start_by(&script, &place).ended().await, ["insufficient_disk", "ok"]);
    assert_eq!(place.server.seen().len(), 3);
}

#[tokio::test]
async fn m6_8_a_disk_that_cannot_be_written_is_an_error_and_nothing_hangs() {
    let place = Place::new().await;
    order(place.dir.path(), &[&place.one(b"content")]);
    drop(place.store().await);
    let script = r#"at="$PWD"; mount --bind "$at" "$at"; mount -o remount,bind,ro "$at"; cd "$at"; exec "$@""#;
    assert_eq!(Child::start_by(script, &place).ended().await, ["download_failed"]);
    assert!(place.server.seen().is_empty());
}
