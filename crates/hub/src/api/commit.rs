//! Commits: a tree of files becomes a checkpoint of a repository (Hub contract, section 6).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    reply::{ReplyError, read_object, text, truthy},
    session::RepoFields,
    upload::PartUrls,
};
use crate::{
    api::TransferGrant,
    api::upload::UploadSource,
    digest::{Blake3Hash, Digest},
    names::{ServerId, Tag},
    repo_path::{PathConflict, RepoPath},
    snapshot::SNAPSHOT_FILES_MAX,
};

/// Most operations of one commit: as many as a tree has files.
pub const COMMIT_OPERATIONS_MAX: usize = SNAPSHOT_FILES_MAX;

/// Body of a create. Build it with [`CommitCreate::new`] and set what else is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommitCreate {
    /// What changes; at least one.
    pub operations: Vec<CommitOperation>,
    /// What becomes of the files that are not named.
    pub mode: CommitMode,
    /// Tags that will point here, besides `latest`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<CommitTag>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Flavor of the tree. Servers normalise it ([`crate::names::Flavor::normalised`]).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub flavor: String,
    /// More labels of the same tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flavors: Vec<String>,
    /// Flavor that a ref without one means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub default_flavor: String,
    /// Number format; advisory.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dtype: String,
    /// Layout of the files; advisory.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_layout: String,
    /// Type of the files; advisory.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file_type: String,
    /// Attributes; names that start with `_` are the server's.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// What it was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineage: Vec<Lineage>,
    /// Whether parents that are not here are noted down. Goes with lineage only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_create_external_parent: Option<bool>,
    /// What a merge starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_base: Option<MergeBase>,
    /// What the repository is.
    #[serde(flatten)]
    pub repo: RepoFields,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CommitOperation {
    /// A file with this content is there.
    Add {
        /// Where.
        path: RepoPath,
        /// Its content.
        blake3: Blake3Hash,
        /// Its size.
        size_bytes: u64,
    },
    /// No file is there.
    Delete {
        /// Where.
        path: RepoPath,
    },
    /// The file of another place is there too.
    Copy {
        /// Where.
        path: RepoPath,
        /// From where.
        from_path: RepoPath,
        /// Of which checkpoint; the base when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_checkpoint: Option<Digest>,
    },
}

/// What becomes of the files that a commit does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitMode {
    /// They stay.
    Merge,
    /// They go.
    Replace,
}

/// What a merge starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeBase {
    /// What `latest` selects; the default.
    Latest,
    /// What the flavor of the commit is now.
    Flavor,
    /// This checkpoint.
    #[serde(untagged)]
    Checkpoint(Digest),
}

/// A tag that will point to the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitTag {
    /// The tag.
    pub tag: Tag,
    /// Flavor that the tag alone means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_flavor: Option<String>,
}

/// What a commit was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Repository of the parent.
    pub parent_repo: String,
    /// The parent.
    pub parent_checkpoint_id: String,
    /// How it was made.
    pub relationship_kind: String,
}

/// An open commit.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitCreated {
    /// Its id: no name of content.
    pub revision_id: ServerId,
    /// Files that the server wants, in its order.
    pub uploads: Vec<CommitUpload>,
}

/// A file that the server wants.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitUpload {
    /// Which.
    pub path: RepoPath,
    /// Its content.
    pub blake3: Blake3Hash,
    /// Its size.
    pub size_bytes: u64,
    /// The upload.
    pub upload_id: ServerId,
    /// Where to.
    pub source: UploadSource,
}

/// What a finalize said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFinalized {
    /// Digest of the tree, by which it can be pulled.
    pub checkpoint_id: Digest,
    /// The flavor that the server made of one it could not take.
    pub normalized_flavor: Option<String>,
}

impl CommitCreate {
    /// A commit without tags or attributes.
    #[must_use]
    pub fn new(mode: CommitMode, operations: Vec<CommitOperation>) -> Self {
        Self {
            operations,
            mode,
            tags: Vec::new(),
            message: String::new(),
            flavor: String::new(),
            flavors: Vec::new(),
            default_flavor: String::new(),
            dtype: String::new(),
            file_layout: String::new(),
            file_type: String::new(),
            metadata: Map::new(),
            lineage: Vec::new(),
            auto_create_external_parent: None,
            merge_base: None,
            repo: RepoFields::default(),
        }
    }

