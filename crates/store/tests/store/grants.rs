//! Uploads by grant against a server that does what a script says.

use std::{sync::Arc, time::Duration};

use gen_worker_hub::{Blake3Hash, Digest, api::UploadedFile};
use gen_worker_store::{GrantOptions, Progress, Transferred, UploadContent, UploadError, UploadFailure, UploadOptions};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::upload_server::{Hub, Say, Seen, revision};

const CREATE: &str = "POST /api/v1/repos/acme/model/revisions/s1/uploads";
/// The object of the grant: its endpoint has a path, and its key a blank.
const OBJECT: &str = "/store/s3/b/dir/k%201";

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| at as u8).collect()
}

fn memory(count: usize) -> UploadContent {
    UploadContent::Bytes(bytes(count).into())
}

async fn outcome(hub: &Hub, content: UploadContent) -> Result<UploadedFile, UploadError> {
    hub.uploader(Hub::options()).upload(&hub.client(), revision("a.bin", content)).await
}

fn refused() -> Say {
    Say::Json(403, json!({"code": "AccessDenied"}))
}

fn lines(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|seen| seen.line.as_str()).collect()
}

#[tokio::test]
async fn h4_26_a_small_file_is_one_put_to_the_path_of_its_bucket_and_the_hub_is_told_of_it() {
    let hub = Hub::start(10).await;
    let file = outcome(&hub, memory(9)).await.unwrap();
    assert_eq!((file.blake3, file.reference.as_str()), (Blake3Hash::of(&bytes(9)), "a.bin"));
    let seen = hub.seen();
    let complete = "POST /api/v1/repos/acme/model/revisions/s1/uploads/u1/complete";
    assert_eq!(lines(&seen)[1..], [format!("PUT {OBJECT}").as_str(), complete]);
    assert_eq!(seen[1].body, bytes(9));
    let told: Value = serde_json::from_slice(&seen[2].body).unwrap();
    let hash = Blake3Hash::of(&bytes(9)).to_string();
    let transfer =
        json!({"mode": "s3_sdk", "bucket": "b", "key": "dir/k 1", "size_bytes": 9, "blake3": hash, "etag": ""});
    assert_eq!(told, json!({"transfer": transfer}), "4.16");
}

#[tokio::test]
async fn h4_27_requests_are_signed_with_the_hash_of_their_body() {
    let hub = Hub::start(10).await;
    outcome(&hub, memory(25)).await.unwrap();
    for put in hub.seen_of("PUT") {
        let sha256 = Digest::sha256(&put.body).hex();
        assert_eq!(put.header("x-amz-content-sha256"), Some(sha256.as_str()));
        assert_eq!(put.header("x-amz-security-token"), Some("hush-session"));
        let authorization = put.header("authorization").unwrap();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=key-id/"), "{authorization}");
        assert!(authorization.contains("/auto/s3/aws4_request"), "{authorization}");
        assert!(authorization.contains("x-amz-content-sha256"), "{authorization}");
        assert!(authorization.contains("x-amz-security-token"), "{authorization}");
        assert_eq!((put.header("trailer"), put.header("transfer-encoding")), (None, None));
        assert_eq!(put.header("content-length"), Some(put.body.len().to_string().as_str()));
    }
}

#[tokio::test]
async fn h4_25_a_file_of_the_size_of_a_part_goes_in_parts() {
    for (size, parts) in [(10, 1), (25, 3)] {
        let hub = Hub::start(10).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, bytes(size)).unwrap();
        outcome(&hub, UploadContent::File(path)).await.unwrap();
        assert_eq!(hub.seen_of(&format!("POST {OBJECT}?uploads")).len(), 1);
        let mut puts = hub.seen_of(&format!("PUT {OBJECT}?partNumber="));
        puts.sort_by(|a, b| a.line.cmp(&b.line));
        assert_eq!(puts.len(), parts);
        assert_eq!(puts.iter().flat_map(|put| put.body.clone()).collect::<Vec<_>>(), bytes(size));
        let finish = hub.seen_of(&format!("POST {OBJECT}?uploadId=m1"));
        let named = String::from_utf8_lossy(&finish[0].body).matches("<PartNumber>").count();
        assert_eq!((finish.len(), named), (1, parts));
    }
}

#[tokio::test]
async fn h4_24_a_transfer_is_repeated_three_times_each_with_connections_of_its_own() {
    let hub = Hub::start(10).await;
    hub.script("PUT", std::iter::repeat_n(refused(), 3));
    outcome(&hub, memory(9)).await.unwrap();
    let mut connections: Vec<_> = hub.seen_of("PUT").iter().map(|put| put.connection).collect();
    connections.dedup();
    assert_eq!(connections.len(), 4, "{connections:?}");

    let hub = Hub::start(10).await;
    hub.script("PUT", std::iter::repeat_n(refused(), 4));
    let error = outcome(&hub, memory(9)).await.unwrap_err();
    assert_eq!(error.failure(), UploadFailure::Retryable, "{error:?}");
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    let told = format!("{error:?} {error}");
    assert!(!told.contains("hush") && !told.contains("127.0.0.1"), "{told}");
    assert_eq!(hub.seen_of("PUT").len(), 4);
    assert!(lines(&hub.seen()).iter().all(|line| !line.starts_with("DELETE") && !line.ends_with("/complete")), "4.14");
}

#[derive(Default)]
struct Heard(Mutex<Vec<u64>>);

