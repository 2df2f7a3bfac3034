//! Releases: published once, never changed.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use gen_worker_hub::{
    Blake3Hash, Digest,
    names::{ReleaseId, Slug},
    token::Role,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use super::{NAME_BYTES_MAX, Page, TEXT_BYTES_MAX, actor, manifest, project_of, refused, text, time};
use crate::{
    api::{body, caller::Caller, error::ApiError, repeat},
    hub::{Busy, Hub},
    metadata::{NewRelease, ReleaseImage, ReleaseRecord},
};

/// Largest body: a manifest with the schemas of some thousand functions.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// The letters of ids: each stands for five bits.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Letters of an id.
const ID_LETTERS: usize = 26;

/// What is published. The manifest stays as it came.
#[derive(Deserialize)]
pub(crate) struct Publication {
    manifest: Box<RawValue>,
    image: Option<ReleaseImage>,
    source_digest: Option<String>,
    compatibility_version: Option<String>,
    notes: Option<String>,
}

/// A release as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    release_id: &'a ReleaseId,
    seq: u64,
    endpoints: &'a [Slug],
    manifest_digest: Digest,
    created_at: String,
    created_by: &'a str,
    image: &'a Option<ReleaseImage>,
    source_digest: &'a Option<String>,
    compatibility_version: &'a Option<String>,
    notes: &'a Option<String>,
    tags: Vec<Value>,
    manifest: &'a RawValue,
}

/// Publishes a release. That moves no tag.
pub(crate) async fn publish(
    State(hub): State<Arc<Hub>>,
    Path((tenant, project)): Path<(String, String)>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let project = project_of(&tenant, &project)?;
    caller.must_have(Role::Publisher, &project.tenant)?;
    let key = repeat::key(&headers)?;
    let (publication, _turn) = hub.large_bodies.read::<Publication>(body, BODY_MAX, None).await?;
    check(&publication)?;
    let endpoints = manifest::endpoints(publication.manifest.get())?;
    let Publication { manifest, image, source_digest, compatibility_version, notes } = publication;
    let manifest = Box::<str>::from(manifest).into();
    let id = new_id()?;
    let new = NewRelease { id, project, manifest, endpoints, image, source_digest, compatibility_version, notes, key };
    let (record, is_new) = hub.metadata.publish(new, actor(&hub, &caller, None)?).await.map_err(refused)?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let reply = json!({
        "release_id": record.new.id, "seq": record.seq, "endpoints": record.new.endpoints,
        "manifest_digest": digest(&record), "created_at": time(record.created_s), "warnings": warnings(&record.new),
    });
    body::json(status, &reply)
}

/// The releases of a project, the latest first.
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Path((tenant, project)): Path<(String, String)>,
    Query(page): Query<Page>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let project = project_of(&tenant, &project)?;
    caller.must_see(&project.tenant)?;
    let rows = hub.metadata.releases(project, page.before()?, page.limit()).await?;
    let next = rows.last().filter(|_| rows.len() == page.limit()).map(|row| row.seq.to_string());
    let items = rows.iter().map(|row| {
        json!({
            "release_id": row.id, "seq": row.seq, "endpoints": row.endpoints,
            "manifest_digest": Digest::from(row.manifest), "created_at": time(row.created_s),
        })
    });
    body::json(StatusCode::OK, &json!({"items": items.collect::<Vec<_>>(), "next_cursor": next}))
}

/// A release, with its manifest and the tags that point at it.
pub(crate) async fn get(
    State(hub): State<Arc<Hub>>,
    Path((tenant, project, release)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let project = project_of(&tenant, &project)?;
    caller.must_see(&project.tenant)?;
    let gone = || ApiError::not_found("release");
    let id = release.parse().map_err(|_| gone())?;
    let record = hub.metadata.release(project, id).await?.ok_or_else(gone)?;
    let manifest = serde_json::from_str(&record.new.manifest).map_err(|error| ApiError::unavailable(&error))?;
    let tags = record.tags.iter().map(|(endpoint, tag)| json!({"endpoint": endpoint, "tag": tag})).collect();
    let NewRelease { id, endpoints, image, source_digest, compatibility_version, notes, .. } = &record.new;
    let shown = Shown {
        release_id: id,
        seq: record.seq,
        endpoints,
        manifest_digest: digest(&record),
        created_at: time(record.created_s),
        created_by: &record.author,
        image,
        source_digest,
        compatibility_version,
        notes,
        tags,
        manifest,
    };
    body::json(StatusCode::OK, &shown)
}

/// Takes a release away that no tag points at.
pub(crate) async fn remove(
    State(hub): State<Arc<Hub>>,
    Path((tenant, project, release)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let project = project_of(&tenant, &project)?;
    caller.must_have(Role::Publisher, &project.tenant)?;
    let id = release.parse().map_err(|_| ApiError::not_found("release"))?;
    hub.metadata.drop_release(project, id, actor(&hub, &caller, None)?).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn digest(record: &ReleaseRecord) -> Digest {
    Blake3Hash::of(record.new.manifest.as_bytes()).into()
}

/// What is allowed and probably not meant.
fn warnings(new: &NewRelease) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if new.endpoints.is_empty() {
        warnings.push("the manifest has no functions: nobody can call this release");
    }
    if new.image.as_ref().is_some_and(|image| image.digest.is_none()) {
        warnings.push("the image has no digest: what is behind its name may change");
    }
    warnings
}

fn check(publication: &Publication) -> Result<(), ApiError> {
    let Publication { image, source_digest, compatibility_version, notes, .. } = publication;
    text("notes", notes.as_deref(), TEXT_BYTES_MAX)?;
    text("source_digest", source_digest.as_deref(), NAME_BYTES_MAX)?;
    text("compatibility_version", compatibility_version.as_deref(), NAME_BYTES_MAX)?;
    if let Some(ReleaseImage { reference, digest }) = image {
        text("image.ref", Some(reference), NAME_BYTES_MAX)?;
        text("image.digest", digest.as_deref(), NAME_BYTES_MAX)?;
    }
    Ok(())
}

/// An id of 130 random bits.
fn new_id() -> Result<ReleaseId, ApiError> {
    let mut random = [0; ID_LETTERS];
    SystemRandom::new().fill(&mut random).map_err(|_| ApiError::from(Busy))?;
    let letters =
        random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32))).map(|letter| char::from(*letter));
    let id: String = "r_".chars().chain(letters).collect();
    id.parse().map_err(|error: gen_worker_hub::names::NameError| ApiError::unavailable(&error))
}
