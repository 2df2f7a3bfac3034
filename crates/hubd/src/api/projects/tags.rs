//! Tags of endpoints: which release callers get.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use gen_worker_hub::{
    api::{EndpointTag, Promotion, Rollback, TagChange, TagMoved},
    names::{Slug, Tag},
    token::Role,
};
use serde_json::{Value, json};

use super::{Page, actor, endpoint_of, project_of, refused, time};
use crate::{
    api::{
        body::{self, SMALL_MAX},
        caller::Caller,
        error::ApiError,
    },
    hub::Hub,
    metadata::{Expectation, LogEntry, MovedTag, NewPromotion, ProjectName, TagRecord},
};

/// The tag that callers get who name none (Hub contract, 13.9).
const DEFAULT: &str = "prod";

/// Endpoints of one promotion.
const ENDPOINTS_MAX: usize = 1_024;

/// What an address names.
type Place = Path<(String, String, String, String)>;

/// The endpoints of a project, with their tags.
pub(crate) async fn endpoints(
    State(hub): State<Arc<Hub>>,
    Path((tenant, project)): Path<(String, String)>,
    Query(page): Query<Page>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let project = project_of(&tenant, &project)?;
    caller.must_see(&project.tenant)?;
    let after = page.cursor.as_deref().map(str::parse).transpose();
    let after = after.map_err(|_| ApiError::invalid("invalid_cursor", "the cursor is not from here"))?;
    let endpoints = hub.metadata.endpoints(project.clone(), after, page.limit()).await?;
    let next = endpoints.last().filter(|_| endpoints.len() == page.limit()).cloned();
    let tags = hub.metadata.tags(project, endpoints.clone()).await?;
    let items = endpoints.iter().map(|endpoint| {
        let own = tags.iter().filter(|tag| tag.endpoint == *endpoint).map(described);
        json!({"endpoint": endpoint, "tags": own.collect::<Vec<_>>()})
    });
    body::json(StatusCode::OK, &json!({"items": items.collect::<Vec<Value>>(), "next_cursor": next}))
}

/// The tags of an endpoint.
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Path((tenant, project, endpoint)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let project = project_of(&tenant, &project)?;
    caller.must_see(&project.tenant)?;
    let tags = hub.metadata.tags(project, vec![endpoint_of(&endpoint)?]).await?;
    body::json(StatusCode::OK, &tags.iter().map(described).collect::<Vec<_>>())
}

/// Points one tag at a release.
pub(crate) async fn change(
    State(hub): State<Arc<Hub>>,
    Path(place): Place,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let (project, endpoint, tag) = promotable(&place.0, &place.1, (&place.2, &place.3), &caller)?;
    let TagChange { release_id, expected_release_id, reason } = body::read(body, SMALL_MAX).await?;
    let expected = match expected_release_id.as_deref() {
        None => Expectation::Anything,
        Some("") => Expectation::Nothing,
        Some(id) => Expectation::Release(
            id.parse().map_err(|_| ApiError::invalid("invalid_body", "expected_release_id is no release"))?,
        ),
    };
    let promotion = NewPromotion { release: release_id, endpoints: Some(vec![endpoint]), tag, expected };
    let moved = hub.metadata.promote(project, promotion, actor(&hub, &caller, reason)?).await.map_err(refused)?;
    let moved = moved.into_iter().next().ok_or_else(|| ApiError::not_found("tag"))?;
    body::json(StatusCode::OK, &told(moved, false))
}

/// Points a tag of several endpoints at a release, all or none.
pub(crate) async fn promote(
    State(hub): State<Arc<Hub>>,
    Path((tenant, project)): Path<(String, String)>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let project = project_of(&tenant, &project)?;
    caller.must_have(Role::Promoter, &project.tenant)?;
    let Promotion { release_id, tag, endpoints, reason } = body::read(body, SMALL_MAX).await?;
    let mut endpoints = endpoints;
    if let Some(endpoints) = &mut endpoints {
        if endpoints.is_empty() || endpoints.len() > ENDPOINTS_MAX {
            let message = format!("a promotion names 1 to {ENDPOINTS_MAX} endpoints, or none for all of the release");
            return Err(ApiError::invalid("invalid_endpoints", message));
        }
        let mut seen = std::collections::HashSet::new();
        endpoints.retain(|endpoint| seen.insert(endpoint.clone()));
    }
    let tag = tag.map_or_else(|| tag_of(DEFAULT), Ok)?;
    let promotion = NewPromotion { release: release_id, endpoints, tag, expected: Expectation::Anything };
    let moved = hub.metadata.promote(project, promotion, actor(&hub, &caller, reason)?).await.map_err(refused)?;
    body::json(StatusCode::OK, &moved.into_iter().map(|moved| told(moved, true)).collect::<Vec<_>>())
}

