//! Sessions, over commits and their pins.

use std::collections::BTreeMap;

use gen_worker_hub::{
    Blake3Hash, RepoPath, ServerId,
    api::{COMMIT_OPERATIONS_MAX, CommitCreate, CommitOperation},
    model_ref::RepoName,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    SqliteMetadata, blobs, budgets,
    commits::{self, OPEN},
    finalize, repos,
    row::{parse, stored},
    uploads,
};
use crate::metadata::{
    Answer, Author, Finalized, Holder, MetadataError, NewCommit, NewUpload, Reader, SessionUploadOpened, Sessions,
    Upload, UploadOwner,
};

impl Sessions for SqliteMetadata {
    fn open_session(&self, new: NewCommit, author: Author) -> Answer<'_, ()> {
        self.call("open a session", move |on| {
            commits::open(on, &new, &author)?;
            on.prepare_cached("INSERT INTO sessions (id) VALUES (?1)")?.execute([new.id.as_str()])?;
            Ok(())
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
        self.call("open an upload of a session", move |on| open_upload(on, &repo, &new, &path, &author, now_s))
    }

    fn session_upload(
        &self,
        repo: RepoName,
        session: ServerId,
        upload: ServerId,
        now_s: u64,
    ) -> Answer<'_, Option<(Upload, RepoPath)>> {
        self.read("read an upload of a session", move |on| upload_of(on, &repo, session, &upload, now_s))
    }

    fn finalize_session(
        &self,
        repo: RepoName,
        session: ServerId,
        checkpoints: Vec<CommitCreate>,
        reader: Reader,
        now_s: u64,
    ) -> Answer<'_, Vec<Finalized>> {
        self.call("finalize a session", move |on| finalize_all(on, &repo, &session, checkpoints, &reader, now_s))
    }

    fn close_session(&self, repo: RepoName, session: ServerId, now_s: u64) -> Answer<'_, ()> {
        self.call("close a session", move |on| match read(on, &repo, &session)? {
            Some(found) if found.state == OPEN => commits::close(on, session.as_str(), now_s).map(drop),
            _ => Ok(()),
        })
    }
}

/// A session as it is stored.
struct Stored {
    state: i64,
    private: bool,
    expires_s: i64,
    result: Option<String>,
}

impl Stored {
    fn must_be_open(&self, now_s: u64) -> Result<(), MetadataError> {
        if self.state == OPEN && self.expires_s > stored(now_s) { Ok(()) } else { Err(MetadataError::Closed) }
    }
}

fn read(on: &Connection, repo: &RepoName, id: &ServerId) -> Result<Option<Stored>, MetadataError> {
    let mut find = on.prepare_cached(
        "SELECT c.state, c.private, c.expires_s, s.result FROM sessions AS s JOIN commits AS c USING (id)
         WHERE id = ?1 AND c.owner = ?2 AND c.name = ?3",
    )?;
    let found = find.query_row([id.as_str(), repo.owner(), repo.repo()], |row| {
        Ok(Stored { state: row.get(0)?, private: row.get(1)?, expires_s: row.get(2)?, result: row.get(3)? })
    });
    Ok(found.optional()?)
}

fn open_upload(
    on: &Connection,
    repo: &RepoName,
    new: &NewUpload,
    path: &RepoPath,
    author: &Author,
    now_s: u64,
) -> Result<SessionUploadOpened, MetadataError> {
    let UploadOwner::Commit(session) = &new.owner else { return Err(MetadataError::Closed) };
    read(on, repo, session)?.ok_or(MetadataError::Closed)?.must_be_open(now_s)?;
    let is_known = match pinned(on, session, &new.blake3)? {
        Some((size, _)) if size != stored(new.size_bytes) => {
            return Err(MetadataError::Unfit("the session has this content with another size".to_owned()));
        }
        Some((_, true)) => true,
        _ => blobs::readable(on, &new.blake3, new.size_bytes, &author.reader)?,
    };
    let hash = new.blake3.to_string();
    let mut pin = on.prepare_cached(
        "INSERT INTO pins (commit_id, blake3, size, here) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET here = max(here, excluded.here)",
    )?;
    pin.execute(params![session.as_str(), hash, stored(new.size_bytes), is_known])?;
    if is_known {
        let sha256 = blobs::get(on, &new.blake3)?.and_then(|blob| blob.sha256);
        return Ok(SessionUploadOpened::Known { sha256 });
    }
    check_count(on, session)?;
    if let Some(budget) = &author.budget {
        budgets::charge(on, budget, &new.blake3, new.size_bytes)?;
    }
    uploads::insert(on, new, author.budget.as_ref())?;
    let mut insert = on.prepare_cached("INSERT INTO session_uploads (upload, path) VALUES (?1, ?2)")?;
    insert.execute([new.id.as_str(), path.as_str()])?;
    Ok(SessionUploadOpened::Wanted)
}

