//! What has expired, what nobody names, and the objects that are to be deleted.

use rusqlite::{Connection, params};

use super::{budgets, commits, joins, row::stored, uploads};
use crate::metadata::{COMMIT_KEPT_S, MetadataError};

pub(super) fn sweep(on: &Connection, unused_since_s: u64, now_s: u64, limit: usize) -> Result<bool, MetadataError> {
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let ids = |sql: &str, until_s: u64| -> Result<Vec<String>, MetadataError> {
        let mut list = on.prepare_cached(sql)?;
        let ids = list.query_map(params![stored(until_s), rows], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    };
    let expired = ids("SELECT id FROM commits WHERE state = 0 AND expires_s <= ?1 LIMIT ?2", now_s)?;
    let mut ended = 0;
    for commit in &expired {
        // Each may have as many pins and uploads as a tree has files, and everybody waits for this transaction.
        if ended >= limit {
            break;
        }
        ended = ended.saturating_add(commits::close(on, commit, now_s)?).saturating_add(1);
    }
    let uploads = ids("SELECT id FROM uploads WHERE expires_s <= ?1 LIMIT ?2", now_s)?;
    for upload in &uploads {
        uploads::drop_open(on, upload)?;
        on.prepare_cached("DELETE FROM uploads WHERE id = ?1")?.execute([upload])?;
    }
    let old = ids(
        "SELECT id FROM commits AS c WHERE state <> 0 AND expires_s <= ?1
             AND NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.commit_id = c.id) LIMIT ?2",
        now_s.saturating_sub(COMMIT_KEPT_S),
    )?;
    for commit in &old {
        on.prepare_cached("DELETE FROM commits WHERE id = ?1")?.execute([commit])?;
    }
    budgets::expire(on, now_s)?;
    let idle = ids("SELECT blake3 FROM idle WHERE since_s < ?1 LIMIT ?2", unused_since_s)?;
    idle.iter().try_for_each(|blob| collect(on, blob))?;
    let retired = joins::doom_old(on, unused_since_s, rows)?;
    Ok(ended >= limit || retired >= limit || [uploads, old, idle].iter().any(|done| done.len() >= limit))
}

/// Dooms the objects of a content that nothing names. A later upload of such content has objects of its own. One that something
/// names is not looked at again before it loses a name.
fn collect(on: &Connection, blob: &str) -> Result<(), MetadataError> {
    on.prepare_cached("DELETE FROM idle WHERE blake3 = ?1")?.execute([blob])?;
    let mut find = on.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM files WHERE blake3 = ?1) OR EXISTS (SELECT 1 FROM media WHERE blake3 = ?1)
             OR EXISTS (SELECT 1 FROM pins WHERE blake3 = ?1 AND here = 1) OR EXISTS (SELECT 1 FROM dataset_files WHERE blake3 = ?1)",
    )?;
    if find.query_row([blob], |row| row.get(0))? {
        return Ok(());
    }
    let doom = "INSERT OR IGNORE INTO doomed (key) SELECT key FROM segments WHERE blake3 = ?1";
    on.prepare_cached(doom)?.execute([blob])?;
    on.prepare_cached("DELETE FROM segments WHERE blake3 = ?1")?.execute([blob])?;
    on.prepare_cached("DELETE FROM blobs WHERE blake3 = ?1")?.execute([blob])?;
    Ok(())
}

pub(super) fn doomed(on: &Connection, after: &str, limit: usize) -> Result<Vec<String>, MetadataError> {
    let mut list = on.prepare_cached("SELECT key FROM doomed WHERE key > ?1 ORDER BY key LIMIT ?2")?;
    let rows = list.query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn forget(on: &Connection, keys: &[String]) -> Result<(), MetadataError> {
    let mut forget = on.prepare_cached("DELETE FROM doomed WHERE key = ?1")?;
    keys.iter().try_for_each(|key| forget.execute([key]).map(drop))?;
    Ok(())
}

pub(super) fn unknown(on: &Connection, keys: Vec<String>) -> Result<Vec<String>, MetadataError> {
    let mut known = on.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM segments WHERE key = ?1) OR EXISTS (SELECT 1 FROM parts WHERE key = ?1)
             OR EXISTS (SELECT 1 FROM retired WHERE key = ?1) OR EXISTS (SELECT 1 FROM joining WHERE key = ?1)
             OR EXISTS (SELECT 1 FROM doomed WHERE key = ?1)",
    )?;
    let mut unknown = Vec::new();
    for key in keys {
        if !known.query_row([&key], |row| row.get(0))? {
            unknown.push(key);
        }
    }
    Ok(unknown)
}
