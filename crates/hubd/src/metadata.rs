//! What the hub knows: names, trees, tags, and which objects hold which bytes. The bytes themselves are in [`crate::blobs`].
//!
//! # Contract
//! Each call is one transaction: it is done whole or not at all, and once it returned `Ok` it outlives a kill of the process.
//! Calls may run at the same time; each sees all that returned before it began.
//!
//! Objects are named by keys that are used once. A key that is not needed any more is *doomed* in the transaction that forgets
//! it; the hub deletes the object and then calls [`Metadata::forget_doomed`]. A blob stays while a tree, a media ref or an open
//! commit names it, and for a grace after that, which is longer than addresses live.

mod author;
mod columns;
mod datasets;
mod environments;
mod joins;
mod media;
mod naming;
mod pins;
#[cfg(feature = "postgres")]
pub mod postgres;
mod record;
mod releases;
mod sessions;
pub mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transfers;

use futures::future::BoxFuture;
use gen_worker_hub::{Blake3Hash, Digest, ServerId, model_ref::RepoName};
use serde_json::{Map, Value};

pub use author::{Author, Budget, Reader};
pub use datasets::{DatasetChange, DatasetRecord, Datasets};
pub use environments::{EndpointName, Environments, ReleaseLabels, Variable};
pub use joins::Joins;
pub use media::{MediaFile, MediaFiles};
pub(crate) use naming::check_names;
pub use record::{
    BlobRecord, Checkpoint, CommitOpened, Dtypes, Finalized, Holder, NewCommit, NewUpload, Part, Pin, Repeat,
    RepoRecord, Segment, Selector, Upload, UploadOpened, UploadOwner,
};
pub use releases::{
    Actor, Expectation, LogEntry, MovedTag, NewPromotion, NewRelease, PUBLISH_KEY_S, ProjectName, ReleaseAction,
    ReleaseError, ReleaseImage, ReleaseRecord, ReleaseRow, Releases, TagRecord,
};
pub use sessions::{SessionUploadOpened, Sessions};
pub use transfers::Transfers;

/// How long a commit that is done or closed answers as before, from the end of its time on; then it is forgotten, and closed for
/// whoever still asks. A client asks again for half an hour, the longest job lives for a week.
pub const COMMIT_KEPT_S: u64 = 7 * 24 * 60 * 60;

/// Commits and sessions that an owner may have open. Each may hold as much as a tree; who loses the reply to an open leaves one
/// behind for a day.
pub const OPEN_MAX: u64 = 1_000;

/// The outcome of a call.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, MetadataError>>;

/// Why nothing was changed or read.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The upload or commit is not there any more: given up, finished or expired.
    #[error("it is closed")]
    Closed,
    /// Other parts are recorded than those that were verified.
    #[error("a part came again meanwhile")]
    Changed,
    /// The ref is there already and was not to be replaced.
    #[error("the ref exists")]
    RefExists,
    /// The job has announced more than it may write.
    #[error("the job may write {bytes_max} bytes in all")]
    OverBudget {
        /// What it may write.
        bytes_max: u64,
    },
    /// The owner has as many open commits and sessions as it may.
    #[error("an owner has at most {open_max} open commits and sessions")]
    TooMany {
        /// How many it may have.
        open_max: u64,
    },
    /// A release or a tag does not allow it.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// A commit cannot become a checkpoint.
    #[error("the commit makes no checkpoint: {0}")]
    Unfit(String),
    /// Files of a commit whose bytes have not come.
    #[error("{} files are missing", .0.len())]
    Missing(Vec<String>),
    /// Something in the store cannot be read.
    #[error("the store of the hub is damaged: {detail}")]
    Corrupt {
        /// What, without secrets.
        detail: String,
    },
    /// The store cannot be used now.
    #[error("cannot {operation}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The seam. All times are in seconds since 1970, all sizes in bytes; owners and names are in lower case.
