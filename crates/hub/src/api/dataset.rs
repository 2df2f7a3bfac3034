//! Datasets: rows of a table of the hub that point to blobs (Hub contract, section 8).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{manifest::ManifestFile, reply::ReplyError};
use crate::{
    digest::Digest,
    names::ServerId,
    snapshot::{SNAPSHOT_FILES_MAX, Snapshot, SnapshotError, SnapshotFile},
};

/// Where a schema keeps what is no feature.
const KIND: &str = "__cozy_kind__";
const INFO: &str = "__cozy_dataset_info__";
const MANIFEST: &str = "__cozy_snapshot_manifest__";

/// Body of a create.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetCreate {
    /// Who owns it.
    pub owner: String,
    /// What it is called.
    pub name: String,
    /// `private` or `public`.
    pub visibility: String,
    /// What is in it.
    pub schema: DatasetSchema,
}

/// Body of a change. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DatasetPatch {
    /// What is in it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<DatasetSchema>,
    /// Artifacts by row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_artifacts: Option<Value>,
    /// `private` or `public`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
}

/// A dataset, as a server lists it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its id.
    pub id: ServerId,
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// What is in it.
    #[serde(default)]
    pub schema: DatasetSchema,
    /// The same, from servers that call it so.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    features: Map<String, Value>,
}

/// Reply to a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DatasetList {
    /// The datasets of an owner.
    pub items: Vec<Dataset>,
}

/// Features, and beside them kind, description and files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatasetSchema(Map<String, Value>);

impl DatasetSchema {
    /// The schema of `features`: an object that has `features` in it is one already, another is wrapped.
    #[must_use]
    pub fn of_features(features: Map<String, Value>) -> Self {
        if features.get("features").is_some_and(Value::is_object) {
            return Self(features);
        }
        Self(Map::from_iter([("features".to_owned(), Value::Object(features))]))
    }

    /// Says what kind of dataset it is.
    #[must_use]
    pub fn with_kind(mut self, kind: &str) -> Self {
        self.0.insert(KIND.to_owned(), kind.into());
        self
    }

    /// Describes it.
    #[must_use]
    pub fn with_info(mut self, info: Value) -> Self {
        self.0.insert(INFO.to_owned(), info);
        self
    }

    /// Says which files it has.
    #[must_use]
    pub fn with_files(mut self, files: &Snapshot) -> Self {
        let entry = |file: &SnapshotFile| {
            let SnapshotFile { path, size_bytes, blake3 } = file;
            serde_json::json!({"path": path, "digest": Digest::from(*blake3), "size_bytes": size_bytes})
        };
        self.0.insert(MANIFEST.to_owned(), files.files().iter().map(entry).collect());
        self
    }

    /// Which files it has; none for one that names none.
    ///
    /// # Errors
    /// [`ReplyError`] when it names what cannot be a tree.
    pub fn files(&self) -> Result<Option<Snapshot>, ReplyError> {
        files_of(&self.0)
    }

    /// The whole object.
    #[must_use]
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl Dataset {
    /// Which files it has.
    ///
    /// # Errors
    /// [`ReplyError`] when it does not say, or names what cannot be a tree.
    pub fn files(&self) -> Result<Snapshot, ReplyError> {
        let schema = if self.features.is_empty() { self.schema.as_object() } else { &self.features };
        files_of(schema)?.ok_or(ReplyError::Missing(MANIFEST))
    }
}

fn files_of(schema: &Map<String, Value>) -> Result<Option<Snapshot>, ReplyError> {
    let Some(listed) = schema.get(MANIFEST).filter(|listed| !listed.is_null()) else { return Ok(None) };
    let listed = listed.as_array().ok_or(ReplyError::Missing(MANIFEST))?;
    if listed.len() > SNAPSHOT_FILES_MAX {
        return Err(ReplyError::TooMany("files"));
    }
    let file = |entry: &Value| {
        let ManifestFile { path, digest, size_bytes } = ManifestFile::deserialize(entry).ok()?;
        Some(SnapshotFile { path, size_bytes, blake3: digest.as_blake3()? })
    };
    let files: Option<Vec<SnapshotFile>> = listed.iter().map(file).collect();
    match Snapshot::new(files.ok_or(ReplyError::Invalid(MANIFEST))?) {
        Ok(files) => Ok(Some(files)),
        Err(SnapshotError::Empty) => Ok(None),
        Err(_) => Err(ReplyError::Invalid(MANIFEST)),
    }
}

impl DatasetList {
    /// The dataset called `name`, in any case. What follows `:` or `@` in the name is not part of it.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Dataset> {
        let name = name.split([':', '@']).next().unwrap_or(name).trim().to_lowercase();
        self.items.iter().find(|dataset| dataset.name.trim().to_lowercase() == name)
    }
}

#[cfg(test)]
mod tests;
