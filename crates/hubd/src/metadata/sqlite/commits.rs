//! Open commits and what they pin.

use std::collections::BTreeSet;

use gen_worker_hub::{ServerId, api::CommitOperation, model_ref::RepoName};
use rusqlite::{Connection, params};

use super::{blobs, row::stored, uploads};
use crate::metadata::{MetadataError, NewCommit, Pin};

/// State of a commit that can be finalized.
pub(super) const OPEN: i64 = 0;
/// State of one that is a checkpoint.
pub(super) const DONE: i64 = 1;
/// State of one that was given up, or that was not finished in time.
pub(super) const CLOSED: i64 = 2;

pub(super) fn open(on: &Connection, new: &NewCommit, now_s: u64) -> Result<Vec<Pin>, MetadataError> {
    let body = serde_json::to_string(&new.body).map_err(|error| MetadataError::Unfit(error.to_string()))?;
    let mut insert = on.prepare_cached(
        "INSERT INTO commits (id, owner, name, private, state, body, expires_s) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let (owner, name) = (new.repo.owner(), new.repo.repo());
    insert.execute(params![new.id.as_str(), owner, name, new.private, OPEN, body, stored(new.expires_s)])?;
    let mut pin = on.prepare_cached("INSERT INTO pins (commit_id, blake3, size, here) VALUES (?1, ?2, ?3, ?4)")?;
    let (mut seen, mut pins) = (BTreeSet::new(), Vec::new());
    for operation in &new.body.operations {
        let CommitOperation::Add { blake3, size_bytes, .. } = operation else { continue };
        if !seen.insert(*blake3) {
            continue;
        }
        let here = blobs::readable(on, blake3, *size_bytes, owner)?;
        if here {
            blobs::touch(on, blake3, now_s)?;
        }
        pin.execute(params![new.id.as_str(), blake3.to_string(), stored(*size_bytes), here])?;
        pins.push(Pin { blake3: *blake3, size_bytes: *size_bytes, here });
    }
    Ok(pins)
}

pub(super) fn close_of(on: &Connection, repo: &RepoName, id: &ServerId) -> Result<(), MetadataError> {
    let mut find = on.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM commits WHERE id = ?1 AND owner = ?2 AND name = ?3 AND state = ?4)",
    )?;
    let is_open = find.query_row(params![id.as_str(), repo.owner(), repo.repo(), OPEN], |row| row.get(0))?;
    if is_open { close(on, id.as_str()) } else { Ok(()) }
}

/// Closes an open commit: its pins and the uploads that have not come are gone.
pub(super) fn close(on: &Connection, id: &str) -> Result<(), MetadataError> {
    on.prepare_cached("UPDATE commits SET state = ?2 WHERE id = ?1")?.execute(params![id, CLOSED])?;
    end(on, id)
}

/// Ends what an open commit holds. Contents that it brought stay for the grace.
pub(super) fn end(on: &Connection, id: &str) -> Result<(), MetadataError> {
    on.prepare_cached("DELETE FROM pins WHERE commit_id = ?1")?.execute([id])?;
    let mut list = on.prepare_cached("SELECT id FROM uploads WHERE commit_id = ?1 AND created IS NULL")?;
    let open: Vec<String> = list.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    open.iter().try_for_each(|upload| uploads::drop_open(on, upload))
}
