//! Files to where clients want them, against a server that does what a script says.

use std::time::Duration;

use gen_worker_hub::{Blake3Hash, Digest, api::TransferGrant};
use gen_worker_store::{
    AddressRule, Delivered, Destination, InputError, UploadContent, UploadError, UploadFailure, UploadOptions,
};
use serde_json::json;

use crate::upload_server::{Hub, Say};

const PLACE: &str = "/bucket/a.bin?signature=hush";

fn content() -> UploadContent {
    UploadContent::Bytes("some words".into())
}

fn put(hub: &Hub, headers: &[(&str, &str)]) -> Destination {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Destination::Put { url: format!("{}{PLACE}", hub.base).parse().unwrap(), headers }
}

fn options(outside: AddressRule) -> UploadOptions {
    UploadOptions { outside, ..Hub::options() }
}

async fn deliver(hub: &Hub, destination: &Destination) -> Result<Delivered, UploadError> {
    hub.uploader(options(AddressRule::Any)).deliver(destination, content()).await
}

#[tokio::test]
async fn h11_6_a_file_goes_to_an_address_with_the_headers_that_it_wants() {
    let hub = Hub::start(10).await;
    hub.script(&format!("PUT {PLACE}"), [Say::Json(503, json!({})), Say::Json(200, json!({}))]);
    let delivered =
        deliver(&hub, &put(&hub, &[("Content-Type", "image/png"), ("x-amz-acl", "private")])).await.unwrap();
    let expected = Delivered {
        size_bytes: 10,
        blake3: Blake3Hash::of(b"some words"),
        sha256: Digest::sha256(b"some words").hex(),
    };
    assert_eq!(delivered, expected, "an ETag is not needed, and what may pass is tried again");
    let seen = hub.seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!((request.body.as_slice(), request.header("content-type")), (&b"some words"[..], Some("image/png")));
        assert_eq!((request.header("x-amz-acl"), request.header("authorization")), (Some("private"), None));
        assert_eq!(request.header("content-length"), Some("10"));
    }
}

#[tokio::test]
async fn h11_6_a_large_file_is_hashed_on_its_way_and_anew_with_each_attempt() {
    let hub = Hub::start(10).await;
    hub.script(&format!("PUT {PLACE}"), [Say::Json(503, json!({})), Say::Json(200, json!({}))]);
    let (directory, bytes) = (tempfile::tempdir().unwrap(), vec![7; 700_001]);
    let file = directory.path().join("file");
    std::fs::write(&file, &bytes).unwrap();
    let uploader = hub.uploader(options(AddressRule::Any));
    let delivered = uploader.deliver(&put(&hub, &[]), UploadContent::File(file)).await.unwrap();
    let expected =
        Delivered { size_bytes: 700_001, blake3: Blake3Hash::of(&bytes), sha256: Digest::sha256(&bytes).hex() };
    assert_eq!(delivered, expected);
    assert_eq!(hub.seen().last().unwrap().body, bytes);
}

#[tokio::test]
async fn h11_6_a_file_goes_to_an_object_of_a_bucket() {
    let hub = Hub::start(10).await;
    let grant = json!({
        "endpoint_url": hub.base, "bucket": "b", "key": "dir/k", "region": "eu", "access_key_id": "key-id",
        "secret_access_key": "hush",
    });
    let grant: TransferGrant = serde_json::from_value(grant).unwrap();
    deliver(&hub, &Destination::Bucket(Box::new(grant))).await.unwrap();
    let seen = hub.seen();
    let writes = seen.iter().filter(|seen| seen.line.contains("/b/dir/k")).count();
    assert!(writes >= 1 && writes == seen.len(), "{seen:?}");
    assert!(seen.iter().all(|seen| seen.header("authorization").is_some_and(|text| text.contains("/eu/s3/"))));
}

#[tokio::test]
async fn h11_6_what_is_refused_is_not_tried_again_and_shows_no_secret() {
    let hub = Hub::start(10).await;
    hub.script(&format!("PUT {PLACE}"), [Say::Json(403, json!({"code": "AccessDenied"}))]);
    let error = deliver(&hub, &put(&hub, &[("x-secret", "hush")])).await.unwrap_err();
    assert_eq!((error.failure(), hub.seen().len()), (UploadFailure::Terminal, 1), "{error:?}");
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    assert!(!format!("{:?}", put(&hub, &[("x-secret", "hush")])).contains("hush"));
}

#[tokio::test]
async fn h11_6_hosts_of_private_networks_get_nothing() {
    let hub = Hub::start(10).await;
    let uploader = hub.uploader(UploadOptions { part_stall: Duration::from_secs(5), ..options(AddressRule::Public) });
    let port = hub.base.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "[::1]", "2130706433"] {
        let url = format!("http://{host}:{port}/a").parse().unwrap();
        let error = uploader.deliver(&Destination::Put { url, headers: Vec::new() }, content()).await.unwrap_err();
        assert!(matches!(error, UploadError::Destination(InputError::Private { .. })), "{host}: {error:?}");
        assert_eq!(error.failure(), UploadFailure::Terminal);
    }
    assert!(hub.seen().is_empty());
}

#[tokio::test]
async fn h11_6_headers_that_frame_a_request_are_not_the_clients_to_say() {
    let hub = Hub::start(10).await;
    for (name, value) in
        [("Host", "a"), ("content-length", "1"), ("Transfer-Encoding", "chunked"), ("a b", "c"), ("a", "b\nc")]
    {
        let error = deliver(&hub, &put(&hub, &[(name, value)])).await.unwrap_err();
        assert!(matches!(error, UploadError::Header { .. }), "{name}: {error:?}");
    }
    let many: Vec<_> = (0..33).map(|_| ("x-a", "b")).collect();
    assert!(matches!(deliver(&hub, &put(&hub, &many)).await, Err(UploadError::Header { .. })));
    assert!(hub.seen().is_empty());
}
