//! Uploads against a hub that does what a script says.

use std::{sync::Arc, time::Duration};

use gen_worker_hub::Blake3Hash;
use gen_worker_store::{UploadContent, UploadError, UploadFailure, UploadOptions};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::upload_server::{Hub, Say, media};

const CREATE: &str = "POST /api/v1/media/acme/uploads HTTP";

/// `parts` parts of 10 bytes less one byte.
fn bytes(parts: usize) -> Vec<u8> {
    (0..10 * parts - 1).map(|at| at as u8).collect()
}

fn memory(parts: usize) -> UploadContent {
    UploadContent::Bytes(bytes(parts).into())
}

async fn outcome(hub: &Hub, content: UploadContent) -> Result<gen_worker_hub::api::UploadedFile, UploadError> {
    hub.uploader(Hub::options()).upload(&hub.client(), media("outputs/a.bin", content)).await
}

#[tokio::test]
async fn h4_8_a_file_goes_out_in_its_parts_without_token_or_type() {
    let hub = Hub::start(10).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    std::fs::write(&path, bytes(3)).unwrap();
    for content in [UploadContent::File(path), memory(3)] {
        let before = hub.seen().len();
        let file = outcome(&hub, content).await.unwrap();
        assert_eq!((file.reference.as_str(), file.size_bytes), ("outputs/a.bin", 29));
        assert_eq!((file.blake3, file.sha256.as_deref()), (Blake3Hash::of(&bytes(3)), Some("of the hub")));
        let seen = hub.seen().split_off(before);
        let create: serde_json::Value = serde_json::from_slice(&seen[0].body).unwrap();
        let hash = Blake3Hash::of(&bytes(3)).to_string();
        assert_eq!(create, json!({"blake3": hash, "size_bytes": 29, "ref": "outputs/a.bin"}));
        let owner = (seen[0].header("x-cozy-owner"), seen[0].header("authorization"));
        assert_eq!(owner, (Some("acme"), Some("Bearer tok-hush")));
        let mut parts: Vec<_> = seen.iter().filter(|seen| seen.line.starts_with("PUT")).collect();
        parts.sort_by(|a, b| a.line.cmp(&b.line));
        assert_eq!(parts.iter().flat_map(|part| part.body.clone()).collect::<Vec<_>>(), bytes(3));
        for (part, length) in parts.iter().zip(["10", "10", "9"]) {
            assert_eq!(part.header("content-length"), Some(length));
            assert_eq!((part.header("content-type"), part.header("authorization")), (None, None));
            assert_eq!(part.header("transfer-encoding"), None);
        }
        let complete: serde_json::Value = serde_json::from_slice(&seen.last().unwrap().body).unwrap();
        let tag = "\"tag\"";
        let etag = |number| json!({"part_number": number, "etag": tag});
        assert_eq!(complete, json!({"parts": [etag(1), etag(2), etag(3)]}), "4.15: as the server said it");
    }
}

#[tokio::test]
async fn h4_1_an_empty_file_and_an_owner_that_is_none_end_before_any_request() {
    let hub = Hub::start(10).await;
    let empty = outcome(&hub, UploadContent::Bytes(bytes::Bytes::new())).await.unwrap_err();
    assert!(matches!(empty, UploadError::Empty), "{empty:?}");
    let mut upload = media("a", memory(1));
    upload.target = gen_worker_hub::client::UploadTarget::Media { owner: String::new() };
    let nobody = hub.uploader(Hub::options()).upload(&hub.client(), upload).await.unwrap_err();
    assert_eq!((empty.failure(), nobody.failure()), (UploadFailure::Terminal, UploadFailure::Terminal));
    let large = UploadOptions { file_bytes_max: 18, ..Hub::options() };
    let large = hub.uploader(large).upload(&hub.client(), media("a", memory(2))).await.unwrap_err();
    assert!(matches!(large, UploadError::TooLarge { size_bytes: 19, bytes_max: 18 }), "{large:?}");
    let gone = outcome(&hub, UploadContent::File("/nowhere/at/all".into())).await.unwrap_err();
    assert!(matches!(gone, UploadError::Disk { .. }), "{gone:?}");
    assert!(hub.seen().is_empty());
}

