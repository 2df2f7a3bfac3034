//! The store in PostgreSQL, for any number of processes.
//!
//! Each call is one transaction of its own. Nothing is kept in a session and no statement is prepared, so that a pooler which
//! gives each transaction another connection may stand in between. What must not change under a transaction is locked, always in
//! this order: commit, uploads, repository, contents; who would wait in a circle all the same is rolled back by the database, and
//! tries again.

mod blobs;
mod budgets;
mod call;
mod commits;
mod datasets;
mod environments;
mod finalize;
mod joins;
mod media;
mod open;
mod pool;
mod releases;
mod repeats;
mod repos;
mod row;
mod sessions;
mod sweep;
mod tls;
mod transaction;
mod transfers;
mod uploads;
mod weights;

use std::{fmt, sync::Arc};

use futures::FutureExt as _;
use gen_worker_hub::{Blake3Hash, Digest, ServerId, model_ref::RepoName};
use gen_worker_tasks::Scope;
use serde_json::{Map, Value};
use tokio_postgres::Config;
use tokio_rustls::rustls::ClientConfig;

pub use open::PostgresOpenError;

use super::{
    Answer, Author, BlobRecord, Checkpoint, CommitOpened, Dtypes, Finalized, Holder, Metadata, NewCommit, NewUpload,
    Part, Reader, RepoRecord, Selector, Upload, UploadOpened,
};
use pool::Pool;
use tls::Tls;

/// Connections of one process: few enough that several processes fit into the hundred that a server gives by default.
const CONNECTIONS: usize = 16;

/// Where the database is.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Address, `postgres://user:password@host:port/name?sslmode=require`, as libpq has it.
    pub url: String,
    /// For servers that speak TLS. Their certificates are verified.
    pub tls: Option<Arc<ClientConfig>>,
    /// Most connections at once. Calls for which there is none wait, and fail after ten seconds.
    pub connections: usize,
}

/// Handle on the store. Its connections end when the last one is dropped.
#[derive(Clone, Debug)]
pub struct PostgresMetadata {
    pool: Pool,
    /// Its own name, made with its tables.
    id: Arc<str>,
}

impl PostgresOptions {
    /// The database at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), tls: None, connections: CONNECTIONS }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl PostgresMetadata {
    /// Opens the store, and makes its tables when they are not there. Its connections belong to `scope`.
    ///
    /// # Errors
    /// See [`PostgresOpenError`]. Tables of another program are left as they were.
    pub async fn open(options: PostgresOptions, scope: Arc<Scope>) -> Result<Self, PostgresOpenError> {
        // The error would show parts of the address.
        let config: Config = options.url.parse().map_err(|_| PostgresOpenError::Address)?;
        if config.get_hosts().is_empty() {
            return Err(PostgresOpenError::Address);
        }
        let pool = Pool::new(config, options.tls.map(Tls), scope, options.connections.max(1));
        let id = open::prepare(&pool).await?.into();
        Ok(Self { pool, id })
    }
}

impl Metadata for PostgresMetadata {
    fn shared(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn now_s(&self) -> Answer<'_, Option<u64>> {
        self.read("ask for the time", (), |on, ()| sweep::now_s(on).boxed())
    }

