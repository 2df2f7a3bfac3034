//! Sessions: several uploads of one job to a repository, each with a grant (Hub contract, section 5).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use gen_worker_hub::{
    RepoPath, ServerId,
    api::{
        CommitCreate, CommitMode, CompleteRequest, PART_SIZE_DEFAULT, PARTS_MAX, SessionFinalize, SessionOpen,
        SessionOpened, UploadCreate, UploadPlace,
    },
    model_ref::RepoName,
};
use jiff::Timestamp;
use serde_json::json;

use super::{
    body::{self, COMMIT_MAX, SMALL_MAX},
    caller::Caller,
    commits::{self, LABELS_MAX, writable},
    error::ApiError,
    text::Place,
    transferred,
    uploads::{OPEN_S, described, mime_type, new_id, object},
};
use crate::{
    grants::Access,
    hub::{Hub, Visibility},
    metadata::{NewCommit, NewUpload, SessionUploadOpened, Upload, UploadOwner},
};

/// Checkpoints of one session.
const CHECKPOINTS_MAX: usize = 64;

/// Largest file: as many parts as S3 allows, of the size that clients send (Hub contract, 4.25).
const TRANSFER_BYTES_MAX: u64 = PART_SIZE_DEFAULT * PARTS_MAX as u64;

/// Opens a session.
pub(crate) async fn open(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo)): Path<(String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let repo = writable(&owner, &repo, &caller)?;
    let open: SessionOpen = body::read_or_default(body, SMALL_MAX).await?;
    let now_s = hub.options.clock.now_s();
    let new = NewCommit {
        id: new_id()?,
        repo,
        private: hub.options.visibility == Visibility::Private,
        body: CommitCreate { repo: open.repo, ..CommitCreate::new(CommitMode::Replace, Vec::new()) },
        expires_s: now_s.saturating_add(OPEN_S),
        repeat: None,
    };
    let (session_id, expires_s) = (new.id.clone(), new.expires_s);
    hub.metadata.open_session(new, caller.author()).await.map_err(ApiError::of_commit)?;
    let expires = i64::try_from(expires_s).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let expires_at = expires.map(|time| time.to_string().into());
    body::json(StatusCode::CREATED, &SessionOpened { session_id, expires_at })
}

/// Announces a file.
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo, session)): Path<(String, String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let (repo, session) = session_of(&owner, &repo, &session, &caller)?;
    let create: UploadCreate = body::read(body, SMALL_MAX).await?;
    let UploadPlace::Path(path) = create.place else {
        return Err(ApiError::invalid("invalid_body", "uploads to a revision need a path"));
    };
    caller.check_file(create.size_bytes)?;
    if create.size_bytes > TRANSFER_BYTES_MAX {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "file_too_large",
            "the file would need too many parts",
        ));
    }
    let now_s = hub.options.clock.now_s();
    let new = NewUpload {
        id: new_id()?,
        owner: UploadOwner::Commit(session),
        blake3: create.blake3,
        size_bytes: create.size_bytes,
        mime_type: mime_type(create.content_type)?,
        expires_s: now_s.saturating_add(OPEN_S),
    };
    let opened = hub.metadata.open_session_upload(repo, new.clone(), path.clone(), caller.author(), now_s).await;
    match opened.map_err(ApiError::of_commit)? {
        SessionUploadOpened::Known { sha256 } => {
            let sha256 = match sha256 {
                Some(sha256) => Some(sha256),
                None => hub.sha256_soon(new.blake3).await?,
            };
            let known = Upload { new, parts: Vec::new(), complete: true, sha256, created: false };
            let mut reply = object(&described(&known, path.as_str()));
            reply.insert("dedup".to_owned(), true.into());
            body::json(StatusCode::OK, &reply)
        }
        SessionUploadOpened::Wanted => {
            let grant = hub.grants.grant(&Access::Write(new.id.clone()), now_s);
            let grant = grant.ok_or_else(|| ApiError::not_found("address"))?;
            body::json(StatusCode::OK, &json!({"upload_id": new.id, "transfer_grant": grant}))
        }
    }
}

/// Says that all bytes are there.
pub(crate) async fn complete(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo, session, upload)): Path<(String, String, String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let (upload, path) = find(&hub, (&owner, &repo, &session, &upload), &caller).await?;
    let request: CompleteRequest = body::read(body, SMALL_MAX).await?;
    let transfer = request.transfer.ok_or_else(|| ApiError::invalid("invalid_body", "the body names no transfer"))?;
    let upload = transferred::complete(&hub, upload, &transfer).await?;
    body::json(StatusCode::OK, &described(&upload, path.as_str()))
}

/// Gives an upload up.
pub(crate) async fn abort(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo, session, upload)): Path<(String, String, String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let (upload, _) = find(&hub, (&owner, &repo, &session, &upload), &caller).await?;
    hub.metadata.drop_upload(upload.new.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ends the session with the checkpoints that the body names; without any, it just ends.
pub(crate) async fn finalize(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo, session)): Path<(String, String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let (repo, session) = session_of(&owner, &repo, &session, &caller)?;
    let (finalize, _turn) =
        hub.large_bodies.read_or_default::<SessionFinalize>(body, COMMIT_MAX, Some(Place::Session)).await?;
    if finalize.checkpoint_flavors.len() > CHECKPOINTS_MAX {
        let message = format!("a session makes at most {CHECKPOINTS_MAX} checkpoints");
        return Err(ApiError::invalid("invalid_commit", message));
    }
    // Each checkpoint gets all of them.
    if finalize.tags.len() > LABELS_MAX {
        return Err(ApiError::invalid("invalid_commit", format!("a session has at most {LABELS_MAX} tags")));
    }
    let checkpoints = finalize.into_commits();
    let no_blake3 = |path: RepoPath| ApiError::invalid("invalid_commit", format!("{path} is not named by its BLAKE3"));
    let checkpoints = checkpoints.map_err(no_blake3)?;
    checkpoints.iter().try_for_each(commits::check_form)?;
    hub.inspect(&checkpoints).await.map_err(ApiError::of_finalize)?;
    let now_s = hub.options.clock.now_s();
    let done = hub.metadata.finalize_session(repo, session.clone(), checkpoints, caller.reader(), now_s).await;
    let done = done.map_err(ApiError::of_commit)?;
    body::json(StatusCode::OK, &json!({"session_id": session, "checkpoints": done}))
}

/// Gives the session up.
pub(crate) async fn close(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo, session)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let (repo, session) = session_of(&owner, &repo, &session, &caller)?;
    hub.metadata.close_session(repo, session, hub.options.clock.now_s()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn session_of(owner: &str, repo: &str, session: &str, caller: &Caller) -> Result<(RepoName, ServerId), ApiError> {
    let repo = writable(owner, repo, caller)?;
    let session = session.parse().map_err(|_| ApiError::not_found("session"))?;
    Ok((repo, session))
}

async fn find(
    hub: &Hub,
    (owner, repo, session, upload): (&str, &str, &str, &str),
    caller: &Caller,
) -> Result<(Upload, RepoPath), ApiError> {
    let (repo, session) = session_of(owner, repo, session, caller)?;
    let id: ServerId = upload.parse().map_err(|_| ApiError::not_found("upload"))?;
    let found = hub.metadata.session_upload(repo, session, id, hub.options.clock.now_s()).await?;
    found.ok_or_else(|| ApiError::not_found("upload"))
}
