//! Files of a tree, as older calls and datasets list them.

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, repo_path::RepoPath};

/// A file by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Where it is.
    pub path: RepoPath,
    /// Its content.
    pub digest: Digest,
    /// Its size.
    pub size_bytes: u64,
}
