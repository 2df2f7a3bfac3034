//! Commits that are asked for once more by clients that did not hear the answer.

use std::collections::HashMap;

use gen_worker_hub::{Blake3Hash, ServerId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    commits::{DONE, OPEN},
    row::{count, parse, stored},
};
use crate::metadata::{CommitOpened, MetadataError, NewCommit, NewUpload, UploadOwner, pins};

/// The commit that was opened before by the same words, if there is one.
pub(super) fn earlier(on: &Connection, new: &NewCommit) -> Result<Option<CommitOpened>, MetadataError> {
    let Some(repeat) = &new.repeat else { return Ok(None) };
    let mut find = on.prepare_cached(
        "SELECT id FROM commits AS c WHERE repeat = ?1 AND owner = ?2 AND name = ?3
             AND (state = ?4 AND expires_s > ?5 OR state = ?6 AND ?7)
             AND (?7 OR NOT EXISTS (SELECT 1 FROM uploads AS u WHERE u.commit_id = c.id
                  AND (created IS NOT NULL OR EXISTS (SELECT 1 FROM parts WHERE parts.upload = u.id))))
         ORDER BY expires_s DESC LIMIT 1",
    )?;
    let (owner, name, after_s) = (new.repo.owner(), new.repo.repo(), stored(repeat.live_after_s));
    let values = params![repeat.key, owner, name, OPEN, after_s, DONE, repeat.is_named];
    let found: Option<String> = find.query_row(values, |row| row.get(0)).optional()?;
    let Some(id) = found else { return Ok(None) };
    let id: ServerId = parse("id", &id)?;
    let open = open_uploads(on, &id)?;
    Ok(Some(CommitOpened { id, pins: pins::again(new, open) }))
}

fn open_uploads(on: &Connection, commit: &ServerId) -> Result<HashMap<Blake3Hash, NewUpload>, MetadataError> {
    let mut list = on.prepare_cached(
        "SELECT id, blake3, size, mime, expires_s FROM uploads WHERE commit_id = ?1 AND created IS NULL",
    )?;
    let mut rows = list.query([commit.as_str()])?;
    let mut open = HashMap::new();
    while let Some(row) = rows.next()? {
        let blake3: Blake3Hash = parse("blake3", &row.get::<_, String>(1)?)?;
        let new = NewUpload {
            id: parse("id", &row.get::<_, String>(0)?)?,
            owner: UploadOwner::Commit(commit.clone()),
            blake3,
            size_bytes: count("size", row.get(2)?)?,
            mime_type: row.get(3)?,
            expires_s: count("expires_s", row.get(4)?)?,
        };
        open.insert(blake3, new);
    }
    Ok(open)
}
