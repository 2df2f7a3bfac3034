//! Sessions that several saves of one job share (Hub contract, section 5).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    commit::{CommitCreate, CommitMode, CommitOperation, CommitTag, Lineage},
    manifest::ManifestFile,
    reply::{ReplyError, read_object, text},
};
use crate::{names::ServerId, repo_path::RepoPath};

/// What a repository is. Blank fields are not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RepoFields {
    /// Model, adapter, dataset.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What loads it, such as `diffusers`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub library_name: String,
    /// Family of models.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model_family: String,
    /// Class that loads it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub class_name: String,
    /// Family that it adapts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub adapter_for_family: String,
}

/// Body of an open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpen {
    /// For which job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// What the repository is.
    #[serde(flatten)]
    pub repo: RepoFields,
}

/// An open session.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionOpened {
    /// Its id.
    pub session_id: ServerId,
    /// When the server drops it, in whatever form it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Value>,
}

/// Body of a finalize: the checkpoints that the session makes (Hub contract, 5.5). None for one that makes none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionFinalize {
    /// Tags that will point to each of them, besides `latest`.
    pub tags: Vec<CommitTag>,
    /// One for each tree.
    pub checkpoint_flavors: Vec<SessionCheckpoint>,
    /// Whether parents that are not here are noted down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_create_external_parent: Option<bool>,
}

/// A tree that a session makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionCheckpoint {
    /// All of its files.
    pub snapshot_manifest: Vec<ManifestFile>,
    /// Its label.
    pub flavor: Option<String>,
    /// More labels.
    pub flavors: Vec<String>,
    /// What it was made from.
    pub lineage: Vec<Lineage>,
    /// Files of the manifest that are not to be there.
    pub deletions: Option<Vec<RepoPath>>,
    /// Number format; advisory.
    pub dtype: Option<String>,
    /// Layout of the files; advisory.
    pub file_layout: Option<String>,
    /// Type of the files; advisory.
    pub file_type: Option<String>,
    /// Attributes.
    pub metadata: Option<Map<String, Value>>,
    /// For people.
    pub display_label: Option<String>,
}

impl SessionFinalize {
    /// The commits that make these checkpoints, in their order.
    ///
    /// # Errors
    /// The path of a file that is named by something else than its BLAKE3.
    pub fn into_commits(self) -> Result<Vec<CommitCreate>, RepoPath> {
        let Self { tags, checkpoint_flavors, auto_create_external_parent } = self;
        let commit = |checkpoint: SessionCheckpoint| {
            let operations = operations(checkpoint.snapshot_manifest, checkpoint.deletions.unwrap_or_default())?;
            Ok(CommitCreate {
                tags: tags.clone(),
                flavor: checkpoint.flavor.unwrap_or_default(),
                flavors: checkpoint.flavors,
                dtype: checkpoint.dtype.unwrap_or_default(),
                file_layout: checkpoint.file_layout.unwrap_or_default(),
                file_type: checkpoint.file_type.unwrap_or_default(),
                message: checkpoint.display_label.unwrap_or_default(),
                metadata: checkpoint.metadata.unwrap_or_default(),
                auto_create_external_parent: auto_create_external_parent.filter(|_| !checkpoint.lineage.is_empty()),
                lineage: checkpoint.lineage,
                ..CommitCreate::new(CommitMode::Replace, operations)
            })
        };
        checkpoint_flavors.into_iter().map(commit).collect()
    }
}

impl SessionOpened {
    /// Reads the reply to an open.
    ///
    /// # Errors
    /// [`ReplyError`] when it names no session.
    pub fn from_reply(body: &[u8]) -> Result<Self, ReplyError> {
        let object = read_object(body)?;
        let id = text(&object, &["session_id"]).ok_or(ReplyError::Missing("session_id"))?;
        let session_id = id.parse().map_err(|_| ReplyError::Invalid("session_id"))?;
        Ok(Self { session_id, expires_at: object.get("expires_at").filter(|value| !value.is_null()).cloned() })
    }
}

fn operations(files: Vec<ManifestFile>, deletions: Vec<RepoPath>) -> Result<Vec<CommitOperation>, RepoPath> {
    let deletions: BTreeSet<RepoPath> = deletions.into_iter().collect();
    let add = |ManifestFile { path, digest, size_bytes }: ManifestFile| match digest.as_blake3() {
        Some(blake3) => Ok(CommitOperation::Add { path, blake3, size_bytes }),
        None => Err(path),
    };
    files.into_iter().filter(|file| !deletions.contains(&file.path)).map(add).collect()
}

#[cfg(test)]
mod tests;