    /// Whether the paths that will be there can be there together.
    ///
    /// # Errors
    /// The first [`PathConflict`].
    pub fn check_paths(&self) -> Result<(), PathConflict> {
        let mut named = BTreeSet::new();
        for operation in &self.operations {
            if !named.insert(operation.path()) {
                return Err(PathConflict::Twice(operation.path().clone()));
            }
        }
        let stays = |operation: &&CommitOperation| !matches!(operation, CommitOperation::Delete { .. });
        RepoPath::check_tree(self.operations.iter().filter(stays).map(CommitOperation::path))
    }
}

impl CommitOperation {
    /// Where it changes something.
    #[must_use]
    pub fn path(&self) -> &RepoPath {
        match self {
            Self::Add { path, .. } | Self::Delete { path } | Self::Copy { path, .. } => path,
        }
    }
}

impl CommitCreated {
    /// Reads the reply to `sent`.
    ///
    /// # Errors
    /// [`ReplyError`] when it names no revision, wants a file that was not sent or another content of it, or does not say
    /// where a file goes.
    pub fn from_reply(body: &[u8], sent: &CommitCreate) -> Result<Self, ReplyError> {
        let object = read_object(body)?;
        let id = text(&object, &["revision_id"]).ok_or(ReplyError::Missing("revision_id"))?;
        let revision_id = id.parse().map_err(|_| ReplyError::Invalid("revision_id"))?;
        let added = sent.operations.iter().filter_map(|operation| match operation {
            CommitOperation::Add { path, blake3, size_bytes } => Some((path.as_str(), (path, *blake3, *size_bytes))),
            _ => None,
        });
        let added: BTreeMap<_, _> = added.collect();
        let listed = object.get("uploads").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if listed.len() > COMMIT_OPERATIONS_MAX {
            return Err(ReplyError::TooMany("uploads"));
        }
        let mut uploads = Vec::new();
        for entry in listed {
            let entry = entry.as_object().ok_or(ReplyError::Invalid("uploads"))?;
            let path = entry.get("path").and_then(Value::as_str).ok_or(ReplyError::Missing("path"))?;
            let (path, blake3, size_bytes) = *added.get(path).ok_or(ReplyError::UnknownPath)?;
            if text(entry, &["blake3"]).is_some_and(|hash| hash.parse() != Ok(blake3)) {
                return Err(ReplyError::Invalid("blake3"));
            }
            if !truthy(entry, "exists") {
                uploads.push(CommitUpload::from_object(entry, path, blake3, size_bytes)?);
            }
        }
        Ok(Self { revision_id, uploads })
    }
}

impl CommitUpload {
    fn from_object(
        entry: &Map<String, Value>,
        path: &RepoPath,
        blake3: Blake3Hash,
        size_bytes: u64,
    ) -> Result<Self, ReplyError> {
        let id = text(entry, &["upload_id"]).ok_or(ReplyError::Missing("upload_id"))?;
        let upload_id = id.parse().map_err(|_| ReplyError::Invalid("upload_id"))?;
        // Only this name counts here, unlike at other uploads (6.3).
        let source = match TransferGrant::within(entry, &["transfer_grant"])? {
            Some(grant) => UploadSource::Grant(grant),
            None => UploadSource::Parts(PartUrls::from_object(entry, size_bytes)?),
        };
        Ok(Self { path: path.clone(), blake3, size_bytes, upload_id, source })
    }
}

impl CommitFinalized {
    /// Reads the reply to a finalize that is done.
    ///
    /// # Errors
    /// [`ReplyError`] when it names no checkpoint.
    pub fn from_reply(body: &[u8]) -> Result<Self, ReplyError> {
        let object = read_object(body)?;
        let id = text(&object, &["checkpoint_id"]).ok_or(ReplyError::Missing("checkpoint_id"))?;
        let checkpoint_id = id.parse().map_err(|_| ReplyError::Invalid("checkpoint_id"))?;
        Ok(Self { checkpoint_id, normalized_flavor: text(&object, &["normalized_flavor"]).map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests;
