//! Sessions: several uploads of one job for one repository (Hub contract, section 5). A session is a commit that is opened empty
//! and pins what comes, so that it ends, expires and is swept as one.

use gen_worker_hub::{RepoPath, ServerId, api::CommitCreate, model_ref::RepoName};

use super::{Answer, Author, Finalized, NewCommit, NewUpload, Reader, Upload};

/// What came of the open of an upload of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionUploadOpened {
    /// The content is there, and pinned.
    Known {
        /// SHA-256 of the content, where it is known.
        sha256: Option<String>,
    },
    /// The bytes are wanted.
    Wanted,
}

/// The part of the seam for sessions.
pub trait Sessions {
    /// Opens a session: `new` has no operations.
    ///
    /// # Errors
    /// [`super::MetadataError::TooMany`].
    fn open_session(&self, new: NewCommit, author: Author) -> Answer<'_, ()>;

    /// Opens an upload for `path`; its owner is the commit that the session is. Content that its author can read already, or that
    /// the session has brought, is pinned at once.
    ///
    /// # Errors
    /// [`super::MetadataError::Closed`] for a session that is not open; [`super::MetadataError::Unfit`] for one that has too many
    /// uploads, or this content with another size; [`super::MetadataError::OverBudget`].
    fn open_session_upload(
        &self,
        repo: RepoName,
        new: NewUpload,
        path: RepoPath,
        author: Author,
        now_s: u64,
    ) -> Answer<'_, SessionUploadOpened>;

    /// An upload of a session of `repo`, and its path.
    fn session_upload(
        &self,
        repo: RepoName,
        session: ServerId,
        upload: ServerId,
        now_s: u64,
    ) -> Answer<'_, Option<(Upload, RepoPath)>>;

    /// Ends a session with checkpoints, all of them or none; their contents came with it, or `reader` may read them. One that is
    /// finalized answers as before.
    ///
    /// # Errors
    /// [`super::MetadataError::Closed`]; [`super::MetadataError::Missing`]; [`super::MetadataError::Unfit`]. None of them changes
    /// anything.
    fn finalize_session(
        &self,
        repo: RepoName,
        session: ServerId,
        checkpoints: Vec<CommitCreate>,
        reader: Reader,
        now_s: u64,
    ) -> Answer<'_, Vec<Finalized>>;

    /// Gives an open session and its uploads up. One that is not there, or is done, is no error.
    fn close_session(&self, repo: RepoName, session: ServerId, now_s: u64) -> Answer<'_, ()>;
}