#[tokio::test]
async fn h4_2_a_create_is_sent_once_and_its_refusal_says_what_to_do() {
    let hub = Hub::start(10).await;
    let cases = [
        (401, UploadFailure::Auth),
        (403, UploadFailure::Auth),
        (404, UploadFailure::Unsupported),
        (409, UploadFailure::Terminal),
        (422, UploadFailure::Terminal),
        (429, UploadFailure::Retryable),
        (500, UploadFailure::Retryable),
        (503, UploadFailure::Retryable),
    ];
    for (at, (status, failure)) in cases.into_iter().enumerate() {
        hub.script("POST", [Say::Json(status, json!({}))]);
        let error = outcome(&hub, memory(1)).await.unwrap_err();
        assert_eq!(error.failure(), failure, "{status}: {error:?}");
        assert_eq!(hub.seen().len(), at + 1, "{CREATE}");
    }
    hub.script("POST", [Say::Reset]);
    assert_eq!(outcome(&hub, memory(1)).await.unwrap_err().failure(), UploadFailure::Retryable);
    for (body, text) in [(json!([1]), "a list"), (json!({"part_urls": []}), "no id")] {
        hub.script("POST", [Say::Json(200, body)]);
        assert_eq!(outcome(&hub, memory(1)).await.unwrap_err().failure(), UploadFailure::Terminal, "4.3: {text}");
    }
}

#[tokio::test]
async fn h4_4_content_that_the_hub_has_is_not_sent() {
    let hub = Hub::start(10).await;
    hub.script("POST", [Say::Json(200, json!({"dedup": true, "ref": "outputs/b.bin", "media_id": "m1"}))]);
    let file = outcome(&hub, memory(2)).await.unwrap();
    assert_eq!((file.reference.as_str(), file.media_id.as_deref()), ("outputs/b.bin", Some("m1")));
    let sha256 = gen_worker_hub::Digest::sha256(&bytes(2)).hex();
    assert_eq!((file.size_bytes, file.sha256), (19, Some(sha256)), "4.20: what is left out is filled in");
    assert_eq!(hub.seen().len(), 1);
}

#[tokio::test]
async fn h4_9_a_part_that_is_taken_without_an_etag_is_not_repeated() {
    let hub = Hub::start(10).await;
    hub.script("PUT /part/1", [Say::Json(200, json!({}))]);
    let error = outcome(&hub, memory(1)).await.unwrap_err();
    assert!(matches!(error, UploadError::NoEtag { number: 1 }), "{error:?}");
    assert_eq!((error.failure(), hub.seen_of("PUT").len()), (UploadFailure::Terminal, 1));
}

#[tokio::test]
async fn h4_10_faults_that_may_pass_are_repeated_and_others_are_not() {
    let hub = Hub::start(10).await;
    let passing = || [Say::Reset, Say::Json(429, json!({})), Say::Json(500, json!({})), Say::Json(503, json!({}))];
    hub.script("PUT /part/1", passing());
    outcome(&hub, memory(1)).await.unwrap();
    let sent: Vec<_> = hub.seen_of("PUT").iter().skip(1).map(|part| part.body.len()).collect();
    assert_eq!(sent, [9, 9, 9, 9], "each attempt begins at the beginning");

    hub.script("PUT /part/1", passing().into_iter().chain([Say::Json(500, json!({}))]));
    let error = outcome(&hub, memory(1)).await.unwrap_err();
    assert!(matches!(error, UploadError::Part { number: 1, .. }), "{error:?}");
    assert_eq!((error.failure(), hub.seen_of("PUT").len()), (UploadFailure::Retryable, 10), "five attempts");

    for (at, status) in [400, 403, 404, 408, 307, 302].into_iter().enumerate() {
        let secret = "http://elsewhere/?X-Amz-Signature=hush";
        hub.script("PUT /part/1", [Say::With(status, "Location", secret)]);
        let error = outcome(&hub, memory(1)).await.unwrap_err();
        assert!(matches!(error, UploadError::PartRefused { number: 1, .. }), "{error:?}");
        assert_eq!((error.failure(), hub.seen_of("PUT").len()), (UploadFailure::Terminal, 11 + at));
        assert!(!format!("{error:?} {error}").contains("hush"));
    }
}

#[tokio::test]
async fn h4_10_a_server_that_takes_nothing_more_has_failed() {
    let hub = Hub::start(10).await;
    hub.script("PUT /part/1", [Say::Stall]);
    let options = UploadOptions { part_stall: Duration::from_millis(20), ..Hub::options() };
    hub.uploader(options).upload(&hub.client(), media("a", memory(1))).await.unwrap();
    assert_eq!(hub.seen_of("PUT").len(), 2);
}