pub trait Metadata:
    Datasets + Environments + Joins + MediaFiles + Releases + Sessions + Transfers + Send + Sync
{
    /// The name of a store that other processes may use at the same time, with the same objects; none for one that belongs to
    /// this process.
    fn shared(&self) -> Option<&str> {
        None
    }

    /// What time it is where the store is, in seconds since 1970; none where that is the time of this process.
    fn now_s(&self) -> Answer<'_, Option<u64>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Opens an upload, or records the ref at once when its author can read the content already.
    ///
    /// # Errors
    /// [`MetadataError::RefExists`] for a ref that is only to be created; [`MetadataError::Closed`] for a closed commit;
    /// [`MetadataError::OverBudget`].
    fn open_upload(&self, new: NewUpload, author: Author, now_s: u64) -> Answer<'_, UploadOpened>;

    /// An upload that has not expired, with its parts in order. A completed one has its result.
    fn upload(&self, id: ServerId, now_s: u64) -> Answer<'_, Option<Upload>>;

    /// Records a part whose object is written; an earlier object of the same part is doomed. False, with the new object doomed,
    /// when the upload is not open any more.
    fn put_part(&self, id: ServerId, part: Part, now_s: u64) -> Answer<'_, bool>;

    /// Makes the parts of an open upload a blob and records whatever it was for. `verified` are the keys of the parts, in
    /// their order, whose bytes are known to be right: nothing else becomes the blob. An upload that is complete answers as
    /// before.
    ///
    /// # Errors
    /// [`MetadataError::Closed`]; [`MetadataError::Changed`]; [`MetadataError::RefExists`].
    fn complete_upload(
        &self,
        id: ServerId,
        verified: Vec<String>,
        sha256: Option<String>,
        now_s: u64,
    ) -> Answer<'_, Upload>;

    /// Gives up an upload that is not complete; its objects are doomed. One that is not there is no error.
    fn drop_upload(&self, id: ServerId) -> Answer<'_, ()>;

    /// Opens a commit and the uploads that it needs: it pins what its author can read already. One that was opened before by
    /// the same [`Repeat`] is given as it is.
    ///
    /// # Errors
    /// [`MetadataError::OverBudget`]; [`MetadataError::TooMany`]. Then nothing is opened.
    fn open_commit(&self, new: NewCommit, author: Author) -> Answer<'_, CommitOpened>;

    /// An upload of a commit of `repo`; none of a session, whose uploads end in another way.
    fn commit_upload(
        &self,
        repo: RepoName,
        commit: ServerId,
        upload: ServerId,
        now_s: u64,
    ) -> Answer<'_, Option<Upload>>;

    /// Contents of an open commit that are there, are named as safetensors, and have no [`Metadata::put_weights`]. None of a
    /// commit that is not open.
    fn unread_weights(&self, repo: RepoName, id: ServerId) -> Answer<'_, Vec<Blake3Hash>>;

    /// Those of `contents` that are there and have no [`Metadata::put_weights`].
    fn unread_among(&self, contents: Vec<Blake3Hash>) -> Answer<'_, Vec<Blake3Hash>>;

    /// Records what the header of a content shows.
    fn put_weights(&self, hash: Blake3Hash, dtypes: Dtypes) -> Answer<'_, ()>;

    /// Makes an open commit a checkpoint and moves `latest` and its tags. One that is done answers as before.
    ///
    /// # Errors
    /// [`MetadataError::Closed`]; [`MetadataError::Missing`]; [`MetadataError::Unfit`]. None of them changes anything.
    fn finalize_commit(&self, repo: RepoName, id: ServerId, now_s: u64) -> Answer<'_, Finalized>;

    /// Gives up an open commit and its uploads. One that is not there, is done, or is a session, is no error and stays.
    fn close_commit(&self, repo: RepoName, id: ServerId, now_s: u64) -> Answer<'_, ()>;

    /// What a ref stands for.
    fn resolve(&self, repo: RepoName, selector: Selector) -> Answer<'_, Option<Checkpoint>>;

    /// A repository that has this tree, by either digest, and that `reader` may read.
    fn repo_of_tree(&self, digest: Digest, reader: Reader) -> Answer<'_, Option<RepoName>>;

    /// Attributes of a repository, and whether it is private.
    fn repo_metadata(&self, repo: RepoName) -> Answer<'_, Option<RepoRecord>>;

    /// Replaces all attributes. The repository is made when it is not there.
    fn put_repo_metadata(&self, repo: RepoName, private: bool, metadata: Map<String, Value>) -> Answer<'_, ()>;

    /// Says who may see a repository. False when it is not there.
    fn put_visibility(&self, repo: RepoName, private: bool) -> Answer<'_, bool>;

    /// Where the bytes of a blob are.
    fn blob(&self, hash: Blake3Hash) -> Answer<'_, Option<BlobRecord>>;

    /// Records the SHA-256 of a blob. One that is gone meanwhile is no error.
    fn learn_sha256(&self, hash: Blake3Hash, sha256: String) -> Answer<'_, ()>;

    /// Who has a blob in a tree or under a ref, each once.
    fn holders(&self, hash: Blake3Hash) -> Answer<'_, Vec<Holder>>;

    /// Whether `reader` may read something that has a blob.
    fn readable(&self, hash: Blake3Hash, reader: Reader) -> Answer<'_, bool>;

    /// The content of a media ref.
    fn media(&self, owner: String, reference: String) -> Answer<'_, Option<Blake3Hash>>;

    /// Drops what has expired, and dooms blobs that nothing has named since `unused_since_s`, at most about `limit` of each. True when
    /// it did as much as it may, so that there may be more. Costs next to nothing when nothing is left to do.
    fn sweep(&self, unused_since_s: u64, now_s: u64, limit: usize) -> Answer<'_, bool>;

    /// Keys of objects to delete that come after this one, in their order, at most `limit`.
    fn doomed(&self, after: String, limit: usize) -> Answer<'_, Vec<String>>;

    /// Their objects are gone.
    fn forget_doomed(&self, keys: Vec<String>) -> Answer<'_, ()>;

    /// Those of `keys` that nothing names, after every call that was sent before: also one whose caller has gone.
    fn unknown(&self, keys: Vec<String>) -> Answer<'_, Vec<String>>;

    /// The labels under which a repository has a checkpoint.
    fn labels(&self, repo: RepoName, digest: Digest) -> Answer<'_, Vec<String>>;
}
