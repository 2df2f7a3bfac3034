//! Section 3.

use std::time::Duration;

use gen_worker_hub::{
    HubRef,
    client::{HubError, HubFailure},
};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

const HEX: &str = "6e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279";

fn good() -> Value {
    let file = json!({"path": "config.json", "size_bytes": 2, "blake3": HEX, "url": "http://h/a?sig=1"});
    json!({"snapshot_digest": format!("blake3:{HEX}"), "files": [file], "tenant": "o", "unknown": [1]})
}

async fn resolve(server: &Server, text: &str) -> Result<gen_worker_hub::api::Resolved, HubError> {
    server.client().resolve(&HubRef::parse(text).unwrap()).await
}

#[tokio::test]
async fn h3_the_query_is_digest_or_tag_and_flavor() {
    let server = Server::start(vec![Answer::Json(200, good())]).await;
    let pinned = format!("O/R:v1@sha256:{HEX}#fp8");
    for text in ["O/R", "o/r:v+1#FP8", pinned.as_str()] {
        let resolved = resolve(&server, text).await.unwrap();
        assert_eq!((resolved.snapshot.as_str(), resolved.files.len()), (HEX, 1));
    }
    assert_eq!(
        server.lines(),
        [
            "GET /api/v1/repos/O/R/resolve?tag=latest".to_owned(),
            "GET /api/v1/repos/o/r/resolve?tag=v%2B1&flavor=fp8".to_owned(),
            format!("GET /api/v1/repos/O/R/resolve?digest=sha256%3A{HEX}&flavor=fp8"),
        ]
    );
    let short = HubRef::parse_for_lookup("o/r@blake3:dead").unwrap();
    assert!(matches!(server.client().resolve(&short).await, Err(HubError::Refused { .. })));
    assert_eq!(server.lines().len(), 3);
}

#[tokio::test]
async fn h3_1_only_200_is_success_and_nothing_is_repeated() {
    for status in [201, 202, 206, 302, 400, 500, 503] {
        let server = Server::start(vec![Answer::Json(status, good())]).await;
        let error = resolve(&server, "o/r").await.unwrap_err();
        assert!(matches!(error, HubError::Status { status: found, .. } if found == status), "{error:?}");
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn h3_5_and_3_6_refusals_have_kinds() {
    let server = Server::start(vec![
        Answer::Json(404, json!({"error": {"code": "not_found", "message": "m"}})),
        Answer::Json(401, json!({"error": "text"})),
        Answer::Json(403, json!(null)),
        Answer::With(429, "Retry-After", "17"),
        Answer::With(429, "Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ])
    .await;
    let error = resolve(&server, "o/r").await.unwrap_err();
    assert!(matches!(error, HubError::NotFound { .. }) && error.class() == HubFailure::Invalid);
    for status in [401, 403] {
        let error = resolve(&server, "o/r").await.unwrap_err();
        assert!(matches!(error, HubError::Auth { status: found, .. } if found == status));
        assert!(error.to_string().contains("token") && error.class() == HubFailure::Fatal);
    }
    let error = resolve(&server, "o/r").await.unwrap_err();
    assert_eq!(error.class(), HubFailure::Retryable);
    assert!(
        matches!(error, HubError::RateLimited { retry_after: Some(after), .. } if after == Duration::from_secs(17))
    );
    let error = resolve(&server, "o/r").await.unwrap_err();
    assert!(matches!(error, HubError::RateLimited { retry_after: None, .. }));
}

#[tokio::test]
async fn h6_5_retry_after_is_any_positive_number() {
    for (value, millis) in
        [("1.5", Some(1500)), (" 7", Some(7000)), ("0", None), ("-1", None), ("inf", None), ("x", None)]
    {
        let server = Server::start(vec![Answer::With(429, "Retry-After", value)]).await;
        let error = resolve(&server, "o/r").await.unwrap_err();
        let HubError::RateLimited { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after.map(|after| after.as_millis()), millis, "{value}");
    }
}

#[tokio::test]
async fn h12_2_the_digest_of_a_tree_is_taken_as_the_server_gives_it() {
    // Not the hash of the one file, and nothing that anybody could compute: a name.
    for (told, name) in [("blake3:ab12", "ab12"), ("v1.2-2024", "v1.2-2024"), (&"Z".repeat(128), &"Z".repeat(128))] {
        let server = Server::start(vec![Answer::Json(200, json!({"snapshot_digest": told, "files": good()["files"]}))]);
        let resolved = resolve(&server.await, "o/r").await.unwrap();
        assert_eq!(resolved.snapshot.as_str(), name);
    }
    // A directory is called that: what could lead elsewhere is no name.
    for bad in ["../up", "a/b", "a\\b", ".hidden", "a b", "", &"a".repeat(129)] {
        let server = Server::start(vec![Answer::Json(200, json!({"snapshot_digest": bad, "files": good()["files"]}))]);
        assert!(matches!(resolve(&server.await, "o/r").await, Err(HubError::Reply { .. })), "{bad:?}");
    }
}

#[tokio::test]
async fn h1_12_fields_that_the_client_does_not_know_change_nothing() {
    let mut newer = good();
    newer["x_from_the_future"] = json!({"deep": [null, {"er": 1}]});
    newer["files"][0]["x_from_the_future"] = json!([1]);
    let server = Server::start(vec![Answer::Json(200, good()), Answer::Json(200, newer)]).await;
    let known = resolve(&server, "o/r").await.unwrap();
    assert_eq!(resolve(&server, "o/r").await.unwrap(), known);
}
