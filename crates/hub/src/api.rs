//! What is said over HTTP (Hub contract, sections 3 to 10, and tags of 13), as values for both ends.
//!
//! Requests and replies of one call stand in one file. Unknown fields are ignored in both directions; what is known is
//! parsed into types that cannot hold nonsense, and a reply that cannot be is a [`ReplyError`], which repeats nothing of it.

mod capability;
mod commit;
mod commit_reply;
mod complete;
mod dataset;
mod environment;
mod error_body;
mod grant;
mod manifest;
mod metadata;
mod produced;
mod release;
mod reply;
mod resolve;
mod session;
mod upload;

pub use capability::{MediaUrl, MediaUrls, MediaUrlsRequest, RenewReply, RenewRequest};
pub use commit::{COMMIT_OPERATIONS_MAX, CommitCreate, CommitMode, CommitOperation, CommitTag, Lineage, MergeBase};
pub use commit_reply::{CommitCreated, CommitFinalized, CommitUpload};
pub use complete::{CompleteRequest, LocalFile, PartEtag, TransferDone, UploadedFile, same_etag};
pub use dataset::{Dataset, DatasetCreate, DatasetList, DatasetPatch, DatasetSchema};
pub use environment::{EnvironmentEntry, EnvironmentName, EnvironmentNameError, EnvironmentScope, ResolvedEnvironment};
pub use error_body::{ErrorBody, ErrorDetail};
pub use grant::TransferGrant;
pub use manifest::ManifestFile;
pub use metadata::RepoMetadata;
pub use produced::{ProducedFlavor, clone_mode, destination};
pub use release::{EndpointTag, Promotion, Rollback, TagChange, TagMoved};
pub use reply::{REPLY_BYTES_MAX, ReplyError};
pub use resolve::{FileSource, Resolved, ResolvedFile, SiblingFlavor};
pub use session::{RepoFields, SessionCheckpoint, SessionFinalize, SessionOpen, SessionOpened};
pub use upload::{
    PART_SIZE_DEFAULT, PARTS_MAX, PartRange, PartUrls, UploadCreate, UploadPlace, UploadSource, UploadStart,
};
