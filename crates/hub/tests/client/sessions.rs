//! Sessions of one job.

use gen_worker_hub::{
    api::RepoFields,
    client::{HubError, JobSessions, UploadTarget},
};
use serde_json::json;

use crate::server::{Answer, Server};

fn kind(kind: &str) -> RepoFields {
    RepoFields { kind: kind.to_owned(), ..RepoFields::default() }
}

async fn id(sessions: &JobSessions, repo: &str, fields: &RepoFields) -> Result<String, HubError> {
    let target = sessions.target(&repo.parse().unwrap(), fields).await?;
    let UploadTarget::Revision { session, .. } = target else { return Ok("no revision".to_owned()) };
    Ok(session.to_string())
}

#[tokio::test]
async fn h5_2_one_session_for_each_kind_and_repository_opened_on_first_use() {
    let opened = |id: &str| Answer::Json(200, json!({"session_id": id}));
    let script = vec![Answer::Json(500, json!({})), opened("s1"), opened("s2"), opened("s3")];
    let server = Server::start(script).await;
    let sessions = JobSessions::new(server.client(), Some("j1".to_owned()));
    assert!(server.lines().is_empty(), "none is opened before it is used");
    let (model, adapter) = (kind("model"), kind("adapter"));
    assert!(id(&sessions, "o/r", &model).await.is_err());
    // Those who come at once share one, and an open that failed is no open.
    let (one, other) = tokio::join!(id(&sessions, "o/r", &model), id(&sessions, "O/R", &model));
    assert_eq!((one.unwrap().as_str(), other.unwrap().as_str()), ("s1", "s1"));
    assert_eq!(id(&sessions, "o/r", &adapter).await.unwrap(), "s2");
    assert_eq!(id(&sessions, "o/other", &model).await.unwrap(), "s3");
    for (repo, fields, expected) in [("o/r", &model, "s1"), ("o/r", &adapter, "s2"), ("o/other", &model, "s3")] {
        assert_eq!(id(&sessions, repo, fields).await.unwrap(), expected);
    }
    let paths = ["o/r", "o/r", "o/r", "o/other"].map(|repo| format!("POST /api/v1/repos/{repo}/revisions"));
    assert_eq!(server.lines(), paths);
    assert_eq!(server.seen()[1].json(), json!({"job_id": "j1", "kind": "model"}));
}

#[tokio::test]
async fn a_job_has_no_more_than_so_many_sessions() {
    let server = Server::start(vec![Answer::Json(200, json!({"session_id": "s"}))]).await;
    let sessions = JobSessions::new(server.client(), None);
    for number in 0..64 {
        id(&sessions, &format!("o/r{number}"), &RepoFields::default()).await.unwrap();
    }
    let refused = id(&sessions, "o/more", &RepoFields::default()).await;
    assert!(matches!(refused, Err(HubError::Refused { .. })), "{refused:?}");
    assert!(id(&sessions, "o/r7", &RepoFields::default()).await.is_ok());
}