/// Points a tag at an earlier release.
pub(crate) async fn roll_back(
    State(hub): State<Arc<Hub>>,
    Path(place): Place,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let (project, endpoint, tag) = promotable(&place.0, &place.1, (&place.2, &place.3), &caller)?;
    let Rollback { to_release_id, reason } = body::read_or_default(body, SMALL_MAX).await?;
    let actor = actor(&hub, &caller, reason)?;
    let moved = hub.metadata.roll_back(project, endpoint, tag, to_release_id, actor).await.map_err(refused)?;
    body::json(StatusCode::OK, &told(moved, false))
}

/// What happened to a tag, the latest first.
pub(crate) async fn history(
    State(hub): State<Arc<Hub>>,
    Path((tenant, project, endpoint, tag)): Place,
    Query(page): Query<Page>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let project = project_of(&tenant, &project)?;
    caller.must_see(&project.tenant)?;
    let (endpoint, tag) = (endpoint_of(&endpoint)?, tag_of(&tag)?);
    let entries = hub.metadata.history(project, endpoint, tag, page.before()?, page.limit()).await?;
    let next = entries.last().filter(|_| entries.len() == page.limit()).map(|entry| entry.number.to_string());
    let items: Vec<Value> = entries.iter().map(logged).collect();
    body::json(StatusCode::OK, &json!({"items": items, "next_cursor": next}))
}

/// Takes a tag away, if callers do not rely on it.
pub(crate) async fn remove(
    State(hub): State<Arc<Hub>>,
    Path(place): Place,
    caller: Caller,
) -> Result<Response, ApiError> {
    let (project, endpoint, tag) = promotable(&place.0, &place.1, (&place.2, &place.3), &caller)?;
    if tag.as_str() == DEFAULT {
        let message = format!("the tag {DEFAULT} is what callers get who name none");
        return Err(ApiError::new(StatusCode::CONFLICT, "tag_protected", message));
    }
    hub.metadata.drop_tag(project, endpoint, tag, actor(&hub, &caller, None)?).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What a tag change is about, for who may make it.
fn promotable(
    tenant: &str,
    project: &str,
    (endpoint, tag): (&str, &str),
    caller: &Caller,
) -> Result<(ProjectName, Slug, Tag), ApiError> {
    let project = project_of(tenant, project)?;
    caller.must_have(Role::Promoter, &project.tenant)?;
    Ok((project, endpoint_of(endpoint)?, tag_of(tag)?))
}

fn tag_of(text: &str) -> Result<Tag, ApiError> {
    text.parse().map_err(|error: gen_worker_hub::names::NameError| ApiError::invalid("invalid_tag", error.to_string()))
}

fn described(tag: &TagRecord) -> EndpointTag {
    EndpointTag {
        tag: tag.tag.clone(),
        release_id: tag.release.clone(),
        generation: tag.generation,
        updated_at: time(tag.updated_s),
    }
}

fn told(MovedTag { now, before }: MovedTag, with_endpoint: bool) -> TagMoved {
    TagMoved {
        endpoint: with_endpoint.then_some(now.endpoint),
        tag: now.tag,
        release_id: now.release,
        previous_release_id: before,
        generation: now.generation,
    }
}

fn logged(entry: &LogEntry) -> Value {
    json!({
        "action": entry.action, "from_release_id": entry.from, "to_release_id": entry.to,
        "generation": entry.generation, "by": entry.actor.name, "at": time(entry.actor.now_s),
        "reason": entry.actor.reason,
    })
}