impl Progress for Heard {
    fn transferred(&self, so_far: Transferred) {
        self.0.lock().push(so_far.bytes_done);
    }
}

#[tokio::test]
async fn bytes_of_a_request_that_failed_do_not_count() {
    for fault in [refused(), Say::Json(500, json!({}))] {
        let hub = Hub::start(10).await;
        hub.script("PUT", [fault]);
        let (heard, mut upload) = (Arc::new(Heard::default()), revision("a", memory(9)));
        upload.progress = heard.clone();
        hub.uploader(Hub::options()).upload(&hub.client(), upload).await.unwrap();
        assert_eq!(*heard.0.lock(), [9, 0, 9]);
    }
}

#[tokio::test]
async fn h4_24_parts_of_an_attempt_that_failed_are_given_up_at_the_bucket_and_sent_anew() {
    let hub = Hub::start(10).await;
    hub.script(&format!("PUT {OBJECT}?partNumber=2"), [refused()]);
    outcome(&hub, memory(25)).await.unwrap();
    assert_eq!(hub.seen_of(&format!("POST {OBJECT}?uploads")).len(), 2);
    assert_eq!(hub.seen_of(&format!("PUT {OBJECT}?partNumber=1")).len(), 2);
    assert_eq!(lines(&hub.seen_of("DELETE")), [format!("DELETE {OBJECT}?uploadId=m1")]);
}

#[tokio::test]
async fn h4_27_a_request_has_eleven_tries_within_one_transfer() {
    let hub = Hub::start(10).await;
    let faults = [Say::Json(500, json!({})), Say::Reset, Say::Json(503, json!({}))];
    hub.script("PUT", faults.into_iter().chain(std::iter::repeat_n(Say::Json(500, json!({})), 7)));
    let once = GrantOptions {
        retry: gen_worker_hub::client::RetryPolicy { attempts: 1, ..Hub::options().grant.retry },
        ..Hub::options().grant
    };
    let uploader = hub.uploader(UploadOptions { grant: once.clone(), ..Hub::options() });
    uploader.upload(&hub.client(), revision("a", memory(9))).await.unwrap();
    assert_eq!(hub.seen_of("PUT").len(), 11);

    hub.script("PUT", std::iter::repeat_n(Say::Json(500, json!({})), 11));
    let error = uploader.upload(&hub.client(), revision("a", memory(9))).await.unwrap_err();
    assert_eq!(error.failure(), UploadFailure::Retryable, "{error:?}");
    assert_eq!(hub.seen_of("PUT").len(), 22);
}

#[tokio::test]
async fn h4_24_a_bucket_that_takes_nothing_is_left_and_asked_again() {
    let hub = Hub::start(10).await;
    hub.script("PUT", [Say::Stall]);
    let options = UploadOptions { part_stall: Duration::from_millis(20), ..Hub::options() };
    hub.uploader(options).upload(&hub.client(), revision("a", memory(9))).await.unwrap();
    assert_eq!(hub.seen_of("PUT").len(), 2);
}

#[tokio::test]
async fn h4_24_two_files_go_at_once() {
    let hub = Hub::start(10).await;
    let go = Arc::new(Semaphore::new(0));
    hub.script("PUT", std::iter::repeat_n(Say::Wait(go.clone()), 4));
    let (uploader, client) = (hub.uploader(Hub::options()), hub.client());
    let uploads = ["a", "b", "c", "d"].map(|name| uploader.upload(&client, revision(name, memory(9))));
    let mut all = Box::pin(futures::future::try_join_all(uploads));
    tokio::select! {
        result = &mut all => panic!("{result:?}"),
        _ = hub.arrivals("PUT", 2) => {}
    }
    tokio::select! {
        result = &mut all => panic!("{result:?}"),
        _ = hub.arrivals(CREATE, 4) => {}
    }
    assert_eq!(hub.seen_of("PUT").len(), 2);
    go.add_permits(4);
    all.await.unwrap();
}

#[tokio::test]
async fn h4_23_a_file_that_changed_since_it_was_announced_is_not_sent() {
    let hub = Hub::start(10).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    std::fs::write(&path, bytes(25)).unwrap();
    let go = Arc::new(Semaphore::new(0));
    hub.script(CREATE, [Say::Wait(go.clone())]);
    let (uploader, client) = (hub.uploader(Hub::options()), hub.client());
    let mut upload = Box::pin(uploader.upload(&client, revision("a", UploadContent::File(path.clone()))));
    tokio::select! {
        result = &mut upload => panic!("{result:?}"),
        _ = hub.arrivals("POST", 1) => {}
    }
    std::fs::write(&path, bytes(24)).unwrap();
    go.add_permits(1);
    let error = upload.await.unwrap_err();
    assert!(matches!(error, UploadError::Changed { .. }), "{error:?}");
    assert_eq!((error.failure(), hub.seen().len()), (UploadFailure::Terminal, 1));
}

#[tokio::test]
async fn h4_24_a_bucket_that_talks_without_end_or_sense_fails_the_transfer() {
    let hub = Hub::start(10).await;
    let long: &'static str = "<InitiateMultipartUploadResult>".repeat(10_000).leak();
    hub.script(&format!("POST {OBJECT}?uploads"), [Say::Xml(long), Say::Xml("no"), Say::Xml(""), Say::Xml("<a/>")]);
    let error = outcome(&hub, memory(10)).await.unwrap_err();
    assert!(matches!(error, UploadError::Transfer { .. }), "{error:?}");
    assert_eq!(hub.seen_of("PUT").len(), 0);
}
