//! The real hub on a port of its own, with a worker that may write everything of `acme`.

use std::{path::Path, sync::Arc, time::Duration};

use gen_worker_hub::{
    client::{HubClient, HubClientOptions},
    token::{Area, ByteLimits, CapabilityClaims, Grant, Right, Workload},
};
use gen_worker_hubd::{
    Hub, HubOptions, blobs::BlobStore, clock::Clock, metadata::sqlite::SqliteMetadata, serve, signing::token_signer,
};
use gen_worker_store::{UploadOptions, Uploader};
use gen_worker_tasks::Scope;
use tokio::net::TcpListener;

const SECRET: [u8; 32] = [7; 32];
/// Bytes of a part: small files have several.
pub const PART: usize = 1024;

/// A hub and who uploads to it.
pub struct Served {
    pub client: HubClient,
    pub uploader: Uploader,
    pub hub: Arc<Hub>,
    _scopes: [Arc<Scope>; 2],
}

/// A hub over `directory`, for a token with `limits`.
pub async fn served(directory: &Path, limits: ByteLimits) -> Served {
    let scope = Arc::new(Scope::new("hub"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let metadata = Arc::new(SqliteMetadata::open(&directory.join("hub.db"), &scope).unwrap());
    let objects = directory.join("objects");
    std::fs::create_dir_all(&objects).unwrap();
    let blobs = BlobStore::local(objects, Arc::new(Scope::new("hub-blobs"))).unwrap();
    let mut options = HubOptions::new(url.clone(), SECRET);
    options.part_bytes = PART as u64;
    // Signatures of S3 name the time of the system.
    options.clock = Clock::system();
    let now_s = options.clock.now_s();
    let hub = Arc::new(Hub::new(metadata, blobs, options).unwrap());
    let cancel = scope.cancel().clone();
    let served = hub.clone();
    scope.spawn("serve", async move {
        serve(listener, served, Duration::from_secs(5), &cancel).await;
    });
    let claims = CapabilityClaims {
        sub: "worker".to_owned(),
        tenant: "acme".to_owned(),
        request_id: "r1".to_owned(),
        attempt: 1,
        kind: Workload::Inference,
        grants: [Area::Media, Area::Repo].map(|area| Grant::new(area, Right::Write, "acme", "*").unwrap()).to_vec(),
        limits,
        iat: now_s,
        exp: now_s + 3600,
    };
    let token = Some(token_signer(&SECRET).unwrap().sign(&claims).unwrap());
    let client = HubClient::new(HubClientOptions { base_url: url, token, ..HubClientOptions::default() }).unwrap();
    let own = Arc::new(Scope::new("uploads"));
    let uploader = Uploader::new(UploadOptions::default(), own.clone()).unwrap();
    Served { client, uploader, hub, _scopes: [scope, own] }
}
