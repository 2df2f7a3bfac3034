//! The store in one SQLite file, for one process. Owned by one thread, which commits what waits in one transaction.

mod blobs;
mod commits;
mod datasets;
mod environments;
mod finalize;
mod media;
mod open;
mod repos;
mod row;
mod sessions;
mod sweep;
mod transfers;
mod uploads;
mod writer;

use std::path::Path;

use gen_worker_hub::{Blake3Hash, Digest, ServerId, model_ref::RepoName};
use gen_worker_tasks::Scope;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

pub use open::OpenError;

use super::{
    Answer, BlobRecord, Checkpoint, Finalized, Holder, Metadata, NewCommit, NewUpload, Part, Pin, RepoRecord, Selector,
    Upload, UploadOpened,
};
use writer::Job;

/// Calls that wait for the writer; more wait in their tasks.
const JOBS_MAX: usize = 256;

/// Handle on the store. The thread ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct SqliteMetadata {
    jobs: mpsc::Sender<Job>,
}

impl SqliteMetadata {
    /// Opens the store at `path`, or makes it. Its thread belongs to `scope`. Blocks.
    ///
    /// # Errors
    /// See [`OpenError`]. A file of another program is left as it was.
    pub fn open(path: &Path, scope: &Scope) -> Result<Self, OpenError> {
        let connection = open::open(path)?;
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        scope.spawn_thread("hub-metadata", move || writer::run(connection, waiting)).map_err(OpenError::Thread)?;
        Ok(Self { jobs })
    }
}

impl Metadata for SqliteMetadata {
    fn open_upload(&self, new: NewUpload, now_s: u64) -> Answer<'_, UploadOpened> {
        self.call("open an upload", move |on| uploads::open(on, &new, now_s))
    }

    fn upload(&self, id: ServerId, now_s: u64) -> Answer<'_, Option<Upload>> {
        self.call("read an upload", move |on| uploads::get(on, &id, now_s))
    }

    fn put_part(&self, id: ServerId, part: Part, now_s: u64) -> Answer<'_, bool> {
        self.call("record a part", move |on| uploads::put_part(on, &id, &part, now_s))
    }

    fn complete_upload(
        &self,
        id: ServerId,
        verified: Vec<String>,
        sha256: Option<String>,
        now_s: u64,
    ) -> Answer<'_, Upload> {
        self.call("complete an upload", move |on| uploads::complete(on, &id, &verified, sha256.as_deref(), now_s))
    }

    fn drop_upload(&self, id: ServerId) -> Answer<'_, ()> {
        self.call("drop an upload", move |on| uploads::drop_open(on, id.as_str()))
    }

    fn open_commit(&self, new: NewCommit, now_s: u64) -> Answer<'_, Vec<Pin>> {
        self.call("open a commit", move |on| commits::open(on, &new, now_s))
    }

    fn finalize_commit(&self, repo: RepoName, id: ServerId, now_s: u64) -> Answer<'_, Finalized> {
        self.call("finalize a commit", move |on| finalize::finalize(on, &repo, &id, now_s))
    }

    fn close_commit(&self, repo: RepoName, id: ServerId) -> Answer<'_, ()> {
        self.call("close a commit", move |on| commits::close_of(on, &repo, &id))
    }

    fn resolve(&self, repo: RepoName, selector: Selector) -> Answer<'_, Option<Checkpoint>> {
        self.call("resolve a ref", move |on| repos::resolve(on, &repo, &selector))
    }

    fn repo_metadata(&self, repo: RepoName) -> Answer<'_, Option<RepoRecord>> {
        self.call("read attributes", move |on| repos::metadata(on, &repo))
    }

    fn put_repo_metadata(&self, repo: RepoName, private: bool, metadata: Map<String, Value>) -> Answer<'_, ()> {
        self.call("write attributes", move |on| repos::put_metadata(on, &repo, private, &metadata))
    }

    fn blob(&self, hash: Blake3Hash) -> Answer<'_, Option<BlobRecord>> {
        self.call("read a blob", move |on| blobs::get(on, &hash))
    }

    fn holders(&self, hash: Blake3Hash) -> Answer<'_, Vec<Holder>> {
        self.call("read who has a blob", move |on| blobs::holders(on, &hash))
    }

    fn media(&self, owner: String, reference: String) -> Answer<'_, Option<Blake3Hash>> {
        self.call("read a media ref", move |on| blobs::media(on, &owner, &reference))
    }

    fn sweep(&self, unused_since_s: u64, now_s: u64, limit: usize) -> Answer<'_, ()> {
        self.call("sweep", move |on| sweep::sweep(on, unused_since_s, now_s, limit))
    }

    fn doomed(&self, limit: usize) -> Answer<'_, Vec<String>> {
        self.call("read doomed objects", move |on| sweep::doomed(on, limit))
    }

    fn forget_doomed(&self, keys: Vec<String>) -> Answer<'_, ()> {
        self.call("forget doomed objects", move |on| sweep::forget(on, &keys))
    }

    fn unknown(&self, keys: Vec<String>) -> Answer<'_, Vec<String>> {
        self.call("look for objects", move |on| sweep::unknown(on, keys))
    }

    fn labels(&self, repo: RepoName, digest: Digest) -> Answer<'_, Vec<String>> {
        self.call("read labels", move |on| repos::labels(on, &repo, &digest))
    }
}

#[cfg(test)]
mod tests;
