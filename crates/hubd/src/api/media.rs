//! Addresses of media (Hub contract, 9.8).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use gen_worker_hub::{
    RepoPath,
    token::{Area, Right},
};
use serde::Deserialize;
use serde_json::{Map, json};

use super::{
    body::{self, SMALL_MAX},
    caller::{Caller, owner_name},
    error::ApiError,
    uploads::READ_S,
};
use crate::hub::Hub;

/// Most refs of one call for addresses.
const REFS_MAX: usize = 1_000;

/// Where a client says whose media are meant: today's name, and the one that old workers use (11.3).
const OWNER_HEADERS: [&str; 2] = ["x-cozy-owner", "x-cozy-tenant-id"];

/// What is asked for. A text that is no ref is one that is not there: it does not cost the others their addresses.
#[derive(Deserialize)]
struct Asked {
    refs: Vec<String>,
}

/// Addresses of media. Refs that are not there, or not for this caller, are missing alike.
pub(crate) async fn urls(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let owner = owner(&caller, &headers)?;
    let request: Asked = body::read(body, SMALL_MAX).await?;
    if request.refs.len() > REFS_MAX {
        return Err(ApiError::invalid("too_many", format!("there are more than {REFS_MAX} refs")));
    }
    let may = caller.may(Area::Media, Right::Read, &owner, "*");
    let expires_s = hub.options.clock.now_s().saturating_add(READ_S);
    let (mut urls, mut missing) = (Map::new(), Vec::new());
    for reference in request.refs {
        let is_ref = reference.parse::<RepoPath>().is_ok();
        let file = if may && is_ref { hub.metadata.media_file(owner.clone(), reference.clone()).await? } else { None };
        match file.and_then(|file| hub.media_address(&file, &reference, expires_s)) {
            Some(url) => drop(urls.insert(reference, json!({"url": url, "expires_at": expires_s.to_string()}))),
            None => missing.push(reference),
        }
    }
    body::json(StatusCode::OK, &json!({"urls": urls, "missing": missing}))
}

/// Whose media are meant. A job that does not say means its tenant's; who runs the hub has no tenant and has to say.
pub(super) fn owner(caller: &Caller, headers: &HeaderMap) -> Result<String, ApiError> {
    let named = OWNER_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
    match (caller, named.filter(|owner| !owner.is_empty())) {
        (Caller::Anonymous, _) => Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthenticated", "this needs a token")),
        (_, Some(owner)) => owner_name(owner),
        (Caller::Job(claims), None) => Ok(claims.tenant.to_ascii_lowercase()),
        (Caller::Role(claims), None) => Ok(claims.tenant.to_ascii_lowercase()),
        (Caller::Operator, None) => {
            Err(ApiError::invalid("owner_required", "X-Cozy-Owner has to say whose media are meant"))
        }
    }
}