    fn open_upload(&self, new: NewUpload, author: Author, now_s: u64) -> Answer<'_, UploadOpened> {
        self.call("open an upload", (new, author, now_s), |on, (new, author, now_s)| {
            uploads::open(on, new, author, *now_s).boxed()
        })
    }

    fn upload(&self, id: ServerId, now_s: u64) -> Answer<'_, Option<Upload>> {
        self.read("read an upload", (id, now_s), |on, (id, now_s)| uploads::get(on, id, *now_s).boxed())
    }

    fn put_part(&self, id: ServerId, part: Part, now_s: u64) -> Answer<'_, bool> {
        self.call("record a part", (id, part, now_s), |on, (id, part, now_s)| {
            uploads::put_part(on, id, part, *now_s).boxed()
        })
    }

    fn complete_upload(
        &self,
        id: ServerId,
        verified: Vec<String>,
        sha256: Option<String>,
        now_s: u64,
    ) -> Answer<'_, Upload> {
        let data = (id, verified, sha256, now_s);
        self.call("complete an upload", data, |on, (id, verified, sha256, now_s)| {
            uploads::complete(on, id, verified, sha256.as_deref(), *now_s).boxed()
        })
    }

    fn drop_upload(&self, id: ServerId) -> Answer<'_, ()> {
        self.call("drop an upload", id, |on, id| uploads::drop_open(on, id).boxed())
    }

    fn open_commit(&self, new: NewCommit, author: Author) -> Answer<'_, CommitOpened> {
        self.call("open a commit", (new, author), |on, (new, author)| commits::open(on, new, author, false).boxed())
    }

    fn commit_upload(
        &self,
        repo: RepoName,
        commit: ServerId,
        upload: ServerId,
        now_s: u64,
    ) -> Answer<'_, Option<Upload>> {
        let data = (repo, commit, upload, now_s);
        self.read("read an upload of a commit", data, |on, (repo, commit, upload, now_s)| {
            commits::upload_of(on, repo, commit, upload, *now_s).boxed()
        })
    }

    fn unread_weights(&self, repo: RepoName, id: ServerId) -> Answer<'_, Vec<Blake3Hash>> {
        self.read("read an open commit", (repo, id), |on, (repo, id)| weights::unread(on, repo, id).boxed())
    }

    fn unread_among(&self, contents: Vec<Blake3Hash>) -> Answer<'_, Vec<Blake3Hash>> {
        self.read("look for headers", contents, |on, contents| weights::unread_among(on, contents).boxed())
    }

    fn put_weights(&self, hash: Blake3Hash, dtypes: Dtypes) -> Answer<'_, ()> {
        self.call("record a header", (hash, dtypes), |on, (hash, dtypes)| weights::put(on, hash, dtypes).boxed())
    }

    fn finalize_commit(&self, repo: RepoName, id: ServerId, now_s: u64) -> Answer<'_, Finalized> {
        self.call("finalize a commit", (repo, id, now_s), |on, (repo, id, now_s)| {
            finalize::finalize(on, repo, id, *now_s).boxed()
        })
    }

    fn close_commit(&self, repo: RepoName, id: ServerId, now_s: u64) -> Answer<'_, ()> {
        self.call("close a commit", (repo, id, now_s), |on, (repo, id, now_s)| {
            commits::close_of(on, repo, id, false, *now_s).boxed()
        })
    }

    fn resolve(&self, repo: RepoName, selector: Selector) -> Answer<'_, Option<Checkpoint>> {
        self.read("resolve a ref", (repo, selector), |on, (repo, selector)| repos::resolve(on, repo, selector).boxed())
    }

    fn repo_of_tree(&self, digest: Digest, reader: Reader) -> Answer<'_, Option<RepoName>> {
        self.read("look for a tree", (digest, reader), |on, (digest, reader)| {
            repos::of_tree(on, digest, reader).boxed()
        })
    }

    fn repo_metadata(&self, repo: RepoName) -> Answer<'_, Option<RepoRecord>> {
        self.read("read attributes", repo, |on, repo| repos::metadata(on, repo).boxed())
    }

    fn put_repo_metadata(&self, repo: RepoName, private: bool, metadata: Map<String, Value>) -> Answer<'_, ()> {
        self.call("write attributes", (repo, private, metadata), |on, (repo, private, metadata)| {
            repos::put_metadata(on, repo, *private, metadata).boxed()
        })
    }

    fn put_visibility(&self, repo: RepoName, private: bool) -> Answer<'_, bool> {
        self.call("write a visibility", (repo, private), |on, (repo, private)| {
            repos::put_visibility(on, repo, *private).boxed()
        })
    }

    fn blob(&self, hash: Blake3Hash) -> Answer<'_, Option<BlobRecord>> {
        self.read("read a blob", hash, |on, hash| blobs::get(on, hash).boxed())
    }

    fn learn_sha256(&self, hash: Blake3Hash, sha256: String) -> Answer<'_, ()> {
        self.call("record a hash", (hash, sha256), |on, (hash, sha256)| blobs::learn_sha256(on, hash, sha256).boxed())
    }

    fn holders(&self, hash: Blake3Hash) -> Answer<'_, Vec<Holder>> {
        self.read("read who has a blob", hash, |on, hash| blobs::holders(on, hash).boxed())
    }

    fn readable(&self, hash: Blake3Hash, reader: Reader) -> Answer<'_, bool> {
        self.read("read who has a blob", (hash, reader), |on, (hash, reader)| {
            let may_read = |holders: Vec<Holder>| holders.iter().any(|holder| reader.may_read(holder));
            blobs::holders(on, hash).map(move |holders| holders.map(may_read)).boxed()
        })
    }

    fn media(&self, owner: String, reference: String) -> Answer<'_, Option<Blake3Hash>> {
        self.read("read a media ref", (owner, reference), |on, (owner, reference)| {
            blobs::media(on, owner, reference).boxed()
        })
    }

    fn sweep(&self, unused_since_s: u64, now_s: u64, limit: usize) -> Answer<'_, bool> {
        self.call("sweep", (unused_since_s, now_s, limit), |on, (unused_since_s, now_s, limit)| {
            sweep::sweep(on, *unused_since_s, *now_s, *limit).boxed()
        })
    }

    fn doomed(&self, after: String, limit: usize) -> Answer<'_, Vec<String>> {
        self.read("read doomed objects", (after, limit), |on, (after, limit)| sweep::doomed(on, after, *limit).boxed())
    }

    fn forget_doomed(&self, keys: Vec<String>) -> Answer<'_, ()> {
        self.call("forget doomed objects", keys, |on, keys| sweep::forget(on, keys).boxed())
    }

    fn unknown(&self, keys: Vec<String>) -> Answer<'_, Vec<String>> {
        self.call("look for objects", keys, |on, keys| sweep::unknown(on, keys).boxed())
    }

    fn labels(&self, repo: RepoName, digest: Digest) -> Answer<'_, Vec<String>> {
        self.read("read labels", (repo, digest), |on, (repo, digest)| repos::labels(on, repo, digest).boxed())
    }
}

#[cfg(test)]
mod tests;
