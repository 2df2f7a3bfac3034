//! Files of commits, against a server that does what a script says.

use std::{fs, os::fd::AsRawFd as _, path::Path, sync::Arc, time::Duration};

use gen_worker_hub::{
    Blake3Hash,
    api::{CompleteRequest, PartUrls, TransferGrant, UploadSource},
    client::RetryPolicy,
};
use gen_worker_store::{CommitFile, Progress, Unheard, UploadError, UploadFailure, UploadOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::upload_server::{Hub, Say};

/// A file of `bytes`, and where it is.
fn file(bytes: &[u8]) -> (TempDir, CommitFile) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, bytes).unwrap();
    let file = CommitFile::read(path).unwrap();
    (directory, file)
}

fn parts(hub: &Hub, size_bytes: usize, part_size: usize) -> UploadSource {
    let urls: Vec<_> = (1..=size_bytes.div_ceil(part_size).max(1))
        .map(|part| format!("{}/part/{part}?Signature=hush", hub.base))
        .collect();
    let entry = json!({"part_urls": urls, "part_size": part_size});
    UploadSource::Parts(PartUrls::from_object(entry.as_object().unwrap(), size_bytes as u64).unwrap())
}

async fn send(
    hub: &Hub,
    options: UploadOptions,
    file: &CommitFile,
    to: &UploadSource,
) -> Result<CompleteRequest, UploadError> {
    hub.uploader(options).commit().send(file, to, &(Arc::new(Unheard) as Arc<dyn Progress>)).await
}

fn said(request: &CompleteRequest) -> Value {
    serde_json::to_value(request).unwrap()
}

#[tokio::test]
async fn h6_4_a_file_goes_out_in_its_parts_and_an_empty_one_as_one_empty_part() {
    let hub = Hub::start(4).await;
    let (_directory, some) = file(b"0123456789");
    assert_eq!((some.size_bytes(), some.blake3()), (10, Blake3Hash::of(b"0123456789")));
    let request = send(&hub, Hub::options(), &some, &parts(&hub, 10, 4)).await.unwrap();
    let tagged = |number| json!({"part_number": number, "etag": "\"tag\""});
    assert_eq!(said(&request), json!({"parts": [tagged(1), tagged(2), tagged(3)]}));
    let mut bodies: Vec<_> = hub.seen().into_iter().map(|seen| (seen.line, seen.body)).collect();
    bodies.sort();
    let bodies: Vec<_> = bodies.iter().map(|(_, body)| body.as_slice()).collect();
    assert_eq!(bodies, [&b"0123"[..], b"4567", b"89"]);
    let (_directory, empty) = file(b"");
    assert_eq!((empty.size_bytes(), empty.blake3()), (0, Blake3Hash::of(b"")));
    send(&hub, Hub::options(), &empty, &parts(&hub, 0, 4)).await.unwrap();
    let seen = hub.seen().pop().unwrap();
    assert_eq!((seen.header("content-length"), seen.body.len()), (Some("0"), 0));
}

#[tokio::test]
async fn h4_9_a_part_of_a_commit_may_be_taken_without_an_etag() {
    let hub = Hub::start(10).await;
    hub.script("PUT /part/1", [Say::Json(200, json!({}))]);
    let (_directory, file) = file(b"some words");
    let request = send(&hub, Hub::options(), &file, &parts(&hub, 10, 10)).await.unwrap();
    assert_eq!(said(&request), json!({"parts": [{"part_number": 1, "etag": ""}]}));
}

