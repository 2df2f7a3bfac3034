//! A disk that is read-only or full, and an index that lies.

use std::fs;

use gen_worker_store::{FetchError, Store};
use gen_worker_tasks::Cancel;

use crate::pool::{Place, fetch};

#[tokio::test]
async fn m8_1_a_root_that_cannot_be_made_is_an_error() {
    let place = Place::new().await;
    let file = place.dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let options = gen_worker_store::StoreOptions { root: file.join("store"), ..place.options() };
    assert!(matches!(Store::open(options, &Cancel::new()).await, Err(FetchError::Disk { .. })));
}

#[tokio::test]
async fn m8_6_an_index_that_lies_deletes_nothing_outside() {
    let place = Place::with_budget(100).await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), b"x").unwrap();
    let index = serde_json::json!({
        "o/outside": {"path": outside.path(), "bytes": 1_000_000},
        "o/up": {"path": place.dir.path().join("snapshots/.."), "bytes": 1_000_000},
        "o/blobs": {"path": place.dir.path().join("blobs"), "bytes": 1_000_000},
    });
    fs::write(place.layout().index(), index.to_string()).unwrap();
    let store = place.store().await;
    let error = fetch(&store, &place.one(&[7; 200])).await.unwrap_err();
    assert_eq!(error.failure().as_str(), "insufficient_disk");
    assert!(outside.path().join("precious").exists() && place.layout().blobs().is_dir());
}
