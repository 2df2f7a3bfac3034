//! Contents of several objects that become one object.

use gen_worker_hub::Blake3Hash;
use rusqlite::{Connection, params};

use super::{
    SqliteMetadata, blobs,
    row::{parse, stored},
};
use crate::metadata::{Answer, Joins, MetadataError, Segment};

impl Joins for SqliteMetadata {
    fn scattered(&self, after: Option<Blake3Hash>, limit: usize) -> Answer<'_, Vec<Blake3Hash>> {
        self.read("list contents of several objects", move |on| scattered(on, after.as_ref(), limit))
    }

    fn put_joined(&self, hash: Blake3Hash, from: Vec<String>, joined: Segment, now_s: u64) -> Answer<'_, bool> {
        self.call("record a joined object", move |on| put(on, &hash, &from, &joined, now_s))
    }
}

fn scattered(on: &Connection, after: Option<&Blake3Hash>, limit: usize) -> Result<Vec<Blake3Hash>, MetadataError> {
    let after = after.map(ToString::to_string).unwrap_or_default();
    let mut list =
        on.prepare_cached("SELECT blake3 FROM segments WHERE number = 2 AND blake3 > ?1 ORDER BY blake3 LIMIT ?2")?;
    let rows = list.query_map(params![after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
    rows.map(|row| parse("blake3", &row.map(|name: String| name)?)).collect()
}

fn put(
    on: &Connection,
    hash: &Blake3Hash,
    from: &[String],
    joined: &Segment,
    now_s: u64,
) -> Result<bool, MetadataError> {
    let blob = blobs::get(on, hash)?;
    if !blob.is_some_and(|blob| blob.segments.iter().map(|segment| &segment.key).eq(from)) {
        on.prepare_cached("INSERT OR IGNORE INTO doomed (key) VALUES (?1)")?.execute([&joined.key])?;
        return Ok(false);
    }
    let name = hash.to_string();
    let retire = "INSERT INTO retired (key, since_s) SELECT key, ?2 FROM segments WHERE blake3 = ?1";
    on.prepare_cached(retire)?.execute(params![name, stored(now_s)])?;
    on.prepare_cached("DELETE FROM segments WHERE blake3 = ?1")?.execute([&name])?;
    let insert = "INSERT INTO segments (key, blake3, number, size) VALUES (?1, ?2, 1, ?3)";
    on.prepare_cached(insert)?.execute(params![joined.key, name, stored(joined.size_bytes)])?;
    Ok(true)
}

/// Dooms objects that were retired before this time, at most `limit`. How many.
pub(super) fn doom_retired(on: &Connection, before_s: u64, limit: i64) -> Result<usize, MetadataError> {
    let doom = "INSERT OR IGNORE INTO doomed (key)
                SELECT key FROM retired WHERE since_s < ?1 ORDER BY since_s, key LIMIT ?2";
    on.prepare_cached(doom)?.execute(params![stored(before_s), limit])?;
    let mut forget = on.prepare_cached("DELETE FROM retired WHERE since_s < ?1 AND key IN (SELECT key FROM doomed)")?;
    Ok(forget.execute([stored(before_s)])?)
}
