//! Section 6.

use gen_worker_hub::{
    Blake3Hash, ServerId,
    api::{CommitCreate, CommitMode, CommitOperation, CommitTag, CompleteRequest},
    client::{HubClient, HubClientOptions, HubError, HubFailure, HubTiming, PollPolicy},
    model_ref::RepoName,
};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

const PATH: &str = "/api/v1/repos/O/r/commits";

fn repo() -> RepoName {
    "O/r".parse().unwrap()
}

fn id(text: &str) -> ServerId {
    text.parse().unwrap()
}

fn add(path: &str) -> CommitOperation {
    CommitOperation::Add { path: path.parse().unwrap(), blake3: Blake3Hash::of(b"{}"), size_bytes: 2 }
}

fn commit() -> CommitCreate {
    let tags = vec![CommitTag { tag: "v1".parse().unwrap(), default_flavor: Some("bf16".into()) }];
    CommitCreate { tags, ..CommitCreate::new(CommitMode::Merge, vec![add("a")]) }
}

fn created() -> Value {
    let upload = json!({"path": "a", "exists": false, "upload_id": "u1", "part_urls": ["http://h/1"]});
    json!({"revision_id": "r1", "uploads": [upload], "deletions": [], "copies": [], "tags": ["v1"], "mode": "merge"})
}

fn finalized() -> Value {
    json!({"checkpoint_id": format!("blake3:{}", Blake3Hash::of(b"{}"))})
}

fn failing() -> [Answer; 4] {
    [
        Answer::Hangup,
        Answer::With(429, "Retry-After", "7"),
        Answer::Json(503, json!({})),
        Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec()),
    ]
}

async fn complete(server: &Server) -> Result<(), HubError> {
    let client = server.client();
    client.complete_commit_upload(&repo(), &id("r1"), &id("u1"), &CompleteRequest::default()).await
}

#[tokio::test]
async fn h6_a_commit_from_create_to_finalize() {
    let server = Server::start(vec![
        Answer::Json(201, created()),
        Answer::Json(200, json!({})),
        Answer::Json(202, json!({"status": "running"})),
        Answer::Json(202, json!({"status": "running"})),
        Answer::Json(200, finalized()),
    ])
    .await;
    let client = server.client();
    let open = client.create_commit(&repo(), &commit()).await.unwrap();
    assert_eq!((open.revision_id.as_str(), open.uploads[0].upload_id.as_str()), ("r1", "u1"));
    complete(&server).await.unwrap();
    let done = client.finalize_commit(&repo(), &open.revision_id).await.unwrap();
    assert_eq!(done.checkpoint_id, Blake3Hash::of(b"{}").into());
    let finalize = format!("POST {PATH}/r1/finalize");
    assert_eq!(
        server.lines(),
        [
            format!("POST {PATH}"),
            format!("POST {PATH}/r1/uploads/u1/complete"),
            finalize.clone(),
            finalize.clone(),
            finalize,
        ]
    );
    let seen = server.seen();
    assert_eq!(seen[0].json()["tags"], json!([{"tag": "v1", "default_flavor": "bf16"}]));
    assert!(seen.iter().all(|seen| seen.header("x-cozy-owner") == Some("acme")));
}

#[tokio::test]
async fn h1_11_a_finalize_is_json_without_a_body() {
    let server = Server::start(vec![Answer::Json(200, finalized())]).await;
    server.client().finalize_commit(&repo(), &id("r1")).await.unwrap();
    let seen = &server.seen()[0];
    assert_eq!((seen.header("content-type"), seen.body.len()), (Some("application/json"), 0));
}