#[tokio::test]
async fn h6_5_a_part_comes_again_when_the_server_says_and_not_after_other_refusals() {
    let hub = Hub::start(10).await;
    let (_directory, file) = file(b"some words");
    // Without the server's word the test would never end.
    let long = Duration::from_secs(24 * 60 * 60);
    let patient = RetryPolicy { base: long, cap: long, ..RetryPolicy::CONTROL };
    let options = || UploadOptions { part_retry: patient, ..Hub::options() };
    let asked = |status| Say::With(status, "Retry-After", "0.01");
    hub.script("PUT /part/1", [asked(503), asked(429), asked(500), asked(507)]);
    send(&hub, options(), &file, &parts(&hub, 10, 10)).await.unwrap();
    assert_eq!(hub.seen().len(), 5);
    hub.script("PUT /part/1", [asked(403)]);
    let error = send(&hub, options(), &file, &parts(&hub, 10, 10)).await.unwrap_err();
    assert!(matches!(error, UploadError::PartRefused { number: 1, status: 403, .. }), "{error:?}");
    assert_eq!(hub.seen().len(), 6);
}

#[tokio::test]
async fn h6_3_a_file_of_a_commit_goes_to_a_bucket_by_grant() {
    let hub = Hub::start(10).await;
    let grant = json!({
        "endpoint_url": hub.base, "bucket": "b", "key": "k", "access_key_id": "key-id", "secret_access_key": "hush",
    });
    let grant: TransferGrant = serde_json::from_value(grant).unwrap();
    let (_directory, file) = file(b"words");
    let request = send(&hub, Hub::options(), &file, &UploadSource::Grant(grant)).await.unwrap();
    let transfer = json!({
        "mode": "s3_sdk", "bucket": "b", "key": "k", "size_bytes": 5, "blake3": Blake3Hash::of(b"words").to_string(),
        "etag": "",
    });
    assert_eq!(said(&request), json!({"transfer": transfer}));
    assert_eq!(hub.seen_of("PUT /b/k").len(), 1);
}

#[tokio::test]
async fn files_of_one_commit_share_their_connections() {
    let hub = Hub::start(10).await;
    let ((_first, first), (_second, second)) = (file(b"some words"), file(b"and others"));
    let (sender, nobody) = (hub.uploader(Hub::options()).commit(), Arc::new(Unheard) as Arc<dyn Progress>);
    for file in [&first, &second] {
        sender.send(file, &parts(&hub, 10, 10), &nobody).await.unwrap();
    }
    let connections: Vec<_> = hub.seen().into_iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0]);
}

#[tokio::test]
async fn h6_5_a_host_whose_name_cannot_be_resolved_is_asked_again() {
    let hub = Hub::start(10).await;
    let (_directory, file) = file(b"some words");
    let entry = json!({"part_urls": ["http://none.invalid/part/1"], "part_size": 10});
    let to = UploadSource::Parts(PartUrls::from_object(entry.as_object().unwrap(), 10).unwrap());
    let error = send(&hub, Hub::options(), &file, &to).await.unwrap_err();
    assert!(matches!(error, UploadError::Part { number: 1, .. }), "{error:?}");
    assert_eq!(error.failure(), UploadFailure::Retryable);
}

#[test]
fn a_file_that_says_it_is_empty_and_is_not_and_one_of_any_size_are_refused() {
    assert!(matches!(CommitFile::read(Path::new("/proc/version").into()), Err(UploadError::Changed { .. })));
    let sparse = fs::File::from(rustix::fs::memfd_create("sparse", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    sparse.set_len((16 << 40) + 1).unwrap();
    let path = format!("/proc/self/fd/{}", sparse.as_raw_fd());
    assert!(matches!(CommitFile::read(path.into()), Err(UploadError::TooLarge { .. })));
}

#[tokio::test]
async fn a_file_that_changed_since_it_was_announced_is_not_sent() {
    let hub = Hub::start(10).await;
    let (directory, file) = file(b"some words");
    fs::write(directory.path().join("file"), b"others").unwrap();
    let error = send(&hub, Hub::options(), &file, &parts(&hub, 10, 10)).await.unwrap_err();
    assert!(matches!(error, UploadError::Changed { .. }), "{error:?}");
    assert_eq!(error.failure(), UploadFailure::Terminal);
    assert!(hub.seen().iter().all(|seen| seen.body.is_empty()));
    assert!(matches!(CommitFile::read(Path::new("/none").into()), Err(UploadError::Disk { .. })));
}
