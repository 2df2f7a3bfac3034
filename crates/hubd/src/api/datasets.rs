//! Datasets (Hub contract, section 8).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use gen_worker_hub::{
    Digest, ServerId,
    api::{DatasetPatch, DatasetSchema},
    snapshot::{Snapshot, SnapshotFile},
    token::{Area, Right},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    body,
    caller::{Caller, owner_name},
    error::ApiError,
    uploads::{READ_S, new_id},
};
use crate::{
    content_kind::ContentKind,
    hub::{Hub, Visibility},
    metadata::{DatasetChange, DatasetRecord, MetadataError},
};

/// Largest body: a schema that names some ten thousand files.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Whose datasets are asked for: peers use either name (8.8).
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    owner: Option<String>,
    tenant: Option<String>,
}

/// In which form files are asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Form {
    format: Option<String>,
    include_urls: Option<String>,
}

#[derive(Deserialize)]
struct Create {
    #[serde(alias = "tenant")]
    owner: String,
    name: String,
    visibility: Option<String>,
    #[serde(default)]
    schema: DatasetSchema,
}

/// The datasets of an owner that the caller may see.
pub(crate) async fn list(
    State(hub): State<Arc<Hub>>,
    Query(asked): Query<Asked>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let owner = match (asked.owner.or(asked.tenant), &caller) {
        (Some(owner), _) => owner,
        (None, Caller::Job(claims)) => claims.tenant.clone(),
        (None, _) => return Err(ApiError::invalid("invalid_query", "the query names no owner")),
    };
    let datasets = hub.metadata.datasets(owner_name(&owner)?).await?;
    let items: Vec<Value> = datasets.iter().filter(|found| may_read(&caller, found)).map(described).collect();
    body::json(StatusCode::OK, &json!({"items": items}))
}

/// Makes a dataset.
pub(crate) async fn create(State(hub): State<Arc<Hub>>, caller: Caller, body: Body) -> Result<Response, ApiError> {
    caller.must_be_known()?;
    let (create, _turn) = hub.large_bodies.read::<Create>(body, BODY_MAX, None).await?;
    let owner = owner_name(&create.owner)?;
    let name = create.name.trim().to_owned();
    caller.must_write(Area::Dataset, &owner, &name)?;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(|c: char| c.is_control() || "/\\".contains(c)) {
        let message = format!("a name has 1 to {NAME_BYTES_MAX} bytes, and no slash or control character");
        return Err(ApiError::invalid("invalid_name", message));
    }
    let by_default = hub.options.visibility == Visibility::Private;
    let private = match create.visibility.as_deref() {
        None | Some("") => by_default,
        Some(word) => is_private(word)?,
    };
    let files = files(&create.schema)?;
    let new = DatasetRecord { id: new_id()?, owner, name, private, schema: create.schema, row_artifacts: None };
    let made = hub.metadata.create_dataset(new.clone(), files, caller.reader(), hub.options.clock.now_s()).await;
    made.map_err(of_dataset)?;
    body::json(StatusCode::CREATED, &described(&new))
}

