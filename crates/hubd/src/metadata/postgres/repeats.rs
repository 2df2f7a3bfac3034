//! Commits that are asked for once more by clients that did not hear the answer.

use std::collections::HashMap;

use gen_worker_hub::ServerId;

use super::{
    commits::{DONE, OPEN},
    row::{column, counted, hash, parse, stored, values},
    transaction::{Lock, Transaction},
};
use crate::metadata::{CommitOpened, MetadataError, NewCommit, NewUpload, UploadOwner, pins};

/// The commit that was opened before by the same words, if there is one. Who opens one by them now waits for this transaction.
pub(super) async fn earlier(on: &Transaction, new: &NewCommit) -> Result<Option<CommitOpened>, MetadataError> {
    let Some(repeat) = &new.repeat else { return Ok(None) };
    on.lock(Lock::Repeat(&repeat.key)).await?;
    let sql = "SELECT id FROM hub.commits AS c WHERE repeat = $1 AND owner = $2 AND name = $3
             AND (state = $4 AND expires_s > $5 OR state = $6 AND $7)
             AND ($7 OR NOT EXISTS (SELECT 1 FROM hub.uploads AS u WHERE u.commit_id = c.id
                  AND (created IS NOT NULL OR EXISTS (SELECT 1 FROM hub.parts AS p WHERE p.upload = u.id))))
         ORDER BY expires_s DESC LIMIT 1";
    let (owner, name, after_s) = (new.repo.owner(), new.repo.repo(), stored(repeat.live_after_s));
    let values = values![repeat.key, owner, name, OPEN, after_s, DONE, repeat.is_named];
    let Some(row) = on.row(sql, values).await? else { return Ok(None) };
    let id: ServerId = parse("id", column(&row, 0)?)?;
    let sql = "SELECT id, blake3, size, mime, expires_s FROM hub.uploads WHERE commit_id = $1 AND created IS NULL";
    let mut open = HashMap::new();
    for row in on.rows(sql, values![id.as_str()]).await? {
        let upload = NewUpload {
            id: parse("id", column(&row, 0)?)?,
            owner: UploadOwner::Commit(id.clone()),
            blake3: hash(&row, 1)?,
            size_bytes: counted(&row, 2)?,
            mime_type: column(&row, 3)?,
            expires_s: counted(&row, 4)?,
        };
        open.insert(upload.blake3, upload);
    }
    Ok(Some(CommitOpened { id, pins: pins::again(new, open) }))
}
