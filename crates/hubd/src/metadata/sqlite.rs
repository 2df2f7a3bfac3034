//! The store in one SQLite file, for one process. One thread writes, and commits what waits in one transaction; some others read.

mod blobs;
mod budgets;
mod commits;
mod datasets;
mod environments;
mod finalize;
mod joins;
mod media;
mod open;
mod readers;
mod releases;
mod repeats;
mod repos;
mod row;
mod sessions;
mod sweep;
mod transfers;
mod uploads;
mod weights;
mod writer;

use std::path::Path;

use gen_worker_hub::{Blake3Hash, Digest, ServerId, model_ref::RepoName};
use gen_worker_tasks::Scope;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

pub use open::OpenError;

use super::{
    Answer, Author, BlobRecord, Checkpoint, CommitOpened, Dtypes, Finalized, Holder, Metadata, NewCommit, NewUpload,
    Part, Reader, RepoRecord, Selector, Upload, UploadOpened,
};
use readers::Read;
use writer::Job;

/// Calls that wait for the writer; more wait in their tasks.
const JOBS_MAX: usize = 256;

/// Handle on the store. The threads end when the last one is dropped.
#[derive(Clone, Debug)]
pub struct SqliteMetadata {
    jobs: mpsc::Sender<Job>,
    reads: mpsc::Sender<Read>,
}

impl SqliteMetadata {
    /// Opens the store at `path`, or makes it. Its threads belong to `scope`. Beside it stands a lock file, which is held as
    /// long as they run. Blocks.
    ///
    /// # Errors
    /// See [`OpenError`]. A file of another program is left as it was.
    pub fn open(path: &Path, scope: &Scope) -> Result<Self, OpenError> {
        let lock = open::lock(path)?;
        let connection = open::open(path)?;
        let reads = readers::start(path, scope)?;
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let write = move || {
            writer::run(connection, waiting);
            drop(lock);
        };
        scope.spawn_thread("hub-metadata", write).map_err(OpenError::Thread)?;
        Ok(Self { jobs, reads })
    }
}

impl Metadata for SqliteMetadata {
    fn open_upload(&self, new: NewUpload, author: Author, now_s: u64) -> Answer<'_, UploadOpened> {
        self.call("open an upload", move |on| uploads::open(on, &new, &author, now_s))
    }

    fn upload(&self, id: ServerId, now_s: u64) -> Answer<'_, Option<Upload>> {
        self.read("read an upload", move |on| uploads::get(on, &id, now_s))
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

    fn open_commit(&self, new: NewCommit, author: Author) -> Answer<'_, CommitOpened> {
        self.call("open a commit", move |on| commits::open(on, &new, &author))
    }

    fn commit_upload(
        &self,
        repo: RepoName,
        commit: ServerId,
        upload: ServerId,
        now_s: u64,
    ) -> Answer<'_, Option<Upload>> {
        self.read("read an upload of a commit", move |on| commits::upload_of(on, &repo, commit, &upload, now_s))
    }

    fn unread_weights(&self, repo: RepoName, id: ServerId) -> Answer<'_, Vec<Blake3Hash>> {
        self.read("read an open commit", move |on| weights::unread(on, &repo, &id))
    }

    fn unread_among(&self, contents: Vec<Blake3Hash>) -> Answer<'_, Vec<Blake3Hash>> {
        self.read("look for headers", move |on| weights::unread_among(on, contents))
    }

    fn put_weights(&self, hash: Blake3Hash, dtypes: Dtypes) -> Answer<'_, ()> {
        self.call("record a header", move |on| weights::put(on, &hash, &dtypes))
    }

    fn finalize_commit(&self, repo: RepoName, id: ServerId, now_s: u64) -> Answer<'_, Finalized> {
        self.call("finalize a commit", move |on| finalize::finalize(on, &repo, &id, now_s))
    }

    fn close_commit(&self, repo: RepoName, id: ServerId, now_s: u64) -> Answer<'_, ()> {
        self.call("close a commit", move |on| commits::close_of(on, &repo, &id, now_s))
    }

    fn resolve(&self, repo: RepoName, selector: Selector) -> Answer<'_, Option<Checkpoint>> {
        self.read("resolve a ref", move |on| repos::resolve(on, &repo, &selector))
    }

    fn repo_of_tree(&self, digest: Digest, reader: Reader) -> Answer<'_, Option<RepoName>> {
        self.read("look for a tree", move |on| repos::of_tree(on, &digest, &reader))
    }

    fn repo_metadata(&self, repo: RepoName) -> Answer<'_, Option<RepoRecord>> {
        self.read("read attributes", move |on| repos::metadata(on, &repo))
    }

    fn put_repo_metadata(&self, repo: RepoName, private: bool, metadata: Map<String, Value>) -> Answer<'_, ()> {
        self.call("write attributes", move |on| repos::put_metadata(on, &repo, private, &metadata))
    }

    fn put_visibility(&self, repo: RepoName, private: bool) -> Answer<'_, bool> {
        self.call("write a visibility", move |on| repos::put_visibility(on, &repo, private))
    }

    fn blob(&self, hash: Blake3Hash) -> Answer<'_, Option<BlobRecord>> {
        self.read("read a blob", move |on| blobs::get(on, &hash))
    }

    fn learn_sha256(&self, hash: Blake3Hash, sha256: String) -> Answer<'_, ()> {
        self.call("record a hash", move |on| blobs::learn_sha256(on, &hash, &sha256))
    }

    fn holders(&self, hash: Blake3Hash) -> Answer<'_, Vec<Holder>> {
        self.read("read who has a blob", move |on| blobs::holders(on, &hash))
    }

    fn readable(&self, hash: Blake3Hash, reader: Reader) -> Answer<'_, bool> {
        self.read("read who has a blob", move |on| blobs::any_holder(on, &hash, &mut |holder| reader.may_read(&holder)))
    }

    fn media(&self, owner: String, reference: String) -> Answer<'_, Option<Blake3Hash>> {
        self.read("read a media ref", move |on| blobs::media(on, &owner, &reference))
    }

    fn sweep(&self, unused_since_s: u64, now_s: u64, limit: usize) -> Answer<'_, bool> {
        self.call("sweep", move |on| sweep::sweep(on, unused_since_s, now_s, limit))
    }

    fn doomed(&self, after: String, limit: usize) -> Answer<'_, Vec<String>> {
        self.read("read doomed objects", move |on| sweep::doomed(on, &after, limit))
    }

    fn forget_doomed(&self, keys: Vec<String>) -> Answer<'_, ()> {
        self.call("forget doomed objects", move |on| sweep::forget(on, &keys))
    }

    fn unknown(&self, keys: Vec<String>) -> Answer<'_, Vec<String>> {
        // In line behind the records of those who have gone: a record that is still to be made names its object.
        self.call("look for objects", move |on| sweep::unknown(on, keys))
    }

    fn labels(&self, repo: RepoName, digest: Digest) -> Answer<'_, Vec<String>> {
        self.read("read labels", move |on| repos::labels(on, &repo, &digest))
    }
}

#[cfg(test)]
mod tests;
