//! Uploads to the real hub.

use std::{path::Path, sync::Arc, time::Duration};

use gen_worker_hub::{
    Blake3Hash, Digest,
    client::{HubClient, HubClientOptions},
    token::{Area, ByteLimits, CapabilityClaims, Grant, Right, Workload},
};
use gen_worker_hubd::{
    Hub, HubOptions, blobs::BlobStore, clock::Clock, metadata::sqlite::SqliteMetadata, serve, signing::token_signer,
};
use gen_worker_store::{UploadContent, UploadFailure, UploadOptions, Uploader};
use gen_worker_tasks::Scope;
use tokio::net::TcpListener;

use crate::upload_server::media;

const SECRET: [u8; 32] = [7; 32];
const PART: usize = 1024;

struct Served {
    client: HubClient,
    uploader: Uploader,
    _scopes: [Arc<Scope>; 2],
}

async fn served(directory: &Path, limits: ByteLimits) -> Served {
    let scope = Arc::new(Scope::new("hub"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let metadata = Arc::new(SqliteMetadata::open(&directory.join("hub.db"), &scope).unwrap());
    let objects = directory.join("objects");
    std::fs::create_dir_all(&objects).unwrap();
    let blobs = BlobStore::local(objects, Arc::new(Scope::new("hub-blobs"))).unwrap();
    let mut options = HubOptions::new(url.clone(), SECRET);
    options.part_bytes = PART as u64;
    options.clock = Clock::standing(1_000_000);
    let hub = Arc::new(Hub::new(metadata, blobs, options).unwrap());
    let cancel = scope.cancel().clone();
    scope.spawn("serve", async move {
        serve(listener, hub, Duration::from_secs(5), &cancel).await;
    });
    let claims = CapabilityClaims {
        sub: "worker".to_owned(),
        tenant: "acme".to_owned(),
        request_id: "r1".to_owned(),
        attempt: 1,
        kind: Workload::Inference,
        grants: vec![Grant::new(Area::Media, Right::Write, "acme", "*").unwrap()],
        limits,
        iat: 1_000_000,
        exp: 1_003_600,
    };
    let token = Some(token_signer(&SECRET).unwrap().sign(&claims).unwrap());
    let client = HubClient::new(HubClientOptions { base_url: url, token, ..HubClientOptions::default() }).unwrap();
    let own = Arc::new(Scope::new("uploads"));
    let uploader = Uploader::new(UploadOptions::default(), own.clone()).unwrap();
    Served { client, uploader, _scopes: [scope, own] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_21_files_and_bytes_reach_the_hub_whole_and_are_known_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let served = served(directory.path(), ByteLimits::default()).await;
    for size in [1, PART - 1, PART, PART + 1, 30 * PART + 7] {
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8 ^ size as u8).collect();
        let path = directory.path().join("content");
        std::fs::write(&path, &content).unwrap();
        let mut upload = media("outputs/r1/a.bin", UploadContent::File(path));
        upload.content_type = Some("image/png".to_owned());
        let file = served.uploader.upload(&served.client, upload).await.unwrap();
        assert_eq!((file.blake3, file.size_bytes), (Blake3Hash::of(&content), size as u64));
        assert_eq!(file.sha256.as_deref(), Some(Digest::sha256(&content).hex().as_str()));
        assert_eq!((file.created, file.mime_type.as_str()), (Some(size == 1), "image/png"));
        let known = media("outputs/r1/b.bin", UploadContent::Bytes(content.into()));
        let known = served.uploader.upload(&served.client, known).await.unwrap();
        assert_eq!((known.blake3, known.reference.as_str()), (file.blake3, "outputs/r1/b.bin"));
    }
}

#[tokio::test]
async fn h4_22_a_name_that_is_taken_and_a_file_above_the_tokens_limit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let served = served(directory.path(), ByteLimits { total: None, per_file: Some(99) }).await;
    let content = |bytes: usize| UploadContent::Bytes(vec![1; bytes].into());
    let mut upload = media("a", content(10));
    upload.create = true;
    served.uploader.upload(&served.client, upload.clone()).await.unwrap();
    upload.content = content(11);
    let taken = served.uploader.upload(&served.client, upload).await.unwrap_err();
    assert_eq!(taken.failure(), UploadFailure::Terminal, "{taken:?}");
    let large = served.uploader.upload(&served.client, media("b", content(100))).await.unwrap_err();
    assert_eq!(large.failure(), UploadFailure::Terminal, "{large:?}");
}
