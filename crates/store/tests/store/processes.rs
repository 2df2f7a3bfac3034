//! Several processes on one directory, and some that are killed (rules 6.20 to 6.22).

use std::{fs, sync::Arc};

use gen_worker_hub::Blake3Hash;
use gen_worker_store::FetchError;
use tokio::sync::Notify;

use crate::{
    child::{BUDGET, Child, order},
    pool::{Place, bytes, fetch, files},
    server::Answer,
};

/// The most that a killed download may fetch again (rule 6.6: a chunk).
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

#[tokio::test]
async fn m6_20_a_killed_download_fetches_at_most_a_chunk_again() {
    const STEP: u64 = 6 * 1024 * 1024;
    let place = Place::new().await;
    let content = bytes(4 * usize::try_from(STEP).unwrap());
    let tree = place.one(&content);
    order(place.dir.path(), &[&tree]);
    place.server.script(&Blake3Hash::of(&content).to_string(), vec![Answer::Stall(usize::try_from(STEP).unwrap()); 3]);
    let mut had = 0;
    for _ in 0..3 {
        let mut worker = Child::start(&place);
        had = worker.reached(had + STEP - CHUNK_BYTES).await;
        worker.killed().await;
        assert!(fs::read_dir(place.layout().snapshots()).unwrap().next().is_none());
        place.assert_sound();
        let part = fs::metadata(place.layout().part(Blake3Hash::of(&content))).unwrap().len();
        assert!(part + CHUNK_BYTES > had, "{part} of {had} bytes are left");
        had = part;
    }
    assert_eq!(Child::start(&place).ended().await, ["ok"]);
    assert_eq!(fs::read(place.layout().snapshot(&tree.snapshot).join("file")).unwrap(), content);
    assert_eq!(place.server.ranges().last(), Some(&format!("bytes={had}-")));
    place.assert_sound();
}

#[tokio::test]
async fn m6_20_a_killed_process_fetches_at_most_a_chunk_of_each_of_its_four_open_files_again() {
    const STEP: u64 = 6 * 1024 * 1024;
    const KILLS: u64 = 2;
    // What of a file may be on its way to the disk and not told yet.
    const UNTOLD: u64 = 256 * 1024;
    let place = Place::new().await;
    let step = usize::try_from(STEP).unwrap();
    let contents: Vec<_> = (1..=4).map(|n| [&[n], &bytes(step).repeat(3)[1..]].concat()).collect();
    let names = ["a", "b", "c", "d"];
    let files: Vec<_> = names.into_iter().zip(contents.iter().map(Vec::as_slice)).collect();
    let tree = place.tree("t", &files);
    order(place.dir.path(), &[&tree]);
    let hashes: Vec<_> = contents.iter().map(|content| Blake3Hash::of(content)).collect();
    for hash in &hashes {
        place.server.script(&hash.to_string(), vec![Answer::Stall(step); 2]);
    }
    let mut had = [0; 4];
    for _ in 0..KILLS {
        let mut worker = Child::start(&place);
        // Of each of them nearly all that the server gives this time.
        worker.reached(had.iter().sum::<u64>() + 4 * (STEP - UNTOLD)).await;
        worker.killed().await;
        place.assert_sound();
        for (hash, had) in hashes.iter().zip(&mut had) {
            let part = fs::metadata(place.layout().part(*hash)).unwrap().len();
            assert!(part + CHUNK_BYTES >= *had + STEP, "{part} bytes are left of {}", *had + STEP);
            *had = part;
        }
    }
    assert_eq!(Child::start(&place).ended().await, ["ok"]);
    let seen = place.server.seen();
    assert_eq!(seen.len(), 4 * 3);
    for (hash, had) in hashes.iter().zip(had) {
        let asked = seen.iter().rfind(|seen| seen.path == hash.to_string()).unwrap();
        assert_eq!(asked.range, Some(format!("bytes={had}-")));
    }
    place.assert_sound();
}

#[tokio::test]
async fn m6_22_processes_that_want_the_same_share_one_transfer() {
    let place = Place::new().await;
    let (content, go) = (bytes(300_000), Arc::new(Notify::new()));
    let tree = place.tree("t", &[("a", &content), ("b/c", b"small")]);
    order(place.dir.path(), &[&tree]);
    place.server.script(&Blake3Hash::of(&content).to_string(), [Answer::Wait(Arc::clone(&go))]);
    let workers = [Child::start(&place), Child::start(&place), Child::start(&place)];
    place.server.arrival().await;
    go.notify_one();
    for worker in workers {
        assert_eq!(worker.ended().await, ["ok"]);
    }
    assert_eq!(place.server.seen().len(), 2);
    assert_eq!(files(&place.layout().snapshot(&tree.snapshot)).len(), 2);
    place.assert_sound();
}

#[tokio::test]
async fn m6_14_what_another_process_was_promised_is_not_promised_again_before_that_has_ended() {
    let place = Place::with_budget(100).await;
    let (large, other) = (bytes(60), [&bytes(59)[..], b"x"].concat());
    let (first, second) = (place.tree("first", &[("f", &large)]), place.tree("second", &[("f", &other)]));
    order(place.dir.path(), &[&first]);
    fs::write(place.dir.path().join(BUDGET), "100").unwrap();
    place.server.script(&Blake3Hash::of(&large).to_string(), [Answer::Wait(Arc::new(Notify::new()))]);
    let worker = Child::start(&place);
    place.server.arrival().await;
    let store = place.store().await;
    let error = fetch(&store, &second).await.unwrap_err();
    assert!(matches!(error, FetchError::InsufficientDisk { required_bytes: 60, available_bytes: 40, .. }), "{error:?}");
    fetch(&store, &place.tree("third", &[("f", &bytes(40))])).await.unwrap();
    worker.killed().await;
    // What it was promised ended with it, and what is in nobody's use leaves.
    fetch(&store, &second).await.unwrap();
    let promises = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with("room-"));
    let left = fs::read_dir(place.layout().locks()).unwrap().flatten().filter(promises).count();
    assert_eq!(left, 1, "its own, and none of who is no more");
    place.assert_sound();
}
