//! The log of a project: what was done by whom.

use gen_worker_hub::names::{ReleaseId, Slug, Tag};
use rusqlite::{Connection, params};

use super::super::row::{count, parse, stored};
use crate::metadata::{Actor, LogEntry, MetadataError, ReleaseAction, releases::Entry};

/// Writes an entry and gives its number.
pub(super) fn write(on: &Connection, entry: &Entry<'_>, actor: &Actor) -> Result<i64, MetadataError> {
    let Entry { project, action, tag, from, to, previous, generation } = entry;
    let mut write = on.prepare_cached(
        "INSERT INTO release_log
             (project, endpoint, tag, action, from_release, to_release, previous, generation, who, at_s, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let (endpoint, tag) = (tag.map(|(endpoint, _)| endpoint.as_str()), tag.map(|(_, tag)| tag.as_str()));
    let (from, to) = (from.map(ReleaseId::as_str), to.map(ReleaseId::as_str));
    let Actor { name, now_s, reason } = actor;
    let row = params![
        project,
        endpoint,
        tag,
        action.word(),
        from,
        to,
        previous,
        stored(*generation),
        name,
        stored(*now_s),
        reason
    ];
    Ok(write.insert(row)?)
}

/// How often a tag was changed, also before it was taken away.
pub(super) fn generation(on: &Connection, project: i64, (endpoint, tag): (&Slug, &Tag)) -> Result<u64, MetadataError> {
    let mut last = on.prepare_cached(
        "SELECT coalesce(max(generation), 0) FROM (SELECT generation FROM release_log
             WHERE project = ?1 AND endpoint = ?2 AND tag = ?3 ORDER BY id DESC LIMIT 1)",
    )?;
    count("generation", last.query_row(params![project, endpoint.as_str(), tag.as_str()], |row| row.get(0))?)
}

pub(super) fn list(
    on: &Connection,
    project: i64,
    (endpoint, tag): (&Slug, &Tag),
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<LogEntry>, MetadataError> {
    let mut list = on.prepare_cached(
        "SELECT id, action, from_release, to_release, generation, who, at_s, reason FROM release_log
         WHERE project = ?1 AND endpoint = ?2 AND tag = ?3 AND id < ?4 ORDER BY id DESC LIMIT ?5",
    )?;
    let (before, limit) = (before.map_or(i64::MAX, stored), i64::try_from(limit).unwrap_or(i64::MAX));
    let mut rows = list.query(params![project, endpoint.as_str(), tag.as_str(), before, limit])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let release = |text: Option<String>| text.map(|text| parse("release", &text)).transpose();
        entries.push(LogEntry {
            number: count("id", row.get(0)?)?,
            action: ReleaseAction::of_word(&row.get::<_, String>(1)?)?,
            from: release(row.get(2)?)?,
            to: release(row.get(3)?)?,
            generation: count("generation", row.get(4)?)?,
            actor: Actor { name: row.get(5)?, now_s: count("at_s", row.get(6)?)?, reason: row.get(7)? },
        });
    }
    Ok(entries)
}
