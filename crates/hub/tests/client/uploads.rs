//! Sections 4 and 5.

use gen_worker_hub::{
    Blake3Hash, ServerId,
    api::{
        CompleteRequest, LocalFile, PartEtag, ReplyError, SessionOpen, UploadCreate, UploadPlace, UploadSource,
        UploadStart,
    },
    client::{HubClient, HubError, HubFailure, HubTiming, PollPolicy, UploadTarget},
};
use serde_json::{Value, json};

use crate::server::{Answer, Server};

fn local() -> LocalFile {
    LocalFile { reference: "a/b".into(), size_bytes: 2, blake3: Blake3Hash::of(b"{}"), mime_type: "x/y".into() }
}

fn create() -> UploadCreate {
    UploadCreate {
        blake3: local().blake3,
        size_bytes: 2,
        request_id: Some("r1".into()),
        job_id: None,
        content_type: None,
        create: false,
        place: UploadPlace::media("/a/b").unwrap(),
    }
}

fn media() -> UploadTarget {
    UploadTarget::Media { owner: "ac/me".into() }
}

fn revision() -> UploadTarget {
    UploadTarget::Revision { repo: "O/r".parse().unwrap(), session: id("s1") }
}

fn id(text: &str) -> ServerId {
    text.parse().unwrap()
}

fn parts() -> Value {
    json!({"upload_id": "u1", "part_urls": ["http://h/1?sig=1"]})
}

fn request() -> CompleteRequest {
    CompleteRequest::of_parts(vec![PartEtag { part_number: 1, etag: "\"e\"".into() }])
}

fn conflict(code: &str) -> Answer {
    Answer::Json(409, json!({"error": {"code": code, "message": "m"}}))
}

async fn completed(server: &Server) -> Result<(), HubError> {
    server.client().complete_upload(&media(), &id("u1"), &request(), &local()).await.map(drop)
}

#[tokio::test]
async fn h4a_create_goes_to_media_or_a_revision() {
    let server = Server::start(vec![Answer::Json(200, parts())]).await;
    let client = server.client();
    let start = client.create_upload(&media(), &create(), &local()).await.unwrap();
    assert!(matches!(start, UploadStart::Transfer { source: UploadSource::Parts(_), .. }));
    let error = client.create_upload(&revision(), &create(), &local()).await.unwrap_err();
    assert!(matches!(error, HubError::Reply { source: ReplyError::GrantNeeded, .. }), "{error:?}");
    assert_eq!(server.lines(), ["POST /api/v1/media/ac%2Fme/uploads", "POST /api/v1/repos/O/r/revisions/s1/uploads"]);
    let first = &server.seen()[0];
    assert_eq!((first.header("x-cozy-owner"), first.header("content-type")), (Some("acme"), Some("application/json")));
    assert_eq!(first.json()["ref"], "a/b");
}

#[tokio::test]
async fn h4_1_an_empty_file_and_a_bad_owner_are_refused_here() {
    let server = Server::start(vec![Answer::Json(200, parts())]).await;
    let client = server.client();
    let empty = client.create_upload(&media(), &UploadCreate { size_bytes: 0, ..create() }, &local()).await;
    assert!(matches!(empty, Err(HubError::Refused { .. })));
    for owner in ["", ".."] {
        let nobody = UploadTarget::Media { owner: owner.into() };
        assert!(matches!(client.create_upload(&nobody, &create(), &local()).await, Err(HubError::Refused { .. })));
    }
    assert!(server.lines().is_empty());
}

#[tokio::test]
async fn h4_2_a_create_is_sent_once() {
    for (status, class) in [
        (401, HubFailure::Fatal),
        (403, HubFailure::Fatal),
        (404, HubFailure::Invalid),
        (409, HubFailure::Invalid),
        (429, HubFailure::Retryable),
        (503, HubFailure::Retryable),
    ] {
        let server = Server::start(vec![Answer::Json(status, json!({}))]).await;
        let error = server.client().create_upload(&media(), &create(), &local()).await.unwrap_err();
        assert_eq!((error.class(), server.lines().len()), (class, 1), "{status}");
    }
    let server = Server::start(vec![Answer::Hangup]).await;
    let error = server.client().create_upload(&media(), &create(), &local()).await.unwrap_err();
    assert_eq!((error.class(), server.lines().len()), (HubFailure::Retryable, 1));
}

#[tokio::test]
async fn h4_4_known_content_needs_no_complete() {
    let server = Server::start(vec![Answer::Json(200, json!({"dedup": true, "media_id": "m1"}))]).await;
    let start = server.client().create_upload(&media(), &create(), &local()).await.unwrap();
    assert!(matches!(start, UploadStart::Done(file) if file.media_id.as_deref() == Some("m1")));
}

#[tokio::test]
async fn h4_14_an_abort_does_not_mind_the_answer() {
    for answer in [Answer::Json(204, json!(null)), Answer::Json(500, json!({})), Answer::Hangup] {
        let server = Server::start(vec![answer]).await;
        server.client().abort_upload(&media(), &id("u1")).await;
        assert_eq!(server.lines(), ["DELETE /api/v1/media/ac%2Fme/uploads/u1"]);
    }
}

