//! Commits: open, bring the bytes, finalize (Hub contract, section 6).

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use gen_worker_hub::{
    Blake3Hash, ServerId,
    api::{COMMIT_OPERATIONS_MAX, CommitCreate, CommitOperation, CompleteRequest},
    model_ref::RepoName,
    token::Area,
};
use serde_json::{Value, json};

use super::{
    body::{self, COMMIT_MAX, SMALL_MAX},
    caller::{Caller, repo_name},
    complete,
    error::ApiError,
    parts, repeat,
    text::Place,
    uploads::{OPEN_S, new_id},
};
use crate::{
    hub::{FinalizeError, Hub, Progress, Visibility},
    metadata::{CommitOpened, Finalized, NewCommit, NewUpload, check_names},
};

/// Tags of one commit, and flavors: each is looked at for every label of the tree.
pub(super) const LABELS_MAX: usize = 64;

/// Parts of all files of one commit. Each has a signed address of some 300 bytes in the reply, which has to stay well below
/// the 64 MiB that clients take.
const COMMIT_PARTS_MAX: u64 = 100_000;

/// Opens a commit and says which files are wanted.
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo)): Path<(String, String)>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let repo = writable(&owner, &repo, &caller)?;
    let (commit, _turn) = hub.large_bodies.read::<CommitCreate>(body, COMMIT_MAX, Some(Place::Commit)).await?;
    check(&hub, &caller, &commit)?;
    let (mut files, mut deletions, mut copies) = (Vec::new(), 0, 0);
    for operation in &commit.operations {
        match operation {
            CommitOperation::Add { path, blake3, .. } => files.push((path.clone(), *blake3)),
            CommitOperation::Delete { .. } => deletions += 1,
            CommitOperation::Copy { .. } => copies += 1,
        }
    }
    let (tags, mode) = (commit.tags.clone(), commit.mode);
    let now_s = hub.options.clock.now_s();
    let repeat = repeat::of_commit(&caller, &headers, &repo, &commit, now_s)?;
    let new = NewCommit {
        id: new_id()?,
        repo,
        private: hub.options.visibility == Visibility::Private,
        body: commit,
        expires_s: now_s.saturating_add(OPEN_S),
        repeat: Some(repeat),
    };
    let opened = hub.metadata.open_commit(new, caller.author()).await.map_err(ApiError::of_commit)?;
    let CommitOpened { id, pins } = opened;
    let mut wanted: HashMap<Blake3Hash, NewUpload> =
        pins.into_iter().filter_map(|pin| Some((pin.blake3, pin.upload?))).collect();
    // The second file of one content needs no upload of its own (6.19).
    let uploads = files.iter().map(|(path, blake3)| answered(&hub, path.as_str(), *blake3, wanted.remove(blake3)));
    let uploads: Vec<Value> = uploads.collect();
    let reply = json!({
        "revision_id": id, "uploads": uploads, "deletions": deletions, "copies": copies, "tags": tags, "mode": mode,
    });
    body::json(StatusCode::CREATED, &reply)
}

/// Says that all bytes of one file are there.
pub(crate) async fn complete(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo, revision, upload)): Path<(String, String, String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let repo = writable(&owner, &repo, &caller)?;
    let revision = revision_id(&revision)?;
    let id: ServerId = upload.parse().map_err(|_| ApiError::not_found("upload"))?;
    let upload = hub.metadata.commit_upload(repo, revision, id, hub.options.clock.now_s()).await?;
    let upload = upload.ok_or_else(|| ApiError::not_found("upload"))?;
    let request: CompleteRequest = body::read(body, SMALL_MAX).await?;
    let upload = complete::complete(&hub, upload, &request).await?;
    let reply = json!({"blake3": upload.new.blake3, "size_bytes": upload.new.size_bytes, "status": "complete"});
    body::json(StatusCode::OK, &reply)
}

