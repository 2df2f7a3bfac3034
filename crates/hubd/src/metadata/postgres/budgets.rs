//! How much the attempts of jobs have announced.

use super::{
    row::{hashes, stored, values},
    transaction::Transaction,
};
use crate::metadata::{Budget, MetadataError, NewUpload};

/// Counts contents, or refuses them when they are too many. Those that the attempt has announced already are counted: who lost
/// the reply to an announcement makes it again. Comes before they are inserted.
pub(super) async fn charge(on: &Transaction, budget: &Budget, uploads: &[&NewUpload]) -> Result<(), MetadataError> {
    // Locks the row, so that the next statement sees what others of this attempt have announced.
    let sql = "INSERT INTO hub.budgets AS b (job, bytes, expires_s) VALUES ($1, 0, $2)
         ON CONFLICT (job) DO UPDATE SET expires_s = greatest(b.expires_s, excluded.expires_s)";
    on.execute(sql, values![budget.job, stored(budget.expires_s)]).await?;
    let sql = "UPDATE hub.budgets AS b SET bytes = b.bytes + n.bytes
         FROM (SELECT least(coalesce(sum(size), 0), 9223372036854775807)::bigint AS bytes
               FROM (SELECT DISTINCT * FROM unnest($2, $3) AS list (blake3, size)) AS c
               WHERE NOT EXISTS
                   (SELECT 1 FROM hub.uploads AS u WHERE u.job = $1 AND u.blake3 = c.blake3 AND u.size = c.size)) AS n
         WHERE b.job = $1 AND (n.bytes = 0 OR b.bytes <= $4 - n.bytes)";
    let contents = hashes(uploads.iter().map(|new| &new.blake3));
    let sizes: Vec<i64> = uploads.iter().map(|new| stored(new.size_bytes)).collect();
    match on.execute(sql, values![budget.job, contents, sizes, stored(budget.bytes_max)]).await? {
        0 => Err(MetadataError::OverBudget { bytes_max: budget.bytes_max }),
        _ => Ok(()),
    }
}

/// Takes back what uploads that come to nothing were counted for, unless others of their contents stay.
pub(super) async fn refund(on: &Transaction, uploads: &[&str]) -> Result<(), MetadataError> {
    // Of two that go at the same time, the later one has to see that the other is gone.
    let sql = "SELECT 1 FROM hub.budgets WHERE job IN (SELECT job FROM hub.uploads WHERE id = ANY ($1))
         ORDER BY job FOR UPDATE";
    on.rows(sql, values![uploads.to_vec()]).await?;
    let sql = "UPDATE hub.budgets AS b SET bytes = greatest(0, b.bytes - u.size)
         FROM (SELECT job, sum(size)::bigint AS size
               FROM (SELECT DISTINCT job, blake3, size FROM hub.uploads AS own
                     WHERE id = ANY ($1) AND created IS NULL AND job IS NOT NULL AND NOT EXISTS
                         (SELECT 1 FROM hub.uploads AS other
                          WHERE other.job = own.job AND other.blake3 = own.blake3 AND other.size = own.size
                              AND other.id <> ALL ($1))) AS gone
               GROUP BY job) AS u
         WHERE b.job = u.job";
    on.execute(sql, values![uploads.to_vec()]).await.map(drop)
}

/// Forgets the counts of attempts that have no token any more.
pub(super) async fn expire(on: &Transaction, now_s: u64) -> Result<(), MetadataError> {
    on.execute("DELETE FROM hub.budgets WHERE expires_s <= $1", values![stored(now_s)]).await.map(drop)
}