#[tokio::test]
async fn h4_17_a_complete_is_tried_five_times() {
    let done = Answer::Json(200, json!({"ref": "a/b", "size_bytes": 2}));
    let server = Server::start(vec![Answer::Hangup, Answer::Json(503, json!({})), done]).await;
    completed(&server).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for request in &seen {
        assert_eq!(request.line, "POST /api/v1/media/ac%2Fme/uploads/u1/complete");
        assert_eq!(request.json(), json!({"parts": [{"part_number": 1, "etag": "\"e\""}]}));
    }
    for answer in [Answer::Hangup, Answer::Json(500, json!({}))] {
        let server = Server::start(vec![answer]).await;
        assert_eq!(completed(&server).await.unwrap_err().class(), HubFailure::Retryable);
        assert_eq!(server.lines().len(), 5);
    }
}

#[tokio::test]
async fn h4_17_refusals_are_not_repeated() {
    for (status, class) in
        [(429, HubFailure::Retryable), (401, HubFailure::Fatal), (422, HubFailure::Invalid), (404, HubFailure::Invalid)]
    {
        let server = Server::start(vec![Answer::Json(status, json!({}))]).await;
        assert_eq!(completed(&server).await.unwrap_err().class(), class, "{status}");
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn h4_18_a_complete_that_runs_is_waited_for() {
    let busy = || conflict("upload_complete_in_progress");
    let server = Server::start(vec![busy(), Answer::Hangup, busy(), Answer::Json(200, json!({}))]).await;
    completed(&server).await.unwrap();
    assert_eq!(server.lines().len(), 4);
    let server = Server::start(vec![busy(), conflict("ref_exists")]).await;
    let error = completed(&server).await.unwrap_err();
    assert_eq!((error.code(), server.lines().len()), (Some("ref_exists"), 2));
    let server = Server::start(vec![conflict("other")]).await;
    assert!(completed(&server).await.is_err() && server.lines().len() == 1);
}

#[tokio::test]
async fn h4_18_waiting_ends() {
    let server = Server::start(vec![conflict("upload_complete_in_progress")]).await;
    let options = server.options();
    let poll = PollPolicy { limit: std::time::Duration::from_millis(20), ..options.timing.complete_poll };
    let timing = HubTiming { complete_poll: poll, ..options.timing.clone() };
    let client = HubClient::new(gen_worker_hub::client::HubClientOptions { timing, ..options }).unwrap();
    let error = client.complete_upload(&media(), &id("u1"), &request(), &local()).await.unwrap_err();
    assert!(matches!(error, HubError::Unfinished { .. }) && error.class() == HubFailure::Retryable, "{error:?}");
}

#[tokio::test]
async fn h4_20_a_complete_of_other_content_is_refused() {
    let server = Server::start(vec![Answer::Json(200, json!({"blake3": Blake3Hash::of(b"other")}))]).await;
    assert!(matches!(completed(&server).await, Err(HubError::Reply { source: ReplyError::Invalid("blake3"), .. })));
}

#[tokio::test]
async fn h5_1_a_session_is_opened_finalized_and_aborted() {
    let opened = Answer::Json(200, json!({"session_id": "s1", "expires_at": "soon"}));
    let server = Server::start(vec![opened, Answer::Json(200, json!({}))]).await;
    let (client, repo) = (server.client(), "O/r".parse().unwrap());
    let open = SessionOpen { job_id: Some("j1".into()), ..SessionOpen::default() };
    let session = client.open_session(&repo, &open).await.unwrap();
    assert_eq!((session.session_id.as_str(), session.expires_at), ("s1", Some(json!("soon"))));
    client.finalize_session(&repo, &session.session_id).await.unwrap();
    client.abort_session(&repo, &session.session_id).await;
    let path = "/api/v1/repos/O/r/revisions";
    assert_eq!(
        server.lines(),
        [format!("POST {path}"), format!("POST {path}/s1/finalize"), format!("DELETE {path}/s1"),]
    );
    assert_eq!(server.seen()[0].json(), json!({"job_id": "j1"}));
}

#[tokio::test]
async fn h5_3_an_open_without_a_session_fails() {
    for (answer, class) in [
        (Answer::Json(403, json!({})), HubFailure::Fatal),
        (Answer::Json(409, json!({})), HubFailure::Invalid),
        (Answer::Hangup, HubFailure::Retryable),
        (Answer::Json(200, json!({})), HubFailure::Fatal),
        (Answer::Json(200, json!({"session_id": "../x"})), HubFailure::Fatal),
    ] {
        let server = Server::start(vec![answer]).await;
        let error = server.client().open_session(&"o/r".parse().unwrap(), &SessionOpen::default()).await.unwrap_err();
        assert_eq!((error.class(), server.lines().len()), (class, 1), "{error:?}");
    }
}