/// Makes the commit a checkpoint. The body, if any, does not matter (1.11).
pub(crate) async fn finalize(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo, revision)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let repo = writable(&owner, &repo, &caller)?;
    let revision = revision_id(&revision)?;
    let told = |done: Result<Finalized, FinalizeError>| done.map_err(ApiError::of_finalize);
    let done = match hub.finalize(repo, revision.clone(), told).await? {
        Progress::Done(done) => done?,
        Progress::Running => return body::json(StatusCode::ACCEPTED, &json!({"status": "running"})),
    };
    let id = done.checkpoint_id;
    let mut reply = json!({
        // Newer peers look for the id in an object.
        "checkpoint_id": id, "checkpoint": {"checkpoint_id": id},
        "revision_id": revision, "tags": done.tags, "unsafe_weights": done.unsafe_weights, "dtype": done.dtype,
    });
    if let (Some(flavor), Some(object)) = (done.normalized_flavor, reply.as_object_mut()) {
        object.insert("normalized_flavor".to_owned(), flavor.into());
    }
    body::json(StatusCode::OK, &reply)
}

/// Gives the commit up.
pub(crate) async fn abort(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo, revision)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let repo = writable(&owner, &repo, &caller)?;
    hub.metadata.close_commit(repo, revision_id(&revision)?, hub.options.clock.now_s()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) fn writable(owner: &str, repo: &str, caller: &Caller) -> Result<RepoName, ApiError> {
    let repo = repo_name(owner, repo)?;
    caller.must_write(Area::Repo, repo.owner(), repo.repo())?;
    Ok(repo)
}

fn revision_id(text: &str) -> Result<ServerId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("commit"))
}

/// Refuses what can be no commit, whatever is there.
pub(super) fn check_form(commit: &CommitCreate) -> Result<(), ApiError> {
    if commit.operations.is_empty() || commit.operations.len() > COMMIT_OPERATIONS_MAX {
        let message = format!("a commit has 1 to {COMMIT_OPERATIONS_MAX} operations");
        return Err(ApiError::invalid("invalid_commit", message));
    }
    commit.check_paths().map_err(|error| ApiError::invalid("path_conflict", error.to_string()))?;
    if let Some(name) = commit.metadata.keys().find(|name| name.starts_with('_')) {
        let message = format!("attribute {name:?} starts with _, which is for the hub");
        return Err(ApiError::invalid("reserved_attribute", message));
    }
    if commit.tags.len().max(commit.flavors.len()) > LABELS_MAX {
        let message = format!("a commit has at most {LABELS_MAX} tags and as many flavors");
        return Err(ApiError::invalid("invalid_commit", message));
    }
    check_names(commit).map_err(ApiError::of_commit)
}

fn check(hub: &Hub, caller: &Caller, commit: &CommitCreate) -> Result<(), ApiError> {
    check_form(commit)?;
    let (mut sizes, mut part_count) = (HashMap::new(), 0_u64);
    for operation in &commit.operations {
        if let CommitOperation::Add { size_bytes, blake3, path, .. } = operation {
            parts::check_size(hub, *size_bytes)?;
            match sizes.insert(*blake3, *size_bytes) {
                None => part_count = part_count.saturating_add(parts::part_count(hub, *size_bytes)),
                Some(other) if other == *size_bytes => {}
                Some(other) => {
                    let message = format!("{path}: one content has {other} and {size_bytes} bytes");
                    return Err(ApiError::invalid("invalid_commit", message));
                }
            }
            caller.check_file(*size_bytes)?;
        }
    }
    if part_count > COMMIT_PARTS_MAX {
        let message = format!("the files of a commit have at most {COMMIT_PARTS_MAX} parts in all");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "commit_too_large", message));
    }
    Ok(())
}

/// What the client is told of one file.
fn answered(hub: &Hub, path: &str, blake3: Blake3Hash, upload: Option<NewUpload>) -> Value {
    let Some(new) = upload else { return json!({"path": path, "blake3": blake3, "exists": true}) };
    let urls = parts::addresses(hub, &new);
    json!({
        "path": path, "blake3": blake3, "size_bytes": new.size_bytes, "exists": false, "upload_id": new.id,
        "total_parts": urls.len(), "part_urls": urls, "part_size": hub.options.part_bytes,
    })
}
