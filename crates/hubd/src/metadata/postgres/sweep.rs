//! What has expired, what nobody names, and the objects that are to be deleted. Several processes may sweep: what one is at, the
//! others pass over.

use tokio_postgres::Row;

use super::{
    budgets, commits, joins,
    row::{column, counted, stored, values},
    transaction::{Lock, Transaction},
    uploads,
};
use crate::metadata::{COMMIT_KEPT_S, MetadataError};

/// The time of the database.
pub(super) async fn now_s(on: &Transaction) -> Result<Option<u64>, MetadataError> {
    let row = on.row("SELECT floor(extract(epoch FROM clock_timestamp()))::bigint", values![]).await?;
    row.map(|row| counted(&row, 0)).transpose()
}

pub(super) async fn sweep(
    on: &Transaction,
    unused_since_s: u64,
    now_s: u64,
    limit: usize,
) -> Result<bool, MetadataError> {
    let rows = i64::try_from(limit).unwrap_or(i64::MAX);
    let more_commits = close_expired(on, now_s, limit).await?;
    let sql = "SELECT id FROM hub.uploads WHERE expires_s <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED";
    let expired = on.rows(sql, values![stored(now_s), rows]).await?;
    let ids: Vec<&str> = expired.iter().map(|row: &Row| column(row, 0)).collect::<Result<_, _>>()?;
    uploads::remove(on, &ids).await?;
    let sql = "DELETE FROM hub.commits WHERE id IN (
             SELECT id FROM hub.commits AS c WHERE state <> 0 AND expires_s <= $1
                 AND NOT EXISTS (SELECT 1 FROM hub.uploads AS u WHERE u.commit_id = c.id)
             LIMIT $2 FOR UPDATE SKIP LOCKED)";
    let old = on.execute(sql, values![stored(now_s.saturating_sub(COMMIT_KEPT_S)), rows]).await?;
    budgets::expire(on, now_s).await?;
    let idle = collect(on, unused_since_s, rows).await?;
    let retired = joins::doom_old(on, unused_since_s, rows).await?;
    let is_full = |count: usize| count >= limit;
    let is_any_full =
        |counts: [u64; 2]| counts.into_iter().any(|count| is_full(usize::try_from(count).unwrap_or(limit)));
    Ok(more_commits || is_full(ids.len()) || is_full(idle) || is_any_full([old, retired]))
}

/// Closes commits whose time is over. Whether there may be more.
async fn close_expired(on: &Transaction, now_s: u64, limit: usize) -> Result<bool, MetadataError> {
    let mut ended = 0;
    while ended < u64::try_from(limit).unwrap_or(u64::MAX) {
        // One by one: each may have as many pins and uploads as a tree has files, and others wait for its row.
        let sql = "SELECT id FROM hub.commits WHERE state = 0 AND expires_s <= $1 LIMIT 1 FOR UPDATE SKIP LOCKED";
        let Some(row) = on.row(sql, values![stored(now_s)]).await? else { return Ok(false) };
        ended = ended.saturating_add(commits::close(on, column(&row, 0)?, now_s).await?).saturating_add(1);
    }
    Ok(true)
}

/// Dooms the objects of contents that nothing names. A later upload of such content has objects of its own. One that something
/// names is not looked at again before it loses a name. How many were looked at.
async fn collect(on: &Transaction, unused_since_s: u64, limit: i64) -> Result<usize, MetadataError> {
    let sql = "SELECT blake3 FROM hub.idle WHERE since_s < $1 LIMIT $2 FOR UPDATE SKIP LOCKED";
    let idle = on.rows(sql, values![stored(unused_since_s), limit]).await?;
    let idle: Vec<&[u8]> = idle.iter().map(|row: &Row| column(row, 0)).collect::<Result<_, _>>()?;
    // Those that somebody is about to name are left for another time. Nobody begins to name one that is locked.
    let sql = "SELECT blake3 FROM hub.blobs WHERE blake3 = ANY ($1) FOR UPDATE SKIP LOCKED";
    let locked = on.rows(sql, values![idle]).await?;
    let locked: Vec<&[u8]> = locked.iter().map(|row: &Row| column(row, 0)).collect::<Result<_, _>>()?;
    on.execute("DELETE FROM hub.idle WHERE blake3 = ANY ($1)", values![locked]).await?;
    let sql = "SELECT blake3 FROM unnest($1::bytea[]) AS b (blake3)
         WHERE NOT EXISTS (SELECT 1 FROM hub.files AS f WHERE f.blake3 = b.blake3)
             AND NOT EXISTS (SELECT 1 FROM hub.media AS m WHERE m.blake3 = b.blake3)
             AND NOT EXISTS (SELECT 1 FROM hub.pins AS p WHERE p.blake3 = b.blake3 AND p.here)
             AND NOT EXISTS (SELECT 1 FROM hub.dataset_files AS d WHERE d.blake3 = b.blake3)";
    let unnamed = on.rows(sql, values![locked]).await?;
    let unnamed: Vec<&[u8]> = unnamed.iter().map(|row: &Row| column(row, 0)).collect::<Result<_, _>>()?;
    let sql = "WITH gone AS (DELETE FROM hub.segments WHERE blake3 = ANY ($1) RETURNING key)
         INSERT INTO hub.doomed (key) SELECT key FROM gone ORDER BY key ON CONFLICT DO NOTHING";
    on.execute(sql, values![unnamed]).await?;
    on.execute("DELETE FROM hub.blobs WHERE blake3 = ANY ($1)", values![unnamed]).await?;
    Ok(locked.len())
}

pub(super) async fn doomed(on: &Transaction, after: &str, limit: usize) -> Result<Vec<String>, MetadataError> {
    let sql = "SELECT key FROM hub.doomed WHERE key > $1 ORDER BY key LIMIT $2";
    let rows = on.rows(sql, values![after, i64::try_from(limit).unwrap_or(i64::MAX)]).await?;
    rows.iter().map(|row| column(row, 0)).collect()
}

pub(super) async fn forget(on: &Transaction, keys: &[String]) -> Result<(), MetadataError> {
    on.execute("DELETE FROM hub.doomed WHERE key = ANY ($1)", values![keys.to_vec()]).await.map(drop)
}

/// Behind everybody who is about to record an object, also those whose callers have gone: the next statement sees what they did.
pub(super) async fn unknown(on: &Transaction, keys: &[String]) -> Result<Vec<String>, MetadataError> {
    on.lock(Lock::Records).await?;
    let sql = "SELECT key FROM unnest($1::text[]) AS k (key)
         WHERE NOT EXISTS (SELECT 1 FROM hub.segments AS s WHERE s.key = k.key)
             AND NOT EXISTS (SELECT 1 FROM hub.parts AS p WHERE p.key = k.key)
             AND NOT EXISTS (SELECT 1 FROM hub.retired AS r WHERE r.key = k.key)
             AND NOT EXISTS (SELECT 1 FROM hub.joining AS j WHERE j.key = k.key)
             AND NOT EXISTS (SELECT 1 FROM hub.doomed AS d WHERE d.key = k.key)";
    let rows = on.rows(sql, values![keys.to_vec()]).await?;
    rows.iter().map(|row| column(row, 0)).collect()
}
