//! How much the attempts of jobs have announced.

use super::{
    row::{stored, values},
    transaction::Transaction,
};
use crate::metadata::{Budget, MetadataError};

/// Counts `bytes` more, or refuses when they are too many.
pub(super) async fn charge(on: &Transaction, budget: &Budget, bytes: u64) -> Result<(), MetadataError> {
    let sql = "INSERT INTO hub.budgets AS b (job, bytes, expires_s) SELECT $1, $2, $3 WHERE $2 <= $4
         ON CONFLICT (job) DO UPDATE
             SET bytes = b.bytes + excluded.bytes, expires_s = greatest(b.expires_s, excluded.expires_s)
             WHERE b.bytes <= $4 - excluded.bytes";
    let (bytes, bytes_max, expires_s) = (stored(bytes), stored(budget.bytes_max), stored(budget.expires_s));
    match on.execute(sql, values![budget.job, bytes, expires_s, bytes_max]).await? {
        0 => Err(MetadataError::OverBudget { bytes_max: budget.bytes_max }),
        _ => Ok(()),
    }
}

/// Takes back what uploads that came to nothing were counted for.
pub(super) async fn refund(on: &Transaction, uploads: &[&str]) -> Result<(), MetadataError> {
    let sql = "UPDATE hub.budgets AS b SET bytes = greatest(0, b.bytes - u.size)
         FROM (SELECT job, sum(size)::bigint AS size FROM hub.uploads
               WHERE id = ANY ($1) AND created IS NULL AND job IS NOT NULL GROUP BY job) AS u
         WHERE b.job = u.job";
    on.execute(sql, values![uploads.to_vec()]).await.map(drop)
}

/// Forgets the counts of attempts that have no token any more.
pub(super) async fn expire(on: &Transaction, now_s: u64) -> Result<(), MetadataError> {
    on.execute("DELETE FROM hub.budgets WHERE expires_s <= $1", values![stored(now_s)]).await.map(drop)
}
