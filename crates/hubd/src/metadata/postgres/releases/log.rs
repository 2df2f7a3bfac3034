//! The log of a project: what was done by whom.

use gen_worker_hub::names::{ReleaseId, Slug, Tag};

use super::{
    super::{
        row::{column, counted, parse, stored, values},
        transaction::Transaction,
    },
    most,
};
use crate::metadata::{Actor, LogEntry, MetadataError, ReleaseAction};

/// An entry to write.
pub(super) struct Entry<'a> {
    pub project: i64,
    pub action: ReleaseAction,
    /// The endpoint and its tag; none for a release.
    pub tag: Option<(&'a Slug, &'a Tag)>,
    pub from: Option<&'a ReleaseId>,
    pub to: Option<&'a ReleaseId>,
    /// The entry that a rollback goes back to.
    pub previous: Option<i64>,
    pub generation: u64,
}

impl Entry<'_> {
    /// An entry about a release.
    pub fn of_release(project: i64, action: ReleaseAction) -> Self {
        Self { project, action, tag: None, from: None, to: None, previous: None, generation: 0 }
    }
}

/// Writes an entry and gives its number.
pub(super) async fn write(on: &Transaction, entry: &Entry<'_>, actor: &Actor) -> Result<i64, MetadataError> {
    let Entry { project, action, tag, from, to, previous, generation } = entry;
    let (endpoint, tag) = (tag.map(|(endpoint, _)| endpoint.as_str()), tag.map(|(_, tag)| tag.as_str()));
    let (from, to) = (from.map(ReleaseId::as_str), to.map(ReleaseId::as_str));
    let (who, at_s, reason) = (actor.name.as_str(), stored(actor.now_s), actor.reason.as_deref());
    let (action, generation) = (action.word(), stored(*generation));
    let sql = "INSERT INTO hub.release_log
             (project, endpoint, tag, action, from_release, to_release, previous, generation, who, at_s, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id";
    let values = values![*project, endpoint, tag, action, from, to, *previous, generation, who, at_s, reason];
    let none = || MetadataError::Corrupt { detail: "an entry has no number".to_owned() };
    column(&on.row(sql, values).await?.ok_or_else(none)?, 0)
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
    let before = before.map_or(i64::MAX, stored);
    let rows = on.rows(sql, values![project, endpoint.as_str(), tag.as_str(), before, most(limit)]).await?;
    let release = |text: Option<&str>| text.map(|text| parse("release", text)).transpose();
    let entry = |row: &tokio_postgres::Row| {
        Ok(LogEntry {
            number: counted(row, 0)?,
            action: ReleaseAction::of_word(column(row, 1)?)?,
            from: release(column(row, 2)?)?,
            to: release(column(row, 3)?)?,
            generation: counted(row, 4)?,
            actor: Actor { name: column(row, 5)?, now_s: counted(row, 6)?, reason: column(row, 7)? },
        })
    };
    rows.iter().map(entry).collect()
}
