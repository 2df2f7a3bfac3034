#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::{sync::Arc, time::Duration};

use gen_worker_hub::{Blake3Hash, ServerId};
use gen_worker_postgres::Postgres;
use gen_worker_tasks::Scope;

use super::*;
use crate::{
    blobs::BlobStore,
    clock::Clock,
    hub::HubOptions,
    metadata::{
        Author, NewUpload, Part, Reader, Segment, UploadOwner,
        postgres::{PostgresMetadata, PostgresOptions},
    },
};

/// More than an upload may stay open.
const DAYS_S: i64 = 2 * 24 * 60 * 60;

/// How long content stays here that nothing names.
const GRACE: Duration = Duration::from_secs(1_800);

async fn hub(server: &str, directory: &std::path::Path, clock: Clock) -> Hub {
    let scope = Arc::new(Scope::new("test"));
    let metadata = PostgresMetadata::open(PostgresOptions::new(server), Arc::clone(&scope)).await.unwrap();
    let blobs = BlobStore::local(directory.to_owned(), scope).unwrap();
    let options = HubOptions { clock, unused_grace: GRACE, ..HubOptions::new("http://hub.test", [1; 32]) };
    let hub = Hub::new(Arc::new(metadata), blobs, options).unwrap();
    hub.recover().await.unwrap();
    hub
}

fn upload(hub: &Hub, id: &str, content: &str) -> NewUpload {
    NewUpload {
        id: id.parse().unwrap(),
        owner: UploadOwner::Media { owner: "acme".to_owned(), reference: "a".to_owned(), create: false },
        blake3: Blake3Hash::of(content.as_bytes()),
        size_bytes: content.len() as u64,
        mime_type: "text/plain".to_owned(),
        expires_s: hub.options.clock.now_s() + 24 * 60 * 60,
    }
}

/// Brings a content under the one ref there is: what was there before loses its last name.
async fn save(hub: &Hub, id: &str, content: &str) {
    let (name, now_s) = (id.parse::<ServerId>().unwrap(), hub.options.clock.now_s());
    let author = Author::unlimited(Reader::Operator);
    hub.metadata.open_upload(upload(hub, id, content), author, now_s).await.unwrap();
    let segment = Segment { key: format!("blobs/{id}"), size_bytes: content.len() as u64 };
    let chaining = Blake3Hash::of(content.as_bytes());
    let part = Part { number: 1, segment: segment.clone(), chaining, sha256: None };
    assert!(hub.metadata.put_part(name.clone(), part, now_s).await.unwrap());
    hub.metadata.complete_upload(name, vec![segment.key], None, now_s).await.unwrap();
}

#[tokio::test]
async fn h4_14_hubs_whose_clocks_disagree_collect_nothing_that_is_new_to_another() {
    let server = Postgres::start().unwrap();
    let (database, directory) = (server.database().unwrap(), tempfile::tempdir().unwrap());
    for (number, [one, other]) in
        [[0, 3_600], [-3_600, 0], [-3_600, 3_600], [0, DAYS_S], [-DAYS_S, 0]].into_iter().enumerate()
    {
        let one = hub(&database, directory.path(), Clock::system_ahead(one)).await;
        let other = hub(&database, directory.path(), Clock::system_ahead(other)).await;
        assert!(one.options.clock.now_s().abs_diff(other.options.clock.now_s()) <= 2);
        // A live upload, and a content that has lost its last name a moment ago, whose addresses live on.
        let id = format!("live{number}");
        let live = upload(&one, &id, "live");
        let (name, now_s) = (live.id.clone(), one.options.clock.now_s());
        one.metadata.open_upload(live, Author::unlimited(Reader::Anyone), now_s).await.unwrap();
        let old = format!("old {number}");
        save(&one, &format!("old{number}"), &old).await;
        save(&one, &format!("new{number}"), &format!("new {number}")).await;
        other.tidy().await.unwrap();
        let open = other.metadata.upload(name, other.options.clock.now_s()).await.unwrap();
        assert!(open.is_some(), "{number}: the upload is live");
        let content = other.metadata.blob(Blake3Hash::of(old.as_bytes())).await.unwrap();
        assert!(content.is_some(), "{number}: the grace has just begun");
    }
}
