//! Sessions, over commits and their pins.

use std::collections::HashSet;

use futures::FutureExt as _;
use gen_worker_hub::{
    Blake3Hash, RepoPath, ServerId,
    api::{COMMIT_OPERATIONS_MAX, CommitCreate, CommitOperation},
    model_ref::RepoName,
};

use super::{
    PostgresMetadata, blobs, budgets,
    commits::{self, OPEN},
    finalize, repos,
    row::{column, hash, parse, stored, values},
    transaction::Transaction,
    uploads,
};
use crate::metadata::{
    Answer, Author, Finalized, MetadataError, NewCommit, NewUpload, Reader, SessionUploadOpened, Sessions, Upload,
    UploadOwner,
};

impl Sessions for PostgresMetadata {
    fn open_session(&self, new: NewCommit, author: Author) -> Answer<'_, ()> {
        self.call("open a session", (new, author), |on, (new, author)| {
            commits::open(on, new, author, true).map(|opened| opened.map(drop)).boxed()
        })
    }

    fn open_session_upload(
        &self,
        repo: RepoName,
        new: NewUpload,
        path: RepoPath,
        author: Author,
        now_s: u64,
    ) -> Answer<'_, SessionUploadOpened> {
        let data = (repo, new, path, author, now_s);
        self.call("open an upload of a session", data, |on, (repo, new, path, author, now_s)| {
            open_upload(on, repo, new, path, author, *now_s).boxed()
        })
    }

    fn session_upload(
        &self,
        repo: RepoName,
        session: ServerId,
        upload: ServerId,
        now_s: u64,
    ) -> Answer<'_, Option<(Upload, RepoPath)>> {
        let data = (repo, session, upload, now_s);
        self.read("read an upload of a session", data, |on, (repo, session, upload, now_s)| {
            upload_of(on, repo, session, upload, *now_s).boxed()
        })
    }

    fn finalize_session(
        &self,
        repo: RepoName,
        session: ServerId,
        checkpoints: Vec<CommitCreate>,
        reader: Reader,
        now_s: u64,
    ) -> Answer<'_, Vec<Finalized>> {
        let data = (repo, session, checkpoints, reader, now_s);
        self.call("finalize a session", data, |on, (repo, session, checkpoints, reader, now_s)| {
            finalize_all(on, repo, session, checkpoints, reader, *now_s).boxed()
        })
    }

    fn close_session(&self, repo: RepoName, session: ServerId, now_s: u64) -> Answer<'_, ()> {
        self.call("close a session", (repo, session, now_s), |on, (repo, session, now_s)| {
            commits::close_of(on, repo, session, true, *now_s).boxed()
        })
    }
}

async fn open_upload(
    on: &Transaction,
    repo: &RepoName,
    new: &NewUpload,
    path: &RepoPath,
    author: &Author,
    now_s: u64,
) -> Result<SessionUploadOpened, MetadataError> {
    let UploadOwner::Commit(session) = &new.owner else { return Err(MetadataError::Closed) };
    // It stays open until this is over, and takes one upload after the other.
    let sql = "SELECT 1 FROM hub.commits WHERE id = $1 AND owner = $2 AND name = $3 AND session AND state = 0
         AND expires_s > $4 FOR NO KEY UPDATE";
    let found = on.row(sql, values![session.as_str(), repo.owner(), repo.repo(), stored(now_s)]).await?;
    found.ok_or(MetadataError::Closed)?;
    let name = new.blake3.as_bytes().as_slice();
    let sql = "SELECT size, here FROM hub.pins WHERE commit_id = $1 AND blake3 = $2";
    let pinned = on.row(sql, values![session.as_str(), name]).await?;
    let is_here = match pinned {
        Some(row) if column::<i64>(&row, 0)? != stored(new.size_bytes) => {
            return Err(MetadataError::Unfit("the session has this content with another size".to_owned()));
        }
        Some(row) => column(&row, 1)?,
        None => false,
    };
    let is_known = is_here || blobs::readable(on, &new.blake3, new.size_bytes, &author.reader).await?;
    let sql = "INSERT INTO hub.pins AS p (commit_id, blake3, size, here) VALUES ($1, $2, $3, $4)
         ON CONFLICT (commit_id, blake3) DO UPDATE SET here = p.here OR excluded.here";
    on.execute(sql, values![session.as_str(), name, stored(new.size_bytes), is_known]).await?;
    if is_known {
        let sha256 = blobs::get(on, &new.blake3).await?.and_then(|blob| blob.sha256);
        return Ok(SessionUploadOpened::Known { sha256 });
    }
    check_count(on, session).await?;
    if let Some(budget) = &author.budget {
        budgets::charge(on, budget, &[new]).await?;
    }
    uploads::insert(on, &[new], author.budget.as_ref(), Some(path.as_str())).await?;
    Ok(SessionUploadOpened::Wanted)
}