#[tokio::test]
async fn h4_11_a_retry_has_a_connection_of_its_own_and_saves_share_none() {
    let hub = Hub::start(10).await;
    let one_by_one = UploadOptions { parts_per_file: 1, unanswered_per_file: 0, ..Hub::options() };
    let uploader = hub.uploader(one_by_one);
    hub.script("PUT /part/2", [Say::Json(500, json!({}))]);
    uploader.upload(&hub.client(), media("a", memory(3))).await.unwrap();
    let parts = hub.seen_of("PUT");
    let connections: Vec<_> = parts.iter().map(|part| part.connection).collect();
    let [first, second, again, third] = connections[..] else { panic!("{connections:?}") };
    assert_eq!((first, first), (second, third), "first attempts keep theirs");
    assert_ne!(again, first);
    assert_eq!((parts[2].header("connection"), parts[1].header("connection")), (Some("close"), None));

    uploader.upload(&hub.client(), media("b", memory(1))).await.unwrap();
    assert!(!connections.contains(&hub.seen_of("PUT").pop().unwrap().connection));

    let before = hub.seen().len();
    hub.script("PUT /part/2", [Say::Reset]);
    uploader.upload(&hub.client(), media("c", memory(3))).await.unwrap();
    let parts: Vec<_> = hub.seen().split_off(before).into_iter().filter(|seen| seen.line.starts_with("PUT")).collect();
    let connections: Vec<_> = parts.iter().map(|part| part.connection).collect();
    let [first, _, again, third] = connections[..] else { panic!("{connections:?}") };
    assert!(third != first && third != again, "a broken connection empties the pool: {connections:?}");
}

#[tokio::test]
async fn h4_12_an_upload_that_is_dropped_sends_nothing_more_and_tells_the_hub() {
    let hub = Hub::start(10).await;
    hub.script("PUT /part/1", [Say::Stall]);
    hub.script("PUT /part/2", [Say::Json(500, json!({}))]);
    let slow = gen_worker_hub::client::RetryPolicy::PART;
    let options = UploadOptions { part_retry: slow, ..Hub::options() };
    let (uploader, client) = (hub.uploader(options), hub.client());
    {
        let upload = uploader.upload(&client, media("a", memory(2)));
        tokio::select! {
            result = upload => panic!("{result:?}"),
            _ = hub.arrivals("PUT", 2) => {}
        }
    }
    hub.arrivals("DELETE /api/v1/media/acme/uploads/u1", 1).await;
    assert_eq!(hub.seen_of("PUT").len(), 2);
    assert!(hub.seen_of("POST").iter().all(|seen| !seen.line.ends_with("/complete")));
}

#[tokio::test]
async fn h4_13_so_many_parts_of_one_file_are_sent_at_once_and_so_many_wait_for_their_answers() {
    /// More than the sockets of both sides hold.
    const PART_BYTES: usize = 16 << 20;
    let hub = Hub::start(PART_BYTES).await;
    let (read, take) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (uploader, client) = (hub.uploader(UploadOptions { parts: 16, ..Hub::options() }), hub.client());
    let content = || UploadContent::Bytes(vec![0; 12 * PART_BYTES].into());
    for (says, count) in [(Say::Hold(read), 4), (Say::Wait(take), 7)] {
        for part in 1..=12 {
            hub.script(&format!("PUT /part/{part}"), [says.clone()]);
        }
        let (before, ended) = (hub.seen_of("PUT").len(), hub.seen_of("DELETE").len());
        tokio::select! {
            result = uploader.upload(&client, media("a", content())) => panic!("{result:?}"),
            _ = hub.arrivals("PUT", before + count) => {}
        }
        hub.arrivals("DELETE", ended + 1).await;
        assert_eq!(hub.seen_of("PUT").len(), before + count);
    }
}

/// What a client still holds of an attempt that has failed keeps no turn.
#[tokio::test]
async fn h4_13_a_part_that_is_refused_before_it_was_read_gives_its_turn_to_the_next_attempt() {
    let hub = Hub::start(16 << 20).await;
    hub.script("PUT /part/1", [Say::Early(503), Say::Early(503)]);
    let uploader = hub.uploader(UploadOptions { parts_per_file: 1, unanswered_per_file: 0, ..Hub::options() });
    let content = UploadContent::Bytes(vec![0; 16 << 20].into());
    uploader.upload(&hub.client(), media("a", content)).await.unwrap();
    assert_eq!(hub.seen_of("PUT").len(), 3);
}

