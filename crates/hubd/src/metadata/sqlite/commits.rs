//! Open commits and what they pin.

use gen_worker_hub::{ServerId, api::CommitCreate, model_ref::RepoName};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{blobs, budgets, repeats, row::stored, uploads};
use crate::metadata::{Author, CommitOpened, MetadataError, NewCommit, OPEN_MAX, Pin, Upload, UploadOwner, pins};

/// State of a commit that can be finalized.
pub(super) const OPEN: i64 = 0;
/// State of one that is a checkpoint.
pub(super) const DONE: i64 = 1;
/// State of one that was given up, or that was not finished in time.
pub(super) const CLOSED: i64 = 2;

pub(super) fn open(on: &Connection, new: &NewCommit, author: &Author) -> Result<CommitOpened, MetadataError> {
    if let Some(earlier) = repeats::earlier(on, new)? {
        return Ok(earlier);
    }
    check_open(on, new.repo.owner())?;
    let body = serde_json::to_string(&new.body).map_err(|error| MetadataError::Unfit(error.to_string()))?;
    let mut insert = on.prepare_cached(
        "INSERT INTO commits (id, owner, name, private, state, expires_s, repeat) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let (owner, name) = (new.repo.owner(), new.repo.repo());
    let repeat = new.repeat.as_ref().map(|repeat| &repeat.key);
    insert.execute(params![new.id.as_str(), owner, name, new.private, OPEN, stored(new.expires_s), repeat])?;
    let mut keep = on.prepare_cached("INSERT INTO commit_bodies (commit_id, body) VALUES (?1, ?2)")?;
    keep.execute([new.id.as_str(), &body])?;
    let pins = pins::pins(new, |blake3, size| blobs::readable(on, blake3, size, &author.reader))?;
    let mut pin = on.prepare_cached("INSERT INTO pins (commit_id, blake3, size, here) VALUES (?1, ?2, ?3, ?4)")?;
    for Pin { blake3, size_bytes, upload } in &pins {
        pin.execute(params![new.id.as_str(), blake3.to_string(), stored(*size_bytes), upload.is_none()])?;
        if let Some(upload) = upload {
            if let Some(budget) = &author.budget {
                budgets::charge(on, budget, blake3, *size_bytes)?;
            }
            uploads::insert(on, upload, author.budget.as_ref())?;
        }
    }
    Ok(CommitOpened { id: new.id.clone(), pins })
}

fn check_open(on: &Connection, owner: &str) -> Result<(), MetadataError> {
    let mut count = on.prepare_cached("SELECT count(*) FROM commits WHERE owner = ?1 AND state = 0")?;
    let count: i64 = count.query_row([owner], |row| row.get(0))?;
    if count < stored(OPEN_MAX) { Ok(()) } else { Err(MetadataError::TooMany { open_max: OPEN_MAX }) }
}

/// Contents that a commit held are looked at when a grace from now has passed: nothing else may name them.
fn mark_pinned(on: &Connection, id: &str, now_s: u64) -> Result<(), MetadataError> {
    let mut mark = on.prepare_cached(
        "INSERT INTO idle (blake3, since_s) SELECT blake3, ?2 FROM pins JOIN blobs USING (blake3)
         WHERE commit_id = ?1 AND here = 1
         ON CONFLICT DO UPDATE SET since_s = max(since_s, excluded.since_s)",
    )?;
    mark.execute(params![id, stored(now_s)])?;
    Ok(())
}

pub(super) fn close_of(on: &Connection, repo: &RepoName, id: &ServerId, now_s: u64) -> Result<(), MetadataError> {
    let mut find = on.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM commits WHERE id = ?1 AND owner = ?2 AND name = ?3 AND state = ?4)
             AND NOT EXISTS (SELECT 1 FROM sessions WHERE id = ?1)",
    )?;
    let is_open = find.query_row(params![id.as_str(), repo.owner(), repo.repo(), OPEN], |row| row.get(0))?;
    if is_open {
        close(on, id.as_str(), now_s)?;
    }
    Ok(())
}

/// Closes an open commit: its pins and the uploads that have not come are gone. How many rows that were.
pub(super) fn close(on: &Connection, id: &str, now_s: u64) -> Result<usize, MetadataError> {
    on.prepare_cached("UPDATE commits SET state = ?2 WHERE id = ?1")?.execute(params![id, CLOSED])?;
    mark_pinned(on, id, now_s)?;
    end(on, id)
}

/// Ends what an open commit holds: its operations, its pins, and the uploads that have not come. Contents that it brought stay
/// for the grace. How many rows are gone.
pub(super) fn end(on: &Connection, id: &str) -> Result<usize, MetadataError> {
    budgets::refund_commit(on, id)?;
    let mut rows = 0_usize;
    for sql in [
        "DELETE FROM commit_bodies WHERE commit_id = ?1",
        "DELETE FROM pins WHERE commit_id = ?1",
        "INSERT OR IGNORE INTO doomed (key) SELECT key FROM parts
         WHERE upload IN (SELECT id FROM uploads WHERE commit_id = ?1 AND created IS NULL)",
        "DELETE FROM parts WHERE upload IN (SELECT id FROM uploads WHERE commit_id = ?1 AND created IS NULL)",
        "DELETE FROM uploads WHERE commit_id = ?1 AND created IS NULL",
    ] {
        rows = rows.saturating_add(on.prepare_cached(sql)?.execute([id])?);
    }
    Ok(rows)
}

/// An upload of a commit of a repository that is no session.
pub(super) fn upload_of(
    on: &Connection,
    repo: &RepoName,
    commit: ServerId,
    id: &ServerId,
    now_s: u64,
) -> Result<Option<Upload>, MetadataError> {
    let mut find = on.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM commits WHERE id = ?1 AND owner = ?2 AND name = ?3)
             AND NOT EXISTS (SELECT 1 FROM sessions WHERE id = ?1)",
    )?;
    if !find.query_row([commit.as_str(), repo.owner(), repo.repo()], |row| row.get(0))? {
        return Ok(None);
    }
    let owner = UploadOwner::Commit(commit);
    Ok(uploads::get(on, id, now_s)?.filter(|upload| upload.new.owner == owner))
}

/// The operations of a commit; none of one that is not open.
pub(super) fn body(on: &Connection, id: &str) -> Result<Option<CommitCreate>, MetadataError> {
    let mut find = on.prepare_cached("SELECT body FROM commit_bodies WHERE commit_id = ?1")?;
    let body: Option<String> = find.query_row([id], |row| row.get(0)).optional()?;
    let corrupt = |error: serde_json::Error| MetadataError::Corrupt { detail: format!("a commit: {error}") };
    body.map(|body| serde_json::from_str(&body).map_err(corrupt)).transpose()
}
