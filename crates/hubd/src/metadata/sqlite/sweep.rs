//! What has expired, what nobody names, and the objects that are to be deleted.

use rusqlite::{Connection, params};

use super::{
    commits::{self, OPEN},
    row::stored,
    uploads,
};
use crate::metadata::MetadataError;

pub(super) fn sweep(on: &Connection, unused_since_s: u64, now_s: u64, limit: usize) -> Result<(), MetadataError> {
    let (now, limit) = (stored(now_s), i64::try_from(limit).unwrap_or(i64::MAX));
    let ids = |sql: &str| -> Result<Vec<String>, MetadataError> {
        let mut list = on.prepare_cached(sql)?;
        let rows = list.query_map(params![now, limit], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    for commit in ids(&format!("SELECT id FROM commits WHERE state = {OPEN} AND expires_s <= ?1 LIMIT ?2"))? {
        commits::close(on, &commit)?;
    }
    for upload in ids("SELECT id FROM uploads WHERE expires_s <= ?1 LIMIT ?2")? {
        uploads::drop_open(on, &upload)?;
        on.prepare_cached("DELETE FROM uploads WHERE id = ?1")?.execute([&upload])?;
    }
    collect(on, unused_since_s, limit)
}

/// Dooms the objects of contents that nothing names. A later upload of such content has objects of its own.
fn collect(on: &Connection, unused_since_s: u64, limit: i64) -> Result<(), MetadataError> {
    let mut list = on.prepare_cached(
        "SELECT blake3 FROM blobs AS b WHERE used_s < ?1
             AND NOT EXISTS (SELECT 1 FROM files WHERE files.blake3 = b.blake3)
             AND NOT EXISTS (SELECT 1 FROM media WHERE media.blake3 = b.blake3)
             AND NOT EXISTS (SELECT 1 FROM pins WHERE pins.blake3 = b.blake3)
             AND NOT EXISTS (SELECT 1 FROM dataset_files WHERE dataset_files.blake3 = b.blake3)
         LIMIT ?2",
    )?;
    let rows = list.query_map(params![stored(unused_since_s), limit], |row| row.get(0))?;
    let unused: Vec<String> = rows.collect::<Result<_, _>>()?;
    for blob in &unused {
        let doom = "INSERT OR IGNORE INTO doomed (key) SELECT key FROM segments WHERE blake3 = ?1";
        on.prepare_cached(doom)?.execute([blob])?;
        on.prepare_cached("DELETE FROM segments WHERE blake3 = ?1")?.execute([blob])?;
        on.prepare_cached("DELETE FROM blobs WHERE blake3 = ?1")?.execute([blob])?;
    }
    Ok(())
}

pub(super) fn doomed(on: &Connection, limit: usize) -> Result<Vec<String>, MetadataError> {
    let mut list = on.prepare_cached("SELECT key FROM doomed LIMIT ?1")?;
    let rows = list.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
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
