//! The values that go through the seam.

use std::collections::BTreeMap;

use gen_worker_hub::{
    Blake3Hash, Digest, ServerId,
    api::CommitCreate,
    model_ref::RepoName,
    names::{Flavor, Tag},
    snapshot::SnapshotFile,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An object and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its key in the object store.
    pub key: String,
    /// Its bytes.
    pub size_bytes: u64,
}

/// Content that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// Its hash.
    pub blake3: Blake3Hash,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256, where it is known.
    pub sha256: Option<String>,
    /// Its bytes, one object after the other.
    pub segments: Vec<Segment>,
}

/// What an upload is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadOwner {
    /// A ref of the media of a tenant.
    Media {
        /// The tenant.
        owner: String,
        /// The ref.
        reference: String,
        /// Whether it must be new.
        create: bool,
    },
    /// A file of an open commit.
    Commit(ServerId),
}

/// An upload to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUpload {
    /// Its id.
    pub id: ServerId,
    /// What it is for.
    pub owner: UploadOwner,
    /// Content that will come.
    pub blake3: Blake3Hash,
    /// Its size.
    pub size_bytes: u64,
    /// Kind of content.
    pub mime_type: String,
    /// When it ends.
    pub expires_s: u64,
}

/// An upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// What was announced.
    pub new: NewUpload,
    /// The parts that came, in order.
    pub parts: Vec<Part>,
    /// Whether it is complete.
    pub complete: bool,
    /// SHA-256 of the content of a complete one, where it is known.
    pub sha256: Option<String>,
    /// Whether its ref was new; of a complete one.
    pub created: bool,
}

/// What came of an open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadOpened {
    /// The content was there and the ref is recorded.
    Known(Box<Upload>),
    /// The bytes are wanted.
    Wanted,
}

/// One part that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Counted from 1.
    pub number: u32,
    /// Where its bytes are.
    pub segment: Segment,
    /// Its hash: of the content when it is the only part, else the chaining value of its place in the tree of the content.
    pub chaining: Blake3Hash,
    /// SHA-256 of the content, when it is the only part.
    pub sha256: Option<String>,
}

/// A commit to open.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCommit {
    /// Its id.
    pub id: ServerId,
    /// Where to.
    pub repo: RepoName,
    /// Whether the repository is private when the commit makes it.
    pub private: bool,
    /// What changes.
    pub body: CommitCreate,
    /// When it ends.
    pub expires_s: u64,
    /// By what it is known again, when its client asks once more because it did not hear the answer.
    pub repeat: Option<Repeat>,
}

/// By what a commit is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The same for the same author, repository and body, and the same name if the client gave one.
    pub key: String,
    /// Whether the client gave one. Then every call with it means one commit, until that is given up. Without one, another client
    /// may mean a commit of its own: it is the same as long as nothing has come for it, since who did not hear the answer cannot
    /// have sent anything.
    pub is_named: bool,
    /// Commits that end before this, in seconds since 1970, are not it: their time is over, or they are too old to be asked for
    /// again.
    pub live_after_s: u64,
}

/// What came of the open of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOpened {
    /// Its id: another than was asked for when it had been opened before.
    pub id: ServerId,
    /// What it needs, in the order of the operations, one for each content.
    pub pins: Vec<Pin>,
}

/// Content that a commit needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Which.
    pub blake3: Blake3Hash,
    /// Its size.
    pub size_bytes: u64,
    /// The upload that has to bring it; none for what is there for this commit.
    pub upload: Option<NewUpload>,
}

/// How many tensors have which type, by the names that safetensors gives them.
pub type Dtypes = BTreeMap<String, u64>;

/// What a commit became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finalized {
    /// Digest of the tree.
    pub checkpoint_id: Digest,
    /// The tags that point to it.
    pub tags: Vec<String>,
    /// The label that was made of one that is none.
    pub normalized_flavor: Option<String>,
    /// Whether it has pickled weights.
    pub unsafe_weights: bool,
    /// The type that most of its tensors have, as the headers show it.
    pub dtype: Option<String>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// This checkpoint, by either digest, under this label if one is given.
    Digest(Digest, Option<Flavor>),
    /// What this tag means.
    Tag(Tag, Option<Flavor>),
}

/// A tree of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its digest.
    pub digest: Digest,
    /// Whether its repository is private.
    pub private: bool,
    /// How often commits have moved tags of its repository: a larger number is a later state of it.
    pub repo_revision: u64,
    /// Its files, in the order of their paths.
    pub files: Vec<SnapshotFile>,
    /// Other labels of the tag, with the bytes of each.
    pub siblings: Vec<(String, u64)>,
    /// The type that most of its tensors have.
    pub dtype: Option<String>,
}

/// What is known of a repository itself.
#[derive(Clone, Debug, PartialEq)]
pub struct RepoRecord {
    /// Its attributes.
    pub attributes: Map<String, Value>,
    /// Whether only those with a token may see it.
    pub private: bool,
}

/// Who has a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A tree of a repository.
    Repo {
        /// The repository.
        repo: RepoName,
        /// Whether it is private.
        private: bool,
    },
    /// The media of a tenant.
    Media {
        /// The tenant.
        owner: String,
    },
    /// A dataset.
    Dataset {
        /// Who owns it.
        owner: String,
        /// What it is called.
        name: String,
        /// Whether it is private.
        private: bool,
    },
}
