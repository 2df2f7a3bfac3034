use std::{sync::Arc, time::SystemTime};

use futures::TryStreamExt as _;
use gen_worker_postgres::Postgres;
use gen_worker_tasks::Scope;

use super::*;
use crate::{
    blobs::BlobStore,
    clock::Clock,
    hub::HubOptions,
    metadata::{
        Metadata as _,
        postgres::{PostgresMetadata, PostgresOptions},
    },
};

#[tokio::test]
async fn h4_14_objects_that_another_process_may_be_about_to_record_stay() {
    let server = Postgres::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let scope = Arc::new(Scope::new("test"));
    let options = PostgresOptions::new(server.database().unwrap());
    let metadata = PostgresMetadata::open(options, Arc::clone(&scope)).await.unwrap();
    assert!(metadata.shared().is_some());
    let blobs = BlobStore::local(directory.path().to_owned(), scope).unwrap();
    for name in ["blobs/u1/1-x", "blobs/u1/2-x#1"] {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "one").unwrap();
    }
    let clock = Clock::standing(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
    let options = HubOptions { clock: clock.clone(), ..HubOptions::new("http://hub.test", [1; 32]) };
    let hub = Hub::new(Arc::new(metadata), blobs, options).unwrap();
    let keys = async || hub.blobs.keys().try_collect::<Vec<_>>().await.unwrap();
    clock.advance(2 * UNUSED_GRACE.as_secs() - 60);
    hub.recover().await.unwrap();
    assert_eq!(keys().await, ["blobs/u1/1-x"]);
    assert!(directory.path().join("blobs/u1/2-x#1").exists(), "another process may be writing it");
    // By now no upload lives any more that it could belong to.
    clock.advance(120);
    hub.recover().await.unwrap();
    assert!(keys().await.is_empty());
}
