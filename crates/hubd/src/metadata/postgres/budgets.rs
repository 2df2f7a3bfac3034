//! How much the attempts of jobs have announced.

use super::{
    row::{column, stored, values},
    transaction::Transaction,
};
use crate::metadata::{Budget, MetadataError, NewUpload};

/// Counts the contents of `uploads`, which are about to be inserted, or refuses them when they are too much. One that the attempt
/// has announced already is counted: who lost the reply to an announcement makes it again.
pub(super) async fn charge(on: &Transaction, budget: &Budget, uploads: &[&NewUpload]) -> Result<(), MetadataError> {
    // Whoever counts for the same attempt waits here, and then sees what was announced.
    let sql = "INSERT INTO hub.budgets AS b (job, bytes, expires_s) VALUES ($1, 0, $2)
         ON CONFLICT (job) DO UPDATE SET expires_s = greatest(b.expires_s, excluded.expires_s)";
    on.execute(sql, values![budget.job, stored(budget.expires_s)]).await?;
    let sql = "SELECT coalesce(sum(n.size), 0)::bigint
         FROM (SELECT DISTINCT * FROM unnest($2::bytea[], $3::bigint[]) AS n (blake3, size)) AS n
         WHERE NOT EXISTS (SELECT 1 FROM hub.uploads AS u WHERE u.job = $1 AND u.blake3 = n.blake3 AND u.size = n.size)";
    let contents: Vec<&[u8]> = uploads.iter().map(|upload| upload.blake3.as_bytes().as_slice()).collect();
    let sizes: Vec<i64> = uploads.iter().map(|upload| stored(upload.size_bytes)).collect();
    let row = on.row(sql, values![budget.job, contents, sizes]).await?;
    let bytes: i64 = row.map_or(Ok(0), |row| column(&row, 0))?;
    let sql = "UPDATE hub.budgets SET bytes = bytes + $2 WHERE job = $1 AND ($2 = 0 OR bytes <= $3 - $2)";
    match on.execute(sql, values![budget.job, bytes, stored(budget.bytes_max)]).await? {
        0 => Err(MetadataError::OverBudget { bytes_max: budget.bytes_max }),
        _ => Ok(()),
    }
}

/// Takes back what uploads that came to nothing were counted for, unless others of their contents stay.
pub(super) async fn refund(on: &Transaction, uploads: &[&str]) -> Result<(), MetadataError> {
    // Whoever ends another one of the same content waits here, and then sees that this one is gone.
    let sql = "SELECT 1 FROM hub.budgets WHERE job IN (SELECT job FROM hub.uploads WHERE id = ANY ($1))
         ORDER BY job FOR UPDATE";
    on.execute(sql, values![uploads.to_vec()]).await?;
    let sql = "UPDATE hub.budgets AS b SET bytes = greatest(0, b.bytes - u.size)
         FROM (SELECT job, sum(size)::bigint AS size
               FROM (SELECT DISTINCT job, blake3, size FROM hub.uploads AS own
                     WHERE id = ANY ($1) AND created IS NULL AND job IS NOT NULL AND NOT EXISTS
                         (SELECT 1 FROM hub.uploads AS other
                          WHERE other.job = own.job AND other.blake3 = own.blake3 AND other.size = own.size
                              AND (other.created IS NOT NULL OR NOT other.id = ANY ($1)))) AS gone
               GROUP BY job) AS u
         WHERE b.job = u.job";
    on.execute(sql, values![uploads.to_vec()]).await.map(drop)
}

/// Forgets the counts of attempts that have no token any more.
pub(super) async fn expire(on: &Transaction, now_s: u64) -> Result<(), MetadataError> {
    on.execute("DELETE FROM hub.budgets WHERE expires_s <= $1", values![stored(now_s)]).await.map(drop)
}