#[tokio::test]
async fn h4_13_so_many_parts_of_all_files_go_at_once() {
    let hub = Hub::start(10).await;
    let go = Arc::new(Semaphore::new(0));
    for part in 1..=6 {
        hub.script(&format!("PUT /part/{part}"), std::iter::repeat_n(Say::Wait(go.clone()), 5));
    }
    let uploader = hub.uploader(UploadOptions { unanswered_per_file: 0, ..Hub::options() });
    let client = hub.client();
    let names = ["a", "b", "c", "d", "e"];
    let uploads = names.map(|name| uploader.upload(&client, media(name, memory(6))));
    let mut all = Box::pin(futures::future::try_join_all(uploads));
    tokio::select! {
        result = &mut all => panic!("{result:?}"),
        _ = hub.arrivals("PUT", 8) => {}
    }
    let created = hub.seen_of("POST").len();
    assert_eq!((hub.seen_of("PUT").len(), created), (8, 4), "of all, and of files");
    go.add_permits(1000);
    assert_eq!(all.await.unwrap().len(), 5);
    assert_eq!(hub.seen_of("PUT").len(), 5 * 6);
}

#[tokio::test]
async fn h4_14_a_failed_transfer_is_given_up_and_its_own_error_is_told() {
    let hub = Hub::start(10).await;
    hub.script("PUT /part/2", [Say::Json(403, json!({"error": "AccessDenied"}))]);
    hub.script("DELETE", [Say::Json(500, json!({}))]);
    let error = outcome(&hub, memory(3)).await.unwrap_err();
    assert!(matches!(error, UploadError::PartRefused { number: 2, status: 403, .. }), "{error:?}");
    assert_eq!(hub.seen_of("DELETE /api/v1/media/acme/uploads/u1").len(), 1);

    hub.script("POST /api/v1/media/acme/uploads/u1/complete", [Say::Json(422, json!({}))]);
    outcome(&hub, memory(3)).await.unwrap_err();
    assert_eq!(hub.seen_of("DELETE").len(), 1, "none after a complete");
}

#[tokio::test]
async fn h4_17_h4_18_a_complete_is_repeated_and_waited_for() {
    let hub = Hub::start(10).await;
    let complete = "POST /api/v1/media/acme/uploads/u1/complete";
    let busy = || Say::Json(409, json!({"error": {"code": "upload_complete_in_progress"}}));
    hub.script(complete, [Say::Json(500, json!({})), Say::Reset, busy(), Say::Reset, busy()]);
    outcome(&hub, memory(1)).await.unwrap();
    assert_eq!(hub.seen_of(complete).len(), 6);

    hub.script(complete, std::iter::repeat_n(Say::Json(502, json!({})), 9));
    let error = outcome(&hub, memory(1)).await.unwrap_err();
    assert_eq!((error.failure(), hub.seen_of(complete).len()), (UploadFailure::Retryable, 11), "five attempts");
    for (status, failure) in [
        (429, UploadFailure::Retryable),
        (401, UploadFailure::Auth),
        (404, UploadFailure::Terminal),
        (409, UploadFailure::Terminal),
    ] {
        let before = hub.seen_of(complete).len();
        hub.script(complete, [Say::Json(status, json!({}))]);
        let error = outcome(&hub, memory(1)).await.unwrap_err();
        assert_eq!((error.failure(), hub.seen_of(complete).len()), (failure, before + 1), "{status}");
    }
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_not_completed() {
    let hub = Hub::start(10).await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    for (at, change) in [bytes(2), bytes(5)].into_iter().enumerate() {
        std::fs::write(&path, bytes(3)).unwrap();
        let go = Arc::new(Semaphore::new(0));
        hub.script("PUT /part/2", [Say::Wait(go.clone())]);
        let (uploader, client) = (hub.uploader(Hub::options()), hub.client());
        let before = hub.seen_of("PUT").len();
        let mut upload = Box::pin(uploader.upload(&client, media("a", UploadContent::File(path.clone()))));
        tokio::select! {
            result = &mut upload => panic!("{result:?}"),
            _ = hub.arrivals("PUT", before + 3) => {}
        }
        std::fs::write(&path, change).unwrap();
        go.add_permits(1);
        let error = upload.await.unwrap_err();
        assert!(matches!(error, UploadError::Changed { .. }), "{error:?}");
        assert_eq!(hub.seen_of("DELETE").len(), at + 1);
    }
    assert_eq!(hub.seen_of("POST").len(), 2, "none was completed");
}
