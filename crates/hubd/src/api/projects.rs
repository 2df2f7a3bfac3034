//! Projects: what is published, and which release callers get (Hub contract, section 13).

mod manifest;
mod releases;
mod tags;

use std::sync::Arc;

use axum::{
    Router,
    http::StatusCode,
    routing::{get, post, put},
};
use gen_worker_hub::names::Slug;

use super::{
    caller::{Caller, owner_name},
    error::ApiError,
};
use crate::{
    hub::Hub,
    metadata::{Actor, MetadataError, ProjectName, ReleaseError},
};

/// Longest text for people, in bytes.
const TEXT_BYTES_MAX: usize = 4 * 1024;

/// Longest name of an image, a source or a version, in bytes.
const NAME_BYTES_MAX: usize = 512;

/// Rows of a page when nothing is said.
const PAGE: usize = 50;

/// Most rows of a page.
const PAGE_MAX: usize = 200;

/// Which page is asked for.
#[derive(Debug, serde::Deserialize)]
struct Page {
    limit: Option<usize>,
    cursor: Option<String>,
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX)
    }

    /// The number from which the page goes on; what is none is refused.
    fn before(&self) -> Result<Option<u64>, ApiError> {
        let cursor = self.cursor.as_deref().map(str::parse).transpose();
        cursor.map_err(|_| ApiError::invalid("invalid_cursor", "the cursor is not from here"))
    }
}

/// The routes of projects.
pub(super) fn routes() -> Router<Arc<Hub>> {
    const PROJECT: &str = "/api/v1/projects/{tenant}/{project}";
    let at = |rest: &str| format!("{PROJECT}{rest}");
    Router::new()
        .route(&at("/releases"), get(releases::list).post(releases::publish))
        .route(&at("/releases/{release}"), get(releases::get).delete(releases::remove))
        .route(&at("/endpoints"), get(tags::endpoints))
        .route(&at("/endpoints/{endpoint}/tags"), get(tags::list))
        .route(&at("/endpoints/{endpoint}/tags/{tag}"), put(tags::change).delete(tags::remove))
        .route(&at("/endpoints/{endpoint}/tags/{tag}/rollback"), post(tags::roll_back))
        .route(&at("/endpoints/{endpoint}/tags/{tag}/history"), get(tags::history))
        .route(&at("/promote"), post(tags::promote))
}

/// The project of an address, in the form in which it is stored.
fn project_of(tenant: &str, project: &str) -> Result<ProjectName, ApiError> {
    let tenant = owner_name(tenant)?;
    let message = "a project has 3 to 63 letters, digits and single dashes, a letter in front";
    let invalid = || ApiError::invalid("invalid_project", message);
    let project = Slug::of(project).map_err(|_| invalid())?;
    if !project.is_project() {
        return Err(invalid());
    }
    Ok(ProjectName { tenant, project })
}

/// The endpoint of an address; people may write the name of its function.
fn endpoint_of(text: &str) -> Result<Slug, ApiError> {
    Slug::of(text).map_err(|_| ApiError::not_found("endpoint"))
}

/// Who changes something, for the log.
fn actor(hub: &Hub, caller: &Caller, reason: Option<String>) -> Result<Actor, ApiError> {
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    text("reason", reason.as_deref(), TEXT_BYTES_MAX)?;
    Ok(Actor { name: caller.name(), now_s: hub.options.clock.now_s(), reason })
}

/// Refuses a text that is too long, or that not every store can keep.
fn text(field: &str, text: Option<&str>, bytes_max: usize) -> Result<(), ApiError> {
    if text.is_some_and(|text| text.len() > bytes_max) {
        return Err(ApiError::invalid("too_long", format!("{field} has at most {bytes_max} bytes")));
    }
    if text.is_some_and(|text| text.contains('\0')) {
        return Err(ApiError::invalid("invalid_text", format!("a byte of {field} is zero")));
    }
    Ok(())
}

/// A time as people and programs read it.
fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(String::new, |time| time.to_string())
}

/// A refusal of the metadata.
fn refused(error: MetadataError) -> ApiError {
    let MetadataError::Release(error) = error else { return error.into() };
    let conflict = |code| ApiError::new(StatusCode::CONFLICT, code, error.to_string());
    match &error {
        ReleaseError::UnknownRelease => ApiError::not_found("release"),
        ReleaseError::UnknownTag => ApiError::not_found("tag"),
        ReleaseError::NotInRelease { .. } => ApiError::invalid("endpoint_not_in_release", error.to_string()),
        ReleaseError::Conflict { endpoint, current } => conflict("tag_conflict")
            .with("endpoint", endpoint.as_str().into())
            .with("current_release_id", current.as_ref().map_or("", |current| current.as_str()).into()),
        ReleaseError::NoPrevious => conflict("no_previous_release"),
        ReleaseError::InUse => conflict("release_in_use"),
    }
}
