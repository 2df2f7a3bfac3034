//! Contents of several objects that become one object.

use futures::FutureExt as _;
use gen_worker_hub::Blake3Hash;

use super::{
    PostgresMetadata, blobs,
    row::{hash, stored, values},
    transaction::{Lock, Transaction},
};
use crate::metadata::{Answer, Joins, MetadataError, Segment};

impl Joins for PostgresMetadata {
    fn scattered(&self, after: Option<Blake3Hash>, limit: usize) -> Answer<'_, Vec<Blake3Hash>> {
        self.read("list contents of several objects", (after, limit), |on, (after, limit)| {
            scattered(on, after.as_ref(), *limit).boxed()
        })
    }

    fn put_joined(&self, hash: Blake3Hash, from: Vec<String>, joined: Segment, now_s: u64) -> Answer<'_, bool> {
        let data = (hash, from, joined, now_s);
        self.call("record a joined object", data, |on, (hash, from, joined, now_s)| {
            put(on, hash, from, joined, *now_s).boxed()
        })
    }
}

async fn scattered(
    on: &Transaction,
    after: Option<&Blake3Hash>,
    limit: usize,
) -> Result<Vec<Blake3Hash>, MetadataError> {
    let after = after.map(|after| after.as_bytes().as_slice()).unwrap_or_default();
    let sql = "SELECT blake3 FROM hub.segments WHERE number = 2 AND blake3 > $1 ORDER BY blake3 LIMIT $2";
    let rows = on.rows(sql, values![after, i64::try_from(limit).unwrap_or(i64::MAX)]).await?;
    rows.iter().map(|row| hash(row, 0)).collect()
}

async fn put(
    on: &Transaction,
    hash: &Blake3Hash,
    from: &[String],
    joined: &Segment,
    now_s: u64,
) -> Result<bool, MetadataError> {
    on.lock_shared(Lock::Records).await?;
    let name = hash.as_bytes().as_slice();
    // Nobody collects it, or joins it too, before this is done.
    on.row("SELECT 1 FROM hub.blobs WHERE blake3 = $1 FOR UPDATE", values![name]).await?;
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

/// Dooms objects that were retired before this time, at most `limit`. How many.
pub(super) async fn doom_retired(on: &Transaction, before_s: u64, limit: i64) -> Result<u64, MetadataError> {
    let sql = "WITH gone AS (DELETE FROM hub.retired WHERE key IN (
             SELECT key FROM hub.retired WHERE since_s < $1 ORDER BY since_s, key LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING key)
         INSERT INTO hub.doomed (key) SELECT key FROM gone ORDER BY key ON CONFLICT DO NOTHING";
    on.execute(sql, values![stored(before_s), limit]).await
}