/// A dataset.
pub(crate) async fn get(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Response, ApiError> {
    body::json(StatusCode::OK, &described(&find(&hub, &id, &caller).await?))
}

/// Changes a dataset.
pub(crate) async fn change(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let found = find(&hub, &id, &caller).await?;
    caller.must_write(Area::Dataset, &found.owner, &found.name)?;
    let (patch, _turn) = hub.large_bodies.read::<DatasetPatch>(body, BODY_MAX, None).await?;
    let schema = patch.schema.map(|schema| files(&schema).map(|files| (schema, files))).transpose()?;
    let private = patch.visibility.as_deref().map(is_private).transpose()?;
    let change = DatasetChange { schema, row_artifacts: patch.row_artifacts, private };
    let changed = hub.metadata.change_dataset(found.id, change, caller.reader(), hub.options.clock.now_s()).await;
    let changed = changed.map_err(of_dataset)?.ok_or_else(|| ApiError::not_found("dataset"))?;
    body::json(StatusCode::OK, &described(&changed))
}

/// The files of a dataset in one form. They are kept in the form in which they came, so there is nothing to wait for (8.8).
pub(crate) async fn materialize(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    Query(form): Query<Form>,
    caller: Caller,
) -> Result<Response, ApiError> {
    let found = find(&hub, &id, &caller).await?;
    let format = form.format.unwrap_or_else(|| "parquet".to_owned()).to_ascii_lowercase();
    let ending = format!(".{format}");
    let mut files = files(&found.schema)?;
    files.retain(|file| file.path.as_str().to_ascii_lowercase().ends_with(&ending));
    if files.is_empty() {
        let message = format!("the dataset has no file of the form {format:?}, and none is made");
        return Err(ApiError::invalid("format_unavailable", message));
    }
    let with_urls = form.include_urls.is_some_and(|word| word.eq_ignore_ascii_case("true") || word == "1");
    let expires_s = hub.options.clock.now_s().saturating_add(READ_S);
    let entry = |file: &SnapshotFile| {
        let digest = Digest::from(file.blake3);
        let mut entry = json!({
            "path": file.path, "size_bytes": file.size_bytes, "checksum": digest, "blob_digest": digest,
        });
        let url = hub.file_address(file.blake3, ContentKind::of_name(file.path.as_str()).as_ref(), expires_s);
        if let (true, Some(url), Some(entry)) = (with_urls, url, entry.as_object_mut()) {
            entry.insert("url".to_owned(), url.reveal().into());
        }
        entry
    };
    let entries: Vec<Value> = files.iter().map(entry).collect();
    // Peers keep what they fetched in a directory of this name: other files, another name.
    let snapshot = Snapshot::new(files).map_err(|error| ApiError::invalid("invalid_manifest", error.to_string()))?;
    let reply = json!({
        "id": found.id, "dataset_id": found.id, "status": "ready", "format": format,
        "snapshot_id": snapshot.digest().hex(), "entries": entries,
    });
    body::json(StatusCode::OK, &reply)
}

async fn find(hub: &Hub, id: &str, caller: &Caller) -> Result<DatasetRecord, ApiError> {
    let gone = || ApiError::not_found("dataset");
    let id: ServerId = id.parse().map_err(|_| gone())?;
    hub.metadata.dataset(id).await?.filter(|found| may_read(caller, found)).ok_or_else(gone)
}

fn may_read(caller: &Caller, dataset: &DatasetRecord) -> bool {
    !dataset.private || caller.may(Area::Dataset, Right::Read, &dataset.owner, &dataset.name)
}

/// The row of a dataset. The whole object goes under `schema`, and nothing under `features`: readers look for the files at the
/// top of whichever is there (8.4).
fn described(dataset: &DatasetRecord) -> Value {
    let visibility = if dataset.private { "private" } else { "public" };
    let mut row = Map::new();
    row.insert("id".to_owned(), json!(dataset.id));
    row.insert("dataset_id".to_owned(), json!(dataset.id));
    row.insert("owner".to_owned(), json!(dataset.owner));
    row.insert("name".to_owned(), json!(dataset.name));
    row.insert("visibility".to_owned(), json!(visibility));
    row.insert("schema".to_owned(), Value::Object(dataset.schema.as_object().clone()));
    if let Some(artifacts) = &dataset.row_artifacts {
        row.insert("row_artifacts".to_owned(), artifacts.clone());
    }
    Value::Object(row)
}

fn files(schema: &DatasetSchema) -> Result<Vec<SnapshotFile>, ApiError> {
    let files = schema.files().map_err(|error| ApiError::invalid("invalid_manifest", error.to_string()))?;
    Ok(files.map_or_else(Vec::new, |files| files.files().to_vec()))
}

fn is_private(word: &str) -> Result<bool, ApiError> {
    match word {
        "private" => Ok(true),
        "public" => Ok(false),
        _ => Err(ApiError::invalid("invalid_visibility", "the visibility is neither private nor public")),
    }
}

fn of_dataset(error: MetadataError) -> ApiError {
    match error {
        MetadataError::RefExists => {
            ApiError::new(StatusCode::CONFLICT, "dataset_exists", "the owner has a dataset of this name")
        }
        MetadataError::Missing(paths) => {
            ApiError::new(StatusCode::CONFLICT, "upload_incomplete", "files of the dataset are missing")
                .with("missing", paths.into())
        }
        MetadataError::Unfit(why) => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why),
        error => ApiError::unavailable(&error),
    }
}