#[tokio::test]
async fn h6_1_what_cannot_be_a_commit_is_not_sent() {
    let server = Server::start(vec![Answer::Json(201, created())]).await;
    let client = server.client();
    let of = |operations| CommitCreate::new(CommitMode::Replace, operations);
    for bad in [of(vec![]), of(vec![add("a"), add("a")]), of(vec![add("a"), add("A")]), of(vec![add("a"), add("a/b")])]
    {
        assert!(matches!(client.create_commit(&repo(), &bad).await, Err(HubError::Refused { .. })));
    }
    let anonymous = client.with_token(None);
    assert!(matches!(anonymous.create_commit(&repo(), &commit()).await, Err(HubError::Refused { .. })));
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn h6_5_create_and_finalize_are_tried_five_times() {
    let server = Server::start([&failing()[..], &[Answer::Json(201, created())]].concat()).await;
    server.client().create_commit(&repo(), &commit()).await.unwrap();
    assert_eq!(server.lines().len(), 5);
    let server = Server::start([&failing()[..], &[Answer::Json(200, finalized())]].concat()).await;
    server.client().finalize_commit(&repo(), &id("r1")).await.unwrap();
    assert_eq!(server.lines().len(), 5);
    for answer in failing() {
        let server = Server::start(vec![answer]).await;
        let error = server.client().create_commit(&repo(), &commit()).await.unwrap_err();
        assert_eq!((error.class(), server.lines().len()), (HubFailure::Retryable, 5));
    }
}

#[tokio::test]
async fn h6_5_other_refusals_return_at_once() {
    for status in [400, 401, 403, 404, 409, 410, 422] {
        let body = json!({"error": {"code": "commit_closed", "message": "m"}});
        let server = Server::start(vec![Answer::Json(status, body)]).await;
        assert!(server.client().create_commit(&repo(), &commit()).await.is_err());
        let error = server.client().finalize_commit(&repo(), &id("r1")).await.unwrap_err();
        assert_eq!(server.lines().len(), 2, "{status}");
        assert!(matches!(status, 401 | 403 | 404) || error.code() == Some("commit_closed"));
    }
}

#[tokio::test]
async fn h6_6_a_lost_or_busy_complete_is_asked_for_again() {
    let busy = || Answer::Json(409, json!({"error": {"code": "upload_complete_in_progress", "message": "m"}}));
    let lost = vec![Answer::Hangup; 7];
    let server = Server::start([&lost[..], &[busy(), busy(), Answer::Json(200, json!({}))]].concat()).await;
    complete(&server).await.unwrap();
    assert_eq!(server.lines().len(), 10);
    let server = Server::start(vec![Answer::Json(503, json!({}))]).await;
    assert!(matches!(complete(&server).await, Err(HubError::Status { status: 503, .. })));
    assert_eq!(server.lines().len(), 5);
    let server = Server::start(vec![busy(), Answer::Json(409, json!({}))]).await;
    assert!(matches!(complete(&server).await, Err(HubError::Status { status: 409, .. })));
}

#[tokio::test]
async fn h6_6_and_6_8_waiting_ends() {
    for (answer, finalize) in [
        (Answer::Hangup, false),
        (Answer::Json(409, json!({"error": {"code": "upload_complete_in_progress", "message": "m"}})), false),
        (Answer::Json(202, json!({})), true),
    ] {
        let server = Server::start(vec![answer]).await;
        let options = server.options();
        let poll = PollPolicy { limit: std::time::Duration::from_millis(20), ..options.timing.finalize_poll };
        let timing = HubTiming { finalize_poll: poll, commit_complete_poll: poll, ..options.timing.clone() };
        let client = HubClient::new(HubClientOptions { timing, ..options }).unwrap();
        let error = if finalize {
            client.finalize_commit(&repo(), &id("r1")).await.map(drop)
        } else {
            client.complete_commit_upload(&repo(), &id("r1"), &id("u1"), &CompleteRequest::default()).await
        };
        assert!(matches!(error, Err(HubError::Unfinished { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn h6_7_only_an_abort_deletes() {
    let server = Server::start(vec![Answer::Json(422, json!({}))]).await;
    let client = server.client();
    client.finalize_commit(&repo(), &id("r1")).await.unwrap_err();
    client.abort_commit(&repo(), &id("r1")).await;
    assert_eq!(server.lines(), [format!("POST {PATH}/r1/finalize"), format!("DELETE {PATH}/r1")]);
}

#[tokio::test]
async fn h6_5_a_create_keeps_its_name_when_it_is_sent_again() {
    let created =
        json!({"revision_id": "r1", "uploads": [], "deletions": 0, "copies": 0, "tags": [], "mode": "replace"});
    let script = vec![Answer::Hangup, Answer::Json(503, json!({})), Answer::Json(201, created)];
    let server = Server::start(script).await;
    let (client, repo) = (server.client(), "o/r".parse().unwrap());
    for _ in 0..2 {
        client.create_commit(&repo, &commit()).await.unwrap();
    }
    let names: Vec<_> = server.seen().iter().map(|seen| seen.header("idempotency-key").map(str::to_owned)).collect();
    assert_eq!(names.len(), 4);
    assert!(names[0].as_ref().is_some_and(|name| name.len() == 32), "{names:?}");
    assert!(names[1] == names[0] && names[2] == names[0], "one call: {names:?}");
    assert_ne!(names[3], names[0], "another call");
}