async fn check_count(on: &Transaction, session: &ServerId) -> Result<(), MetadataError> {
    let sql = "SELECT count(*) FROM hub.uploads WHERE commit_id = $1";
    let row = on.row(sql, values![session.as_str()]).await?;
    let count: i64 = row.map_or(Ok(0), |row| column(&row, 0))?;
    if usize::try_from(count).is_ok_and(|count| count < COMMIT_OPERATIONS_MAX) {
        return Ok(());
    }
    Err(MetadataError::Unfit(format!("a session has at most {COMMIT_OPERATIONS_MAX} uploads")))
}

async fn upload_of(
    on: &Transaction,
    repo: &RepoName,
    session: &ServerId,
    id: &ServerId,
    now_s: u64,
) -> Result<Option<(Upload, RepoPath)>, MetadataError> {
    let sql = "SELECT u.path FROM hub.uploads AS u JOIN hub.commits AS c ON c.id = u.commit_id
         WHERE u.id = $1 AND c.id = $2 AND c.owner = $3 AND c.name = $4 AND c.session";
    let row = on.row(sql, values![id.as_str(), session.as_str(), repo.owner(), repo.repo()]).await?;
    let Some(row) = row else { return Ok(None) };
    let (path, upload) = (column::<Option<&str>>(&row, 0)?, uploads::get(on, id, now_s).await?);
    let path = path.map(|path| parse("path", path)).transpose()?;
    Ok(upload.zip(path))
}

async fn finalize_all(
    on: &Transaction,
    name: &RepoName,
    id: &ServerId,
    checkpoints: &[CommitCreate],
    reader: &Reader,
    now_s: u64,
) -> Result<Vec<Finalized>, MetadataError> {
    let corrupt = |error: serde_json::Error| MetadataError::Corrupt { detail: format!("a session: {error}") };
    let sql = "SELECT private, state, expires_s, result, body FROM hub.commits
         WHERE id = $1 AND owner = $2 AND name = $3 AND session FOR UPDATE";
    let row = on.row(sql, values![id.as_str(), name.owner(), name.repo()]).await?.ok_or(MetadataError::Closed)?;
    if let Some(result) = column::<Option<&str>>(&row, 3)? {
        return serde_json::from_str(result).map_err(corrupt);
    }
    let (private, state, expires_s): (bool, i64, i64) = (column(&row, 0)?, column(&row, 1)?, column(&row, 2)?);
    if state != OPEN || expires_s <= stored(now_s) {
        return Err(MetadataError::Closed);
    }
    let opened = commits::body(column::<Option<&str>>(&row, 4)?.ok_or(MetadataError::Closed)?)?;
    let own = own(on, id).await?;
    let mut done = Vec::with_capacity(checkpoints.len());
    for checkpoint in checkpoints {
        all_here(on, &own, checkpoint, reader).await?;
        let repo = repos::make(on, name, private).await?;
        // What the repository is was said when the session was opened.
        let checkpoint = CommitCreate { repo: opened.repo.clone(), ..checkpoint.clone() };
        done.push(finalize::record(on, repo, checkpoint, now_s).await?);
    }
    let result = serde_json::to_string(&done).map_err(corrupt)?;
    on.execute("UPDATE hub.commits SET result = $2 WHERE id = $1", values![id.as_str(), result]).await?;
    commits::close(on, id.as_str(), now_s).await?;
    Ok(done)
}

/// What came with a session.
async fn own(on: &Transaction, id: &ServerId) -> Result<HashSet<(Blake3Hash, i64)>, MetadataError> {
    let sql = "SELECT blake3, size FROM hub.pins WHERE commit_id = $1 AND here";
    let rows = on.rows(sql, values![id.as_str()]).await?;
    rows.iter().map(|row| Ok((hash(row, 0)?, column(row, 1)?))).collect()
}

/// Every content of `checkpoint` came with the session, or may be read by `reader`.
async fn all_here(
    on: &Transaction,
    own: &HashSet<(Blake3Hash, i64)>,
    checkpoint: &CommitCreate,
    reader: &Reader,
) -> Result<(), MetadataError> {
    let added = || {
        checkpoint.operations.iter().filter_map(|operation| match operation {
            CommitOperation::Add { path, blake3, size_bytes } => Some((path, *blake3, *size_bytes)),
            _ => None,
        })
    };
    let is_own = |blake3: Blake3Hash, size_bytes: u64| own.contains(&(blake3, stored(size_bytes)));
    let others: HashSet<(Blake3Hash, u64)> =
        added().map(|(_, blake3, size)| (blake3, size)).filter(|(blake3, size)| !is_own(*blake3, *size)).collect();
    let others: Vec<(Blake3Hash, u64)> = others.into_iter().collect();
    let readable = blobs::readable_among(on, &others, reader).await?;
    let missing = added().filter(|(_, blake3, size)| !is_own(*blake3, *size) && !readable.contains(blake3));
    let missing: Vec<String> = missing.map(|(path, ..)| path.to_string()).collect();
    if missing.is_empty() { Ok(()) } else { Err(MetadataError::Missing(missing)) }
}