/// The size of a content that a session names, and whether it is there.
fn pinned(on: &Connection, session: &ServerId, hash: &Blake3Hash) -> Result<Option<(i64, bool)>, MetadataError> {
    let mut find = on.prepare_cached("SELECT size, here FROM pins WHERE commit_id = ?1 AND blake3 = ?2")?;
    let values = [session.as_str(), &hash.to_string()];
    Ok(find.query_row(values, |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

fn check_count(on: &Connection, session: &ServerId) -> Result<(), MetadataError> {
    let mut count = on.prepare_cached("SELECT count(*) FROM uploads WHERE commit_id = ?1")?;
    let count: i64 = count.query_row([session.as_str()], |row| row.get(0))?;
    if usize::try_from(count).is_ok_and(|count| count < COMMIT_OPERATIONS_MAX) {
        return Ok(());
    }
    Err(MetadataError::Unfit(format!("a session has at most {COMMIT_OPERATIONS_MAX} uploads")))
}

fn upload_of(
    on: &Connection,
    repo: &RepoName,
    session: ServerId,
    id: &ServerId,
    now_s: u64,
) -> Result<Option<(Upload, RepoPath)>, MetadataError> {
    if read(on, repo, &session)?.is_none() {
        return Ok(None);
    }
    let owner = UploadOwner::Commit(session);
    let Some(upload) = uploads::get(on, id, now_s)?.filter(|upload| upload.new.owner == owner) else {
        return Ok(None);
    };
    let mut find = on.prepare_cached("SELECT path FROM session_uploads WHERE upload = ?1")?;
    let path: Option<String> = find.query_row([id.as_str()], |row| row.get(0)).optional()?;
    let path = path.map(|path| parse("path", &path)).transpose()?;
    Ok(path.map(|path| (upload, path)))
}

fn finalize_all(
    on: &Connection,
    repo: &RepoName,
    id: &ServerId,
    checkpoints: Vec<CommitCreate>,
    reader: &Reader,
    now_s: u64,
) -> Result<Vec<Finalized>, MetadataError> {
    let corrupt = |error: serde_json::Error| MetadataError::Corrupt { detail: format!("a session: {error}") };
    let session = read(on, repo, id)?.ok_or(MetadataError::Closed)?;
    if let Some(result) = &session.result {
        return serde_json::from_str(result).map_err(corrupt);
    }
    session.must_be_open(now_s)?;
    let opened = commits::body(on, id.as_str())?.ok_or(MetadataError::Closed)?;
    let mut done = Vec::with_capacity(checkpoints.len());
    for checkpoint in checkpoints {
        all_here(on, id, &checkpoint, reader)?;
        let made = repos::make(on, repo, session.private)?;
        // What the repository is was said when the session was opened.
        let checkpoint = CommitCreate { repo: opened.repo.clone(), ..checkpoint };
        done.push(finalize::record(on, &made, checkpoint, now_s)?);
    }
    let result = serde_json::to_string(&done).map_err(corrupt)?;
    on.prepare_cached("UPDATE sessions SET result = ?2 WHERE id = ?1")?.execute([id.as_str(), &result])?;
    commits::close(on, id.as_str(), now_s)?;
    Ok(done)
}

/// Every content of `checkpoint` came with the session, or may be read by `reader`.
fn all_here(on: &Connection, id: &ServerId, checkpoint: &CommitCreate, reader: &Reader) -> Result<(), MetadataError> {
    let (mut missing, mut seen) = (Vec::new(), BTreeMap::new());
    for operation in &checkpoint.operations {
        let CommitOperation::Add { path, blake3, size_bytes } = operation else { continue };
        let is_here = match seen.get(&(*blake3, *size_bytes)) {
            Some(is_here) => *is_here,
            None => {
                let own = pinned(on, id, blake3)? == Some((stored(*size_bytes), true));
                let is_here = own || blobs::readable(on, blake3, *size_bytes, reader)?;
                seen.insert((*blake3, *size_bytes), is_here);
                is_here
            }
        };
        if !is_here {
            missing.push(path.to_string());
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(MetadataError::Missing(missing)) }
}

/// The repositories whose open sessions have brought a content: for them it is there before it is in a tree.
pub(super) fn holders(on: &Connection, hash: &str) -> Result<Vec<Holder>, MetadataError> {
    let mut list = on.prepare_cached(
        "SELECT DISTINCT owner, name FROM commits WHERE state = ?2 AND id IN (
             SELECT commit_id FROM pins JOIN sessions ON sessions.id = pins.commit_id
             WHERE pins.blake3 = ?1 AND pins.here = 1)",
    )?;
    let rows = list.query_map(params![hash, OPEN], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut holders = Vec::new();
    for row in rows {
        let (owner, name): (String, String) = row?;
        holders.push(Holder::Repo { repo: parse("owner, name", &format!("{owner}/{name}"))?, private: true });
    }
    Ok(holders)
}
