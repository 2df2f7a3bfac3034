//! The log of a project: what was done by whom.

use gen_worker_hub::names::{ReleaseId, Slug, Tag};

use super::super::{
    row::{column, counted, parse, stored, values},
    transaction::Transaction,
};
use crate::metadata::{Actor, LogEntry, MetadataError, ReleaseAction, releases::Entry};

/// Writes an entry and gives its number.
pub(super) async fn write(on: &Transaction, entry: &Entry<'_>, actor: &Actor) -> Result<i64, MetadataError> {
    let Entry { project, action, tag, from, to, previous, generation } = entry;
    let sql = "INSERT INTO hub.release_log
             (project, endpoint, tag, action, from_release, to_release, previous, generation, who, at_s, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id";
    let (endpoint, tag) = (tag.map(|(endpoint, _)| endpoint.as_str()), tag.map(|(_, tag)| tag.as_str()));
    let (from, to, word) = (from.map(ReleaseId::as_str), to.map(ReleaseId::as_str), action.word());
    let Actor { name, now_s, reason } = actor;
    let (generation, now_s) = (stored(*generation), stored(*now_s));
    let row = values![*project, endpoint, tag, word, from, to, *previous, generation, *name, now_s, *reason];
    let row = on.row(sql, row).await?;
    let gone = || MetadataError::Corrupt { detail: "an entry of a log has no number".to_owned() };
    column(&row.ok_or_else(gone)?, 0)
}

/// How often a tag was changed, also before it was taken away.
pub(super) async fn generation(
    on: &Transaction,
    project: i64,
    (endpoint, tag): (&Slug, &Tag),
) -> Result<u64, MetadataError> {
    let sql = "SELECT generation FROM hub.release_log WHERE project = $1 AND endpoint = $2 AND tag = $3
         ORDER BY id DESC LIMIT 1";
    let row = on.row(sql, values![project, endpoint.as_str(), tag.as_str()]).await?;
    row.map_or(Ok(0), |row| counted(&row, 0))
}

pub(super) async fn list(
    on: &Transaction,
    project: i64,
    (endpoint, tag): (&Slug, &Tag),
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<LogEntry>, MetadataError> {
    let sql = "SELECT id, action, from_release, to_release, generation, who, at_s, reason FROM hub.release_log
         WHERE project = $1 AND endpoint = $2 AND tag = $3 AND id < $4 ORDER BY id DESC LIMIT $5";
    let (before, limit) = (before.map_or(i64::MAX, stored), i64::try_from(limit).unwrap_or(i64::MAX));
    let mut entries = Vec::new();
    for row in &on.rows(sql, values![project, endpoint.as_str(), tag.as_str(), before, limit]).await? {
        let release = |index| {
            let text: Option<&str> = column(row, index)?;
            text.map(|text| parse("release", text)).transpose()
        };
        entries.push(LogEntry {
            number: counted(row, 0)?,
            action: ReleaseAction::of_word(column(row, 1)?)?,
            from: release(2)?,
            to: release(3)?,
            generation: counted(row, 4)?,
            actor: Actor { name: column(row, 5)?, now_s: counted(row, 6)?, reason: column(row, 7)? },
        });
    }
    Ok(entries)
}
