//! Contents of several objects that become one object.

use futures::FutureExt as _;
use gen_worker_hub::Blake3Hash;

use super::{
    PostgresMetadata, blobs,
    row::{column, hash, stored, values},
    transaction::{Lock, Transaction},
};
use crate::metadata::{Answer, Joins, MetadataError, Segment};

impl Joins for PostgresMetadata {
    fn scattered(&self, after: Option<Blake3Hash>, now_s: u64, limit: usize) -> Answer<'_, Vec<Blake3Hash>> {
        self.read("list contents of several objects", (after, now_s, limit), |on, (after, now_s, limit)| {
            scattered(on, after.as_ref(), *now_s, *limit).boxed()
        })
    }

    fn begin_join(&self, hash: Blake3Hash, key: String, until_s: u64, now_s: u64) -> Answer<'_, bool> {
        let data = (hash, key, until_s, now_s);
        self.call("begin to join a content", data, |on, (hash, key, until_s, now_s)| {
            begin(on, hash, key, *until_s, *now_s).boxed()
        })
    }

    fn keep_join(&self, hash: Blake3Hash, key: String, until_s: u64) -> Answer<'_, bool> {
        self.call("go on with a join", (hash, key, until_s), |on, (hash, key, until_s)| {
            keep(on, hash, key, *until_s).boxed()
        })
    }

    fn put_joined(&self, hash: Blake3Hash, from: Vec<String>, joined: Segment, now_s: u64) -> Answer<'_, bool> {
        let data = (hash, from, joined, now_s);
        self.call("record a joined object", data, |on, (hash, from, joined, now_s)| {
            put(on, hash, from, joined, *now_s).boxed()
        })
    }

    fn drop_join(&self, hash: Blake3Hash, key: String) -> Answer<'_, ()> {
        self.call("give up a join", (hash, key), |on, (hash, key)| give_up(on, hash, key).boxed())
    }
}

async fn scattered(
    on: &Transaction,
    after: Option<&Blake3Hash>,
    now_s: u64,
    limit: usize,
) -> Result<Vec<Blake3Hash>, MetadataError> {
    let after = after.map(|after| after.as_bytes().as_slice()).unwrap_or_default();
    let sql = "SELECT blake3 FROM hub.segments AS s WHERE number = 2 AND blake3 > $1
             AND NOT EXISTS (SELECT 1 FROM hub.joining AS j WHERE j.blake3 = s.blake3 AND j.until_s > $2)
         ORDER BY blake3 LIMIT $3";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = on.rows(sql, values![after, stored(now_s), limit]).await?;
    rows.iter().map(|row| hash(row, 0)).collect()
}

async fn begin(
    on: &Transaction,
    hash: &Blake3Hash,
    key: &str,
    until_s: u64,
    now_s: u64,
) -> Result<bool, MetadataError> {
    on.lock_shared(Lock::Records).await?;
    let name = hash.as_bytes().as_slice();
    if blobs::get(on, hash).await?.is_none() {
        return Ok(false);
    }
    let sql = "INSERT INTO hub.joining (blake3, key, until_s) VALUES ($1, $2, $3) ON CONFLICT (blake3) DO NOTHING";
    if on.execute(sql, values![name, key, stored(until_s)]).await? == 1 {
        return Ok(true);
    }
    let sql = "SELECT key FROM hub.joining WHERE blake3 = $1 AND until_s <= $2 FOR UPDATE";
    let Some(row) = on.row(sql, values![name, stored(now_s)]).await? else { return Ok(false) };
    blobs::doom(on, vec![column(&row, 0)?]).await?;
    let sql = "UPDATE hub.joining SET key = $2, until_s = $3 WHERE blake3 = $1";
    Ok(on.execute(sql, values![name, key, stored(until_s)]).await? == 1)
}

async fn keep(on: &Transaction, hash: &Blake3Hash, key: &str, until_s: u64) -> Result<bool, MetadataError> {
    let sql = "UPDATE hub.joining SET until_s = $3 WHERE blake3 = $1 AND key = $2";
    Ok(on.execute(sql, values![hash.as_bytes().as_slice(), key, stored(until_s)]).await? == 1)
}

async fn put(
    on: &Transaction,
    hash: &Blake3Hash,
    from: &[String],
    joined: &Segment,
    now_s: u64,
) -> Result<bool, MetadataError> {
    on.lock_shared(Lock::Records).await?;
    // Whose turn is over has no object any more: it was doomed with the turn.
    if !end(on, hash, &joined.key).await? {
        return Ok(false);
    }
    let name = hash.as_bytes().as_slice();
    // Nobody collects it before this is done; who is about to name it is not waited for.
    on.row("SELECT 1 FROM hub.blobs WHERE blake3 = $1 FOR NO KEY UPDATE", values![name]).await?;
    let blob = blobs::get(on, hash).await?;
    if !blob.is_some_and(|blob| blob.segments.iter().map(|segment| &segment.key).eq(from)) {
        blobs::doom(on, vec![joined.key.as_str()]).await?;
        return Ok(false);
    }
    let sql = "WITH gone AS (DELETE FROM hub.segments WHERE blake3 = $1 RETURNING key)
         INSERT INTO hub.retired (key, since_s) SELECT key, $2 FROM gone ORDER BY key";
    on.execute(sql, values![name, stored(now_s)]).await?;
    let sql = "INSERT INTO hub.segments (key, blake3, number, size) VALUES ($1, $2, 1, $3)";
    on.execute(sql, values![joined.key, name, stored(joined.size_bytes)]).await?;
    Ok(true)
}

async fn give_up(on: &Transaction, hash: &Blake3Hash, key: &str) -> Result<(), MetadataError> {
    on.lock_shared(Lock::Records).await?;
    match end(on, hash, key).await? {
        true => blobs::doom(on, vec![key]).await,
        false => Ok(()),
    }
}

/// Ends the turn of who joins a content into this object. False when it was over.
async fn end(on: &Transaction, hash: &Blake3Hash, key: &str) -> Result<bool, MetadataError> {
    let sql = "DELETE FROM hub.joining WHERE blake3 = $1 AND key = $2";
    Ok(on.execute(sql, values![hash.as_bytes().as_slice(), key]).await? == 1)
}

/// Dooms objects that were retired before this time, and those of joins whose time was over by then, at most `limit` of each. The
/// larger number of them.
pub(super) async fn doom_old(on: &Transaction, before_s: u64, limit: i64) -> Result<u64, MetadataError> {
    let retired = "WITH gone AS (DELETE FROM hub.retired WHERE key IN (
             SELECT key FROM hub.retired WHERE since_s < $1 ORDER BY since_s, key LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING key)
         INSERT INTO hub.doomed (key) SELECT key FROM gone ORDER BY key ON CONFLICT DO NOTHING";
    let joining = "WITH gone AS (DELETE FROM hub.joining WHERE key IN (
             SELECT key FROM hub.joining WHERE until_s < $1 ORDER BY until_s, key LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING key)
         INSERT INTO hub.doomed (key) SELECT key FROM gone ORDER BY key ON CONFLICT DO NOTHING";
    let mut most = 0;
    for sql in [retired, joining] {
        most = most.max(on.execute(sql, values![stored(before_s), limit]).await?);
    }
    Ok(most)
}
