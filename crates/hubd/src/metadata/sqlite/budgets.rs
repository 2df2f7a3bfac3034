//! How much the attempts of jobs have announced.

use gen_worker_hub::Blake3Hash;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::row::{count, stored};
use crate::metadata::{Budget, MetadataError};

/// Counts a content, or refuses it when that is too much. One that the attempt has announced already is counted: who lost the
/// reply to an announcement makes it again.
pub(super) fn charge(on: &Connection, budget: &Budget, content: &Blake3Hash, bytes: u64) -> Result<(), MetadataError> {
    let mut known =
        on.prepare_cached("SELECT EXISTS (SELECT 1 FROM uploads WHERE job = ?1 AND blake3 = ?2 AND size = ?3)")?;
    if known.query_row(params![budget.job, content.to_string(), stored(bytes)], |row| row.get(0))? {
        return Ok(());
    }
    let mut find = on.prepare_cached("SELECT bytes FROM budgets WHERE job = ?1")?;
    let before: Option<i64> = find.query_row([&budget.job], |row| row.get(0)).optional()?;
    let total = count("bytes", before.unwrap_or(0))?.saturating_add(bytes);
    if total > budget.bytes_max {
        return Err(MetadataError::OverBudget { bytes_max: budget.bytes_max });
    }
    let mut put = on.prepare_cached(
        "INSERT INTO budgets (job, bytes, expires_s) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET bytes = excluded.bytes, expires_s = max(expires_s, excluded.expires_s)",
    )?;
    put.execute(params![budget.job, stored(total), stored(budget.expires_s)])?;
    Ok(())
}

/// Takes back what an upload that came to nothing was counted for, unless another one of its content stays.
pub(super) fn refund(on: &Connection, upload: &str) -> Result<(), MetadataError> {
    let mut refund = on.prepare_cached(
        "UPDATE budgets SET bytes = max(0, bytes - u.size) FROM uploads AS u
         WHERE u.id = ?1 AND u.created IS NULL AND budgets.job = u.job AND NOT EXISTS
             (SELECT 1 FROM uploads AS other WHERE other.job = u.job AND other.blake3 = u.blake3 AND other.size = u.size AND other.id <> u.id)",
    )?;
    refund.execute([upload])?;
    Ok(())
}

/// The same for all uploads of a commit that have not come.
pub(super) fn refund_commit(on: &Connection, commit: &str) -> Result<(), MetadataError> {
    let mut refund = on.prepare_cached(
        "UPDATE budgets SET bytes = max(0, bytes - u.size)
         FROM (SELECT job, sum(size) AS size
               FROM (SELECT DISTINCT job, blake3, size FROM uploads AS own
                     WHERE commit_id = ?1 AND created IS NULL AND job IS NOT NULL AND NOT EXISTS
                         (SELECT 1 FROM uploads AS other
                          WHERE other.job = own.job AND other.blake3 = own.blake3 AND other.size = own.size
                              AND (other.created IS NOT NULL OR other.commit_id IS NOT ?1)))
               GROUP BY job) AS u
         WHERE budgets.job = u.job",
    )?;
    refund.execute([commit])?;
    Ok(())
}

/// Forgets the counts of attempts that have no token any more.
pub(super) fn expire(on: &Connection, now_s: u64) -> Result<(), MetadataError> {
    on.prepare_cached("DELETE FROM budgets WHERE expires_s <= ?1")?.execute([stored(now_s)])?;
    Ok(())
}
