//! Contents of several objects that become one object.

use gen_worker_hub::Blake3Hash;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    SqliteMetadata, blobs,
    row::{parse, stored},
};
use crate::metadata::{Answer, Joins, MetadataError, Segment};

impl Joins for SqliteMetadata {
    fn scattered(&self, after: Option<Blake3Hash>, now_s: u64, limit: usize) -> Answer<'_, Vec<Blake3Hash>> {
        self.read("list contents of several objects", move |on| scattered(on, after.as_ref(), now_s, limit))
    }

    fn begin_join(&self, hash: Blake3Hash, key: String, until_s: u64, now_s: u64) -> Answer<'_, bool> {
        self.call("begin to join a content", move |on| begin(on, &hash, &key, until_s, now_s))
    }

    fn keep_join(&self, hash: Blake3Hash, key: String, until_s: u64) -> Answer<'_, bool> {
        self.call("go on with a join", move |on| {
            let mut keep = on.prepare_cached("UPDATE joining SET until_s = ?3 WHERE blake3 = ?1 AND key = ?2")?;
            Ok(keep.execute(params![hash.to_string(), key, stored(until_s)])? == 1)
        })
    }

    fn put_joined(&self, hash: Blake3Hash, from: Vec<String>, joined: Segment, now_s: u64) -> Answer<'_, bool> {
        self.call("record a joined object", move |on| put(on, &hash, &from, &joined, now_s))
    }

    fn drop_join(&self, hash: Blake3Hash, key: String) -> Answer<'_, ()> {
        self.call("give up a join", move |on| match end(on, &hash, &key)? {
            true => doom(on, &key),
            false => Ok(()),
        })
    }
}

fn scattered(
    on: &Connection,
    after: Option<&Blake3Hash>,
    now_s: u64,
    limit: usize,
) -> Result<Vec<Blake3Hash>, MetadataError> {
    let after = after.map(ToString::to_string).unwrap_or_default();
    let mut list = on.prepare_cached(
        "SELECT blake3 FROM segments AS s WHERE number = 2 AND blake3 > ?1
             AND NOT EXISTS (SELECT 1 FROM joining AS j WHERE j.blake3 = s.blake3 AND j.until_s > ?2)
         ORDER BY blake3 LIMIT ?3",
    )?;
    let values = params![after, stored(now_s), i64::try_from(limit).unwrap_or(i64::MAX)];
    let rows = list.query_map(values, |row| row.get(0))?;
    rows.map(|row| parse("blake3", &row.map(|name: String| name)?)).collect()
}

fn begin(on: &Connection, hash: &Blake3Hash, key: &str, until_s: u64, now_s: u64) -> Result<bool, MetadataError> {
    let name = hash.to_string();
    let mut find = on.prepare_cached("SELECT key, until_s FROM joining WHERE blake3 = ?1")?;
    let earlier = find.query_row([&name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).optional()?;
    let is_taken = earlier.as_ref().is_some_and(|(_, until)| *until > stored(now_s));
    if is_taken || blobs::get(on, hash)?.is_none() {
        return Ok(false);
    }
    if let Some((earlier, _)) = earlier {
        doom(on, &earlier)?;
    }
    let put = "INSERT OR REPLACE INTO joining (blake3, key, until_s) VALUES (?1, ?2, ?3)";
    on.prepare_cached(put)?.execute(params![name, key, stored(until_s)])?;
    Ok(true)
}

fn put(
    on: &Connection,
    hash: &Blake3Hash,
    from: &[String],
    joined: &Segment,
    now_s: u64,
) -> Result<bool, MetadataError> {
    // Whose turn is over has no object any more: it was doomed with the turn.
    if !end(on, hash, &joined.key)? {
        return Ok(false);
    }
    let blob = blobs::get(on, hash)?;
    if !blob.is_some_and(|blob| blob.segments.iter().map(|segment| &segment.key).eq(from)) {
        doom(on, &joined.key)?;
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

/// Ends the turn of who joins a content into this object. False when it was over.
fn end(on: &Connection, hash: &Blake3Hash, key: &str) -> Result<bool, MetadataError> {
    let mut end = on.prepare_cached("DELETE FROM joining WHERE blake3 = ?1 AND key = ?2")?;
    Ok(end.execute([hash.to_string().as_str(), key])? == 1)
}

fn doom(on: &Connection, key: &str) -> Result<(), MetadataError> {
    on.prepare_cached("INSERT OR IGNORE INTO doomed (key) VALUES (?1)")?.execute([key])?;
    Ok(())
}

/// Dooms objects that were retired before this time, and those of joins whose time was over by then, at most `limit` of each. The
/// larger number of them.
pub(super) fn doom_old(on: &Connection, before_s: u64, limit: i64) -> Result<usize, MetadataError> {
    let mut most = 0;
    for (table, since) in [("retired", "since_s"), ("joining", "until_s")] {
        let doom = format!(
            "INSERT OR IGNORE INTO doomed (key)
             SELECT key FROM {table} WHERE {since} < ?1 ORDER BY {since}, key LIMIT ?2"
        );
        on.prepare_cached(&doom)?.execute(params![stored(before_s), limit])?;
        let forget = format!("DELETE FROM {table} WHERE {since} < ?1 AND key IN (SELECT key FROM doomed)");
        most = most.max(on.prepare_cached(&forget)?.execute([stored(before_s)])?);
    }
    Ok(most)
}
