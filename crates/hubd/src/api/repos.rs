//! What a ref stands for, and attributes of repositories (Hub contract, sections 3 and 7).

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use gen_worker_hub::{
    api::{FileSource, RepoMetadata, Resolved, ResolvedFile, SiblingFlavor},
    names::SnapshotId,
    token::Area,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Peer,
    body::{self, SMALL_MAX},
    caller::{Caller, repo_name},
    error::ApiError,
    uploads::READ_S,
};
use crate::{
    content_kind::ContentKind,
    hub::{Hub, Visibility},
    metadata::{Checkpoint, Selector},
};

/// What is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    digest: Option<String>,
    tag: Option<String>,
    flavor: Option<String>,
}

/// The reply to a resolve.
#[derive(Serialize)]
struct ResolveReply {
    #[serde(flatten)]
    resolved: Resolved,
    size_bytes: u64,
    tenant: String,
    name: String,
    tag: Option<String>,
    /// What the headers of the weights show (6.20).
    dtype: Option<String>,
}

#[derive(Deserialize)]
struct PutMetadata {
    metadata: Map<String, Value>,
}

/// Resolves a ref.
pub(crate) async fn resolve(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    peer: Option<Extension<Peer>>,
    caller: Caller,
) -> Result<Response, ApiError> {
    check_rate(&hub, &caller, peer)?;
    let name = repo_name(&owner, &repo)?;
    // What is no tag, flavor or digest is none that is there.
    let gone = || ApiError::not_found("repository, tag, flavor or digest");
    let tag = if asked.digest.is_some() { None } else { Some(asked.tag.as_deref().unwrap_or("latest")) };
    let selector = selector(&asked, tag).ok_or_else(gone)?;
    let found = hub.metadata.resolve(name.clone(), selector).await?;
    let found = found.filter(|found| caller.may_read_repo(&name, found.private)).ok_or_else(gone)?;
    let reply = ResolveReply {
        size_bytes: found.files.iter().map(|file| file.size_bytes).sum(),
        resolved: described(&hub, &found)?,
        tenant: name.owner().to_owned(),
        name: name.repo().to_owned(),
        tag: tag.map(str::to_owned),
        dtype: found.dtype,
    };
    body::json(StatusCode::OK, &reply)
}

/// Refuses an address that asks too often without a token (Hub contract, 3.13).
pub(super) fn check_rate(hub: &Hub, caller: &Caller, peer: Option<Extension<Peer>>) -> Result<(), ApiError> {
    let (Caller::Anonymous, Some(Extension(peer))) = (caller, peer) else { return Ok(()) };
    hub.anonymous.take(peer.0, hub.options.clock.now_s()).map_err(|wait_s| {
        let message = "too many calls without a token from this address";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).after(wait_s)
    })
}

fn selector(asked: &Asked, tag: Option<&str>) -> Option<Selector> {
    let flavor = asked.flavor.as_deref().map(str::parse).transpose().ok()?;
    Some(match (&asked.digest, tag) {
        (Some(digest), _) => Selector::Digest(digest.parse().ok()?, flavor),
        (None, tag) => Selector::Tag(tag?.parse().ok()?, flavor),
    })
}

pub(crate) fn described(hub: &Hub, found: &Checkpoint) -> Result<Resolved, ApiError> {
    let expires_s = hub.options.clock.now_s().saturating_add(READ_S);
    let snapshot = SnapshotId::from_digest(&found.digest.to_string());
    let mut files = Vec::with_capacity(found.files.len());
    for file in &found.files {
        let kind = ContentKind::of_name(file.path.as_str());
        let url = hub.file_address(file.blake3, kind.as_ref(), expires_s);
        let url = url.ok_or_else(|| ApiError::not_found("address"))?;
        let source = FileSource::Url(url);
        files.push(ResolvedFile { path: file.path.clone(), size_bytes: file.size_bytes, blake3: file.blake3, source });
    }
    let sibling = |(flavor, size_bytes): &(String, u64)| {
        let flavor = flavor.parse().ok()?;
        Some(SiblingFlavor { flavor, size_bytes: *size_bytes, placement: Value::Null })
    };
    let sibling_flavors = found.siblings.iter().filter_map(sibling).collect();
    Ok(Resolved { snapshot: snapshot.map_err(|error| ApiError::unavailable(&error))?, files, sibling_flavors })
}

/// Attributes.
pub(crate) async fn metadata(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo)): Path<(String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let name = repo_name(&owner, &repo)?;
    let found = hub.metadata.repo_metadata(name.clone()).await?;
    let found = found.filter(|repo| caller.may_read_repo(&name, repo.private));
    let repo = found.ok_or_else(|| ApiError::not_found("repository"))?;
    body::json(StatusCode::OK, &RepoMetadata { metadata: repo.attributes, exists: true })
}

/// Replaces all attributes.
pub(crate) async fn put_metadata(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo)): Path<(String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let name = repo_name(&owner, &repo)?;
    caller.must_write(Area::Repo, name.owner(), name.repo())?;
    let PutMetadata { metadata } = body::read(body, SMALL_MAX).await?;
    let private = hub.options.visibility == Visibility::Private;
    hub.metadata.put_repo_metadata(name, private, metadata.clone()).await?;
    body::json(StatusCode::OK, &json!({"metadata": metadata}))
}
