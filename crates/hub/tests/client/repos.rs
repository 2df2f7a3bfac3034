//! Sections 7 to 10.

use gen_worker_hub::{
    Blake3Hash, Digest,
    api::{DatasetCreate, DatasetSchema, EnvironmentEntry, MediaUrlsRequest, RenewRequest, RepoMetadata},
    client::{HubError, HubFailure},
    model_ref::RepoName,
};
use serde_json::{Map, Value, json};

use crate::server::{Answer, Server, http};

fn repo() -> RepoName {
    "O/r".parse().unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// All bytes of the blob called `digest`.
async fn blob(server: &Server, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, HubError> {
    let mut reader = server.client().blob(digest, bytes_max).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[tokio::test]
async fn h7_1_metadata_of_what_is_not_there_is_empty() {
    let server = Server::start(vec![
        Answer::Json(200, json!({"metadata": {"a": 1}})),
        Answer::Json(404, json!({})),
        Answer::Json(403, json!({})),
    ])
    .await;
    let client = server.client();
    let found = client.metadata(&repo()).await.unwrap().unwrap();
    assert_eq!(found, RepoMetadata { metadata: object(json!({"a": 1})), exists: true });
    assert_eq!(client.metadata(&repo()).await.unwrap(), Some(RepoMetadata::default()));
    assert!(matches!(client.metadata(&repo()).await, Err(HubError::Auth { status: 403, .. })));
    let seen = &server.seen()[0];
    assert_eq!((seen.line.as_str(), seen.header("x-cozy-owner")), ("GET /api/v1/repos/O/r/metadata", Some("O")));
}

#[tokio::test]
async fn h7_2_metadata_is_replaced_as_a_whole() {
    let server = Server::start(vec![Answer::Json(200, json!({}))]).await;
    let sent = object(json!({"b": [2]}));
    assert_eq!(server.client().put_metadata(&repo(), &sent).await.unwrap().unwrap().metadata, sent);
    let seen = &server.seen()[0];
    assert_eq!((seen.line.as_str(), seen.json()), ("PUT /api/v1/repos/O/r/metadata", json!({"metadata": {"b": [2]}})));
}

#[tokio::test]
async fn h7_3_without_a_token_nothing_is_asked() {
    let server = Server::start(vec![Answer::Json(200, json!({}))]).await;
    let client = server.client().with_token(None);
    assert_eq!(client.metadata(&repo()).await.unwrap(), None);
    assert_eq!(client.put_metadata(&repo(), &Map::new()).await.unwrap(), None);
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn h7_4_blobs_are_verified_while_they_come() {
    let content = vec![7; 300_000];
    let server = Server::start(vec![Answer::Raw(http(200, "", &content))]).await;
    let digests = [Blake3Hash::of(&content).into(), Digest::sha256(&content)];
    for digest in digests {
        assert_eq!(blob(&server, &digest, 300_000).await.unwrap(), content);
    }
    assert_eq!(server.lines(), digests.map(|digest| format!("GET /api/v1/blobs/{digest}/content")));
    let wrong: Digest = Blake3Hash::of(b"other").into();
    let error = blob(&server, &wrong, 300_000).await.unwrap_err();
    assert!(matches!(error, HubError::DigestMismatch(digest) if digest == wrong));
}

#[tokio::test]
async fn h7_4_blobs_have_a_limit() {
    let digest = Blake3Hash::of(b"0123456789").into();
    for bytes in [http(200, "", b"0123456789"), b"HTTP/1.1 200 OK\r\n\r\n0123456789".to_vec()] {
        let server = Server::start(vec![Answer::Raw(bytes)]).await;
        assert!(matches!(blob(&server, &digest, 9).await, Err(HubError::TooLarge { limit_bytes: 9, .. })));
        assert_eq!(blob(&server, &digest, 10).await.unwrap().len(), 10);
    }
}

#[tokio::test]
async fn h7_4_failures_of_blobs_have_kinds() {
    let digest = Blake3Hash::of(b"0123456789").into();
    let mut early = http(200, "", b"0123456789");
    early.truncate(early.len() - 3);
    for (answer, class) in [
        (Answer::Json(404, json!({})), HubFailure::Invalid),
        (Answer::Json(401, json!({})), HubFailure::Fatal),
        (Answer::Json(206, json!({})), HubFailure::Fatal),
        (Answer::Json(500, json!({})), HubFailure::Retryable),
        (Answer::Raw(early), HubFailure::Retryable),
        (Answer::Hangup, HubFailure::Retryable),
    ] {
        let server = Server::start(vec![answer]).await;
        let error = blob(&server, &digest, 10).await.unwrap_err();
        assert_eq!((error.class(), server.lines().len()), (class, 1), "{error:?}");
    }
}

#[tokio::test]
async fn h7_4_a_blob_that_stalls_is_given_up() {
    let mut begun = http(200, "", b"0123456789");
    begun.truncate(begun.len() - 3);
    let server = Server::start(vec![Answer::Stall(begun)]).await;
    let pause = async {
        server.stalled.notified().await;
        tokio::time::pause();
    };
    let digest = Blake3Hash::of(b"0123456789").into();
    let (result, ()) = tokio::join!(blob(&server, &digest, 10), pause);
    assert!(matches!(result, Err(HubError::Timeout { after, .. }) if after.as_secs() == 300), "{result:?}");
}

fn dataset() -> DatasetCreate {
    DatasetCreate {
        owner: "ac me".into(),
        name: "Faces".into(),
        visibility: "private".into(),
        schema: DatasetSchema::of_features(Map::new()),
    }
}

#[tokio::test]
async fn h8_2_a_dataset_is_made_or_changed() {
    let (list, none) = (json!({"items": [{"id": "d7", "name": "FACES"}]}), json!({"items": []}));
    let server = Server::start(vec![
        Answer::Json(200, none),
        Answer::Json(201, json!({"id": "d1"})),
        Answer::Json(200, list),
        Answer::Json(200, json!({})),
    ])
    .await;
    let client = server.client();
    assert_eq!(client.publish_dataset(&dataset(), None).await.unwrap().as_str(), "d1");
    let artifacts = json!([1]);
    assert_eq!(client.publish_dataset(&dataset(), Some(&artifacts)).await.unwrap().as_str(), "d7");
    assert_eq!(
        server.lines(),
        [
            "GET /api/v1/datasets?owner=ac%20me",
            "POST /api/v1/datasets",
            "GET /api/v1/datasets?owner=ac%20me",
            "PATCH /api/v1/datasets/d7",
        ]
    );
    let seen = server.seen();
    assert_eq!(
        seen[1].json(),
        json!({"owner": "ac me", "name": "Faces", "visibility": "private", "schema": {"features": {}}})
    );
    assert_eq!(seen[3].json(), json!({"schema": {"features": {}}, "row_artifacts": [1], "visibility": "private"}));
}

#[tokio::test]
async fn h8_2_a_list_that_fails_is_one_without_it() {
    let server = Server::start(vec![Answer::Json(500, json!({})), Answer::Json(201, json!({"id": "d1"}))]).await;
    assert_eq!(server.client().publish_dataset(&dataset(), None).await.unwrap().as_str(), "d1");
}

#[tokio::test]
async fn h8_7_who_comes_second_changes_what_is_there() {
    let server = Server::start(vec![
        Answer::Json(200, json!({"items": []})),
        Answer::Json(409, json!({"error": {"code": "dataset_exists", "message": "m"}})),
        Answer::Json(200, json!({"items": [{"id": "d7", "name": "faces"}]})),
        Answer::Json(200, json!({})),
    ])
    .await;
    assert_eq!(server.client().publish_dataset(&dataset(), None).await.unwrap().as_str(), "d7");
    let conflict = Answer::Json(409, json!({"error": {"code": "dataset_exists", "message": "m"}}));
    let none = Answer::Json(200, json!({"items": []}));
    let server = Server::start(vec![none.clone(), conflict, none]).await;
    assert_eq!(server.client().publish_dataset(&dataset(), None).await.unwrap_err().code(), Some("dataset_exists"));
}

#[tokio::test]
async fn h9_3_a_renewal_carries_the_token_of_the_worker() {
    let server = Server::start(vec![
        Answer::Json(200, json!({"capability_token": "new", "expires_at_unix": 17})),
        Answer::Json(409, json!({"error": {"code": "attempt_mismatch", "message": "m"}})),
    ])
    .await;
    let worker = "worker-jwt".parse().unwrap();
    let request = RenewRequest { request_id: "r1".into(), attempt: 2, capability_token: "old".parse().unwrap() };
    let renewed = server.client().renew_capability(&worker, &request).await.unwrap();
    assert_eq!((renewed.capability_token.reveal(), renewed.expires_at_unix), ("new", 17));
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "POST /v1/worker/capability/renew");
    assert_eq!((seen.header("authorization"), seen.header("x-cozy-owner")), (Some("Bearer worker-jwt"), None));
    assert_eq!(seen.json(), json!({"request_id": "r1", "attempt": 2, "capability_token": "old"}));
    let error = server.client().renew_capability(&worker, &request).await.unwrap_err();
    assert_eq!(error.code(), Some("attempt_mismatch"));
}

#[tokio::test]
async fn h9_8_addresses_of_media_are_asked_for() {
    let reply = json!({"urls": {"a": {"url": "http://h/a?sig=1", "expires_at": "soon"}}, "missing": ["b"]});
    let server = Server::start(vec![Answer::Json(200, reply)]).await;
    let request = MediaUrlsRequest { refs: vec!["a".parse().unwrap(), "b".parse().unwrap()] };
    let urls = server.client().media_urls(&request).await.unwrap();
    assert_eq!((urls.urls.len(), urls.missing), (1, vec!["b".to_owned()]));
    assert_eq!(server.lines(), ["POST /api/v1/media/urls"]);
}

#[tokio::test]
async fn h10_1_variables_are_set_and_resolved() {
    let server = Server::start(vec![
        Answer::Json(201, json!({})),
        Answer::Json(200, json!({})),
        Answer::Json(204, json!({})),
        Answer::Json(200, json!({"env": {"KEY": "hush"}})),
        Answer::Json(200, json!({"env": {"KEY": 7, "OTHER": "hush"}})),
    ])
    .await;
    let client = server.client();
    let entry: EnvironmentEntry = serde_json::from_value(json!({"name": "KEY", "value": "hush"})).unwrap();
    client.add_variable("o", "e", &entry).await.unwrap();
    client.put_variable("o", "e", &entry).await.unwrap();
    client.remove_variable("o", "e", &entry.name).await.unwrap();
    let release = "r_1".parse().unwrap();
    assert_eq!(client.environment("o", "e", &release).await.unwrap().env["KEY"], "hush");
    let error = client.environment("o", "e", &release).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hush"));
    let path = "/api/v1/endpoints/o/e/env";
    assert_eq!(
        server.lines()[..4],
        [
            format!("POST {path}"),
            format!("PUT {path}/KEY"),
            format!("DELETE {path}/KEY"),
            format!("GET {path}/resolve?release_id=r_1"),
        ]
    );
    assert_eq!(server.seen()[0].json()["value"], "hush");
}
