//! A ref as older workers resolve it: by `POST`, with what they prefer (Hub contract, 11.5).

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use gen_worker_hub::{
    Digest,
    api::{FileSource, ResolvedFile},
    names::Flavor,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Peer,
    body::{self, SMALL_MAX},
    caller::{Caller, repo_name},
    error::ApiError,
    repos::{self, described},
};
use crate::{
    hub::Hub,
    metadata::{Checkpoint, Selector},
};

/// Labels that are looked for at most.
const FLAVORS_MAX: usize = 16;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    tag: Option<String>,
    digest: Option<String>,
    include_urls: Option<bool>,
    preferences: Option<Preferences>,
}

/// What is taken, the best first; anything when nothing is said. What else is preferred is for trees of other hubs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Preferences {
    flavors: Vec<String>,
}

/// Resolves a ref, under the first label that is preferred and there.
pub(crate) async fn resolve(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo)): Path<(String, String)>,
    peer: Option<Extension<Peer>>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    repos::check_rate(&hub, &caller, peer)?;
    let name = repo_name(&owner, &repo)?;
    let asked: Asked = body::read_or_default(body, SMALL_MAX).await?;
    let gone = || ApiError::not_found("repository, tag or digest");
    let flavors = asked.preferences.unwrap_or_default().flavors;
    if flavors.len() > FLAVORS_MAX {
        return Err(ApiError::invalid("invalid_body", format!("at most {FLAVORS_MAX} flavors are preferred")));
    }
    let any = match &asked.digest {
        Some(digest) => Selector::Digest(digest.parse().map_err(|_| gone())?, None),
        None => Selector::Tag(asked.tag.as_deref().unwrap_or("latest").parse().map_err(|_| gone())?, None),
    };
    let find = async |selector| {
        let found = hub.metadata.resolve(name.clone(), selector).await?;
        Ok::<_, ApiError>(found.filter(|found: &Checkpoint| caller.may_read_repo(&name, found.private)))
    };
    // Who prefers what is not there learns that the rest is.
    let mut found = (find(any.clone()).await?.ok_or_else(gone)?, None);
    if !flavors.is_empty() {
        let mut preferred = None;
        for flavor in flavors.iter().filter_map(|text| Flavor::normalised(text).ok()) {
            if let Some(checkpoint) = find(labeled(&any, flavor.clone())).await? {
                preferred = Some((checkpoint, Some(flavor)));
                break;
            }
        }
        let message = "no label of the checkpoint is among those that are preferred";
        found = preferred.ok_or_else(|| ApiError::new(StatusCode::CONFLICT, "nothing_compatible", message))?;
    }
    let (checkpoint, flavor) = found;
    let manifest = manifest(&hub, &checkpoint, asked.include_urls.unwrap_or(true))?;
    let artifact = json!({"flavor": flavor, "dtype": checkpoint.dtype});
    let reply = json!({
        "repo_revision_seq": checkpoint.repo_revision, "snapshot_digest": checkpoint.digest,
        "version_id": checkpoint.digest, "artifact": artifact, "variant": artifact, "snapshot_manifest": manifest,
    });
    body::json(StatusCode::OK, &reply)
}

/// The files of a checkpoint of a repository.
pub(crate) async fn snapshot(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo, digest)): Path<(String, String, String)>,
    peer: Option<Extension<Peer>>,
    caller: Caller,
) -> Result<Response, ApiError> {
    repos::check_rate(&hub, &caller, peer)?;
    let name = repo_name(&owner, &repo)?;
    let gone = || ApiError::not_found("snapshot");
    let selector = Selector::Digest(digest.parse().map_err(|_| gone())?, None);
    let found = hub.metadata.resolve(name.clone(), selector).await?;
    let found = found.filter(|found| caller.may_read_repo(&name, found.private)).ok_or_else(gone)?;
    body::json(StatusCode::OK, &manifest(&hub, &found, true)?)
}

/// The files of a checkpoint of whatever repository has it that the caller may read.
pub(crate) async fn object(
    State(hub): State<Arc<Hub>>,
    Path(digest): Path<String>,
    peer: Option<Extension<Peer>>,
    caller: Caller,
) -> Result<Response, ApiError> {
    repos::check_rate(&hub, &caller, peer)?;
    let gone = || ApiError::not_found("snapshot");
    let digest: Digest = digest.parse().map_err(|_| gone())?;
    let repo = hub.metadata.repo_of_tree(digest, caller.reader()).await?.ok_or_else(gone)?;
    let found = hub.metadata.resolve(repo, Selector::Digest(digest, None)).await?.ok_or_else(gone)?;
    body::json(StatusCode::OK, &manifest(&hub, &found, true)?)
}

/// The same under a label.
fn labeled(selector: &Selector, flavor: Flavor) -> Selector {
    match selector {
        Selector::Digest(digest, _) => Selector::Digest(*digest, Some(flavor)),
        Selector::Tag(tag, _) => Selector::Tag(tag.clone(), Some(flavor)),
    }
}

/// The files, under both names that older workers look for.
fn manifest(hub: &Hub, checkpoint: &Checkpoint, with_urls: bool) -> Result<Value, ApiError> {
    let resolved = described(hub, checkpoint)?;
    let entry = |file: &ResolvedFile| {
        let digest = Digest::from(file.blake3);
        let mut entry = json!({
            "path": file.path, "size_bytes": file.size_bytes, "blake3": file.blake3, "digest": digest,
        });
        if let (true, FileSource::Url(url), Some(entry)) = (with_urls, &file.source, entry.as_object_mut()) {
            entry.insert("url".to_owned(), url.reveal().into());
        }
        entry
    };
    let files: Vec<Value> = resolved.files.iter().map(entry).collect();
    Ok(json!({"snapshot_digest": checkpoint.digest, "files": files, "entries": files}))
}
