//! Commits: open, bring the bytes, finalize (Hub contract, section 6).

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, TryStreamExt as _};
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
    parts,
    uploads::{OPEN_S, new_id},
};
use crate::{
    hub::{Hub, Visibility},
    metadata::{NewCommit, NewUpload, Pin, UploadOpened, UploadOwner},
};

/// Uploads of one commit that are opened at once: they share the fsyncs of the metadata.
const OPENS_AT_ONCE: usize = 64;

/// Tags of one commit, and flavors: each is looked at for every label of the tree.
const LABELS_MAX: usize = 64;

/// Parts of all files of one commit. Each has a signed address of some 300 bytes in the reply, which has to stay well below
/// the 64 MiB that clients take.
const COMMIT_PARTS_MAX: u64 = 100_000;

/// Opens a commit and says which files are wanted.
pub(crate) async fn create(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo)): Path<(String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let repo = writable(&owner, &repo, &caller)?;
    let commit: CommitCreate = body::read(body, COMMIT_MAX).await?;
    check(&hub, &caller, &commit)?;
    let now_s = hub.options.clock.now_s();
    let new = NewCommit {
        id: new_id()?,
        repo,
        private: hub.options.visibility == Visibility::Private,
        body: commit.clone(),
        expires_s: now_s.saturating_add(OPEN_S),
    };
    let id = new.id.clone();
    let pins = hub.metadata.open_commit(new, now_s).await.map_err(ApiError::of_commit)?;
    let mut pins: BTreeMap<Blake3Hash, Pin> = pins.into_iter().map(|pin| (pin.blake3, pin)).collect();
    let (mut adds, mut deletions, mut copies) = (Vec::new(), 0, 0);
    for operation in &commit.operations {
        match operation {
            // The second file of one content needs no upload of its own (6.19).
            CommitOperation::Add { path, blake3, .. } => {
                adds.push((path.clone(), *blake3, pins.remove(blake3).filter(|pin| !pin.here)));
            }
            CommitOperation::Delete { .. } => deletions += 1,
            CommitOperation::Copy { .. } => copies += 1,
        }
    }
    let uploads = futures::stream::iter(adds).map(|(path, blake3, pin)| {
        let (hub, id) = (Arc::clone(&hub), id.clone());
        async move { answered(&hub, &id, path.as_str(), blake3, pin, now_s).await }
    });
    let uploads: Vec<Value> = uploads.buffered(OPENS_AT_ONCE).try_collect().await?;
    let reply = json!({
        "revision_id": id, "uploads": uploads, "deletions": deletions, "copies": copies, "tags": commit.tags,
        "mode": commit.mode,
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
    writable(&owner, &repo, &caller)?;
    let revision = revision_id(&revision)?;
    let id: ServerId = upload.parse().map_err(|_| ApiError::not_found("upload"))?;
    let upload = hub.metadata.upload(id, hub.options.clock.now_s()).await?;
    let upload = upload.filter(|upload| upload.new.owner == UploadOwner::Commit(revision));
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
    let now_s = hub.options.clock.now_s();
    let done = hub.metadata.finalize_commit(repo, revision.clone(), now_s).await.map_err(ApiError::of_commit)?;
    let mut reply = json!({
        "checkpoint_id": done.checkpoint_id, "revision_id": revision, "tags": done.tags,
        "unsafe_weights": done.unsafe_weights,
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
    hub.metadata.close_commit(repo, revision_id(&revision)?).await?;
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
    Ok(())
}

fn check(hub: &Hub, caller: &Caller, commit: &CommitCreate) -> Result<(), ApiError> {
    check_form(commit)?;
    let (mut sizes, mut part_count) = (BTreeMap::new(), 0_u64);
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
            if *size_bytes > caller.file_bytes_max() {
                let message = "the token does not allow files of this size";
                return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "file_too_large", message));
            }
        }
    }
    if part_count > COMMIT_PARTS_MAX {
        let message = format!("the files of a commit have at most {COMMIT_PARTS_MAX} parts in all");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "commit_too_large", message));
    }
    Ok(())
}

/// What the client is told of one file.
async fn answered(
    hub: &Hub,
    commit: &ServerId,
    path: &str,
    blake3: Blake3Hash,
    pin: Option<Pin>,
    now_s: u64,
) -> Result<Value, ApiError> {
    match pin {
        Some(pin) => wanted(hub, commit, path, &pin, now_s).await,
        None => Ok(json!({"path": path, "blake3": blake3, "exists": true})),
    }
}

async fn wanted(hub: &Hub, commit: &ServerId, path: &str, pin: &Pin, now_s: u64) -> Result<Value, ApiError> {
    let new = NewUpload {
        id: new_id()?,
        owner: UploadOwner::Commit(commit.clone()),
        blake3: pin.blake3,
        size_bytes: pin.size_bytes,
        mime_type: "application/octet-stream".to_owned(),
        expires_s: now_s.saturating_add(OPEN_S),
    };
    let urls = parts::addresses(hub, &new);
    let id = new.id.clone();
    match hub.metadata.open_upload(new, now_s).await.map_err(ApiError::of_commit)? {
        UploadOpened::Known(_) => Ok(json!({"path": path, "blake3": pin.blake3, "exists": true})),
        UploadOpened::Wanted => Ok(json!({
            "path": path, "blake3": pin.blake3, "size_bytes": pin.size_bytes, "exists": false, "upload_id": id,
            "part_urls": urls, "part_size": hub.options.part_bytes, "total_parts": urls.len(),
        })),
    }
}
