//! Commits: a tree of files becomes a checkpoint of a repository (Hub contract, section 6).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::session::RepoFields;
use crate::{
    digest::{Blake3Hash, Digest},
    names::Tag,
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

/// What becomes of the files that a commit does not name. To publish means the default unless something else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitMode {
    /// They stay.
    Merge,
    /// They go.
    #[default]
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

#[cfg(test)]
mod tests;
