//! Where things are in the store (model contract, section 6). Owns the root and nothing else; touches no disk.
//!
//! ```text
//! blobs/blake3/<aa>/<bb>/<hex>    a verified file; <hex>.part while it comes
//! snapshots/<id>/…                a complete tree; <id>.building.<pid>.<n> while it is put together
//! manifests/<id>.json             what that tree has to be
//! refs/providers/<key>.json       what a request to a provider got
//! locks/                          kernel locks: what is held ends with its process
//! leaving/                        what was taken out of its place and is being removed
//! ref-index.json                  which ref is where
//! refs/<owner>/<repo>/<tag>       which snapshot a ref was when somebody asked last
//! ```

use std::path::{Component, Path, PathBuf};

use gen_worker_hub::{Blake3Hash, names::SnapshotId};

/// Infix of trees that are not complete.
const BUILDING: &str = ".building.";

/// What the locks of builds are called.
pub(crate) const SNAPSHOT_LOCK: &str = "snap-";

/// What the files are called in which processes say what they were promised.
pub(crate) const PROMISE_LOCK: &str = "room-";

/// Where models of Civitai are, one directory each.
pub(crate) const CIVITAI_DIR: &str = "civitai";

/// Where models of ModelScope are, by owner and repository.
pub(crate) const MODEL_SCOPE_DIR: &str = "modelscope";

/// Suffix of a file that is not complete.
pub(crate) const PART_SUFFIX: &str = ".part";

/// What is called `models--<owner>--<repo>` holds all revisions of one repository.
const REPO_PREFIX: &str = "models--";

/// Directories of the root that hold no models: nothing in them is evicted by its path.
const NOT_MODELS: [&str; 6] = ["blobs", "snapshots", "manifests", "locks", "leaving", "refs"];

/// Paths below one root.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
    /// The cache of Hugging Face, which other programs use too.
    shared: Option<PathBuf>,
}

