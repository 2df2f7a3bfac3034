//! Who may see a repository. A commit that makes one follows the options of the hub; afterwards its owner says.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use gen_worker_hub::token::Area;
use serde::{Deserialize, Serialize};

use super::{
    body::{self, SMALL_MAX},
    caller::{Caller, repo_name},
    error::ApiError,
};
use crate::hub::{Hub, Visibility};

/// What is said of a repository.
#[derive(Serialize, Deserialize)]
struct Said {
    visibility: Visibility,
}

/// Tells it, to those who may see the repository.
pub(crate) async fn get(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo)): Path<(String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let name = repo_name(&owner, &repo)?;
    let found = hub.metadata.repo_metadata(name.clone()).await?;
    let found = found.filter(|repo| caller.may_read_repo(&name, repo.private));
    let private = found.ok_or_else(|| ApiError::not_found("repository"))?.private;
    let visibility = if private { Visibility::Private } else { Visibility::Public };
    body::json(StatusCode::OK, &Said { visibility })
}

/// Changes it. Takes the right over all of the owner's repositories: a job that may write one of them may not publish it.
pub(crate) async fn put(
    State(hub): State<Arc<Hub>>,
    Path((owner, repo)): Path<(String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let name = repo_name(&owner, &repo)?;
    caller.must_write(Area::Repo, name.owner(), "*")?;
    let said: Said = body::read(body, SMALL_MAX).await?;
    if !hub.metadata.put_visibility(name, said.visibility == Visibility::Private).await? {
        return Err(ApiError::not_found("repository"));
    }
    body::json(StatusCode::OK, &said)
}