impl Layout {
    /// The layout of the store in `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), shared: None }
    }

    /// The same with a cache of Hugging Face that is somewhere else: its repositories may be evicted too.
    #[must_use]
    pub fn with_hub_cache(self, hub: impl Into<PathBuf>) -> Self {
        Self { shared: Some(hub.into()), ..self }
    }

    /// The cache of Hugging Face, when it is below the root: then it is the store's to keep small.
    pub(crate) fn hub_cache_within(&self) -> Option<&Path> {
        self.shared.as_deref().filter(|shared| shared.starts_with(&self.root))
    }

    /// What the request to a provider that is called `key` got.
    #[must_use]
    pub fn receipt(&self, key: &str) -> PathBuf {
        self.receipts().join(format!("{key}.json"))
    }

    /// What all requests to providers got.
    #[must_use]
    pub fn receipts(&self) -> PathBuf {
        self.root.join("refs").join("providers")
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All blobs.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs").join("blake3")
    }

    /// A verified file.
    #[must_use]
    pub fn blob(&self, hash: Blake3Hash) -> PathBuf {
        let hex = hash.to_string();
        let (first, rest) = hex.split_at(2);
        let (second, _) = rest.split_at(2);
        self.blobs().join(first).join(second).join(hex)
    }

    /// The same file while it comes.
    #[must_use]
    pub fn part(&self, hash: Blake3Hash) -> PathBuf {
        self.blob(hash).with_extension(PART_SUFFIX.trim_start_matches('.'))
    }

    /// All trees.
    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// A complete tree.
    #[must_use]
    pub fn snapshot(&self, id: &SnapshotId) -> PathBuf {
        self.snapshots().join(id.as_str())
    }

    /// The same tree while it is put together; `unique` tells this try from all others, of any process.
    #[must_use]
    pub fn building(&self, id: &SnapshotId, unique: &str) -> PathBuf {
        self.snapshots().join(format!("{id}{BUILDING}{unique}"))
    }

    /// Of which tree the directory called `name` is an unfinished copy.
    #[must_use]
    pub fn unfinished(name: &str) -> Option<SnapshotId> {
        name.rsplit_once(BUILDING)?.0.parse().ok()
    }

    /// Whether a tree may be called so: not like the unfinished copy of another.
    #[must_use]
    pub fn may_name(id: &SnapshotId) -> bool {
        !id.as_str().contains(BUILDING)
    }

    /// What trees have to be.
    #[must_use]
    pub fn manifests(&self) -> PathBuf {
        self.root.join("manifests")
    }

    /// What one tree has to be.
    #[must_use]
    pub fn manifest(&self, id: &SnapshotId) -> PathBuf {
        self.manifests().join(format!("{id}.json"))
    }

    /// All locks.
    #[must_use]
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// Held alone by who evicts, and shared for a moment by who begins to build or to use something.
    #[must_use]
    pub fn gc_lock(&self) -> PathBuf {
        self.locks().join("gc")
    }

    /// Held alone by who decides whether something fits.
    #[must_use]
    pub fn room_lock(&self) -> PathBuf {
        self.locks().join("room")
    }

    /// Held alone for a moment by who changes the index or what refs were.
    #[must_use]
    pub fn index_lock(&self) -> PathBuf {
        self.locks().join("index")
    }

    /// Held alone for a moment by who notes what a tree has to be.
    #[must_use]
    pub fn manifests_lock(&self) -> PathBuf {
        self.locks().join("manifests")
    }

    /// Which snapshots refs were the last time that somebody asked the hub.
    #[must_use]
    pub fn refs(&self) -> PathBuf {
        self.root.join("refs")
    }

    /// Held by who builds or checks a tree. What is in the file: the blobs that the build needs.
    #[must_use]
    pub fn snapshot_lock(&self, id: &SnapshotId) -> PathBuf {
        self.locks().join(format!("{SNAPSHOT_LOCK}{id}"))
    }

    /// Held by who downloads a blob.
    #[must_use]
    pub fn blob_lock(&self, hash: Blake3Hash) -> PathBuf {
        self.locks().join(format!("blob-{hash}"))
    }

    /// Held by who downloads the file of a provider that goes to `place`.
    pub(crate) fn file_lock(&self, place: &Path) -> PathBuf {
        self.locks().join(format!("file-{}", Blake3Hash::of(place.as_os_str().as_encoded_bytes())))
    }

    /// Held shared by those who use what is deleted as one `unit`.
    #[must_use]
    pub fn use_lock(&self, unit: &Path) -> PathBuf {
        let name = match self.snapshot_at(unit) {
            Some(id) => id.to_string(),
            None => Blake3Hash::of(unit.as_os_str().as_encoded_bytes()).to_string(),
        };
        self.locks().join(format!("use-{name}"))
    }

    /// What is on its way out.
    #[must_use]
    pub fn leaving(&self) -> PathBuf {
        self.root.join("leaving")
    }

    /// Which tree is at `unit`.
    #[must_use]
    pub fn snapshot_at(&self, unit: &Path) -> Option<SnapshotId> {
        unit.strip_prefix(self.snapshots()).ok()?.to_str()?.parse().ok().filter(Self::may_name)
    }

    /// Where the models of the store are noted.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.root.join("ref-index.json")
    }

    /// What is deleted when the model at `path` is evicted (rule 8.6): all of its snapshot, else all of its repository, else
    /// the path. None for what is not a model of this store, whoever wrote it into the index.
    #[must_use]
    pub fn eviction_unit(&self, path: &Path) -> Option<PathBuf> {
        if let Some(below) = self.shared.as_ref().and_then(|shared| path.strip_prefix(shared).ok()) {
            let Some(Component::Normal(repo)) = below.components().next() else { return None };
            let ours = repo.to_str().is_some_and(|repo| repo.starts_with(REPO_PREFIX));
            return ours.then(|| self.shared.iter().collect::<PathBuf>().join(repo));
        }
        let below = path.strip_prefix(&self.root).ok()?;
        let mut names = Vec::new();
        for component in below.components() {
            let Component::Normal(name) = component else { return None };
            names.push(name.to_str()?);
        }
        let depth = match names.as_slice() {
            ["snapshots", id, ..] if id.parse::<SnapshotId>().is_ok() => 2,
            [top, _, ..] if !NOT_MODELS.contains(top) => {
                names.iter().rposition(|name| name.starts_with(REPO_PREFIX)).map_or(names.len(), |at| at + 1)
            }
            _ => return None,
        };
        Some(names.into_iter().take(depth).fold(self.root.clone(), |path, name| path.join(name)))
    }
}

#[cfg(test)]
mod tests;
