//! Tags of endpoints. The row of their project is locked by who changes one.

use gen_worker_hub::names::{ReleaseId, Slug, Tag};

use super::{
    super::{
        row::{column, counted, parse, values},
        transaction::Transaction,
    },
    lock_project, log,
};
use crate::metadata::{
    Actor, MetadataError, MovedTag, NewPromotion, ProjectName, ReleaseAction, ReleaseError, TagRecord, releases::Entry,
};

/// Where a tag points, and by which entry.
struct Current {
    release: ReleaseId,
    entry: i64,
}

/// The tags of an endpoint.
pub(super) async fn list(on: &Transaction, project: i64, endpoint: &Slug) -> Result<Vec<TagRecord>, MetadataError> {
    let sql = "SELECT t.tag, t.release, l.generation, l.at_s
         FROM hub.endpoint_tags AS t JOIN hub.release_log AS l ON l.id = t.entry
         WHERE t.project = $1 AND t.endpoint = $2 ORDER BY t.tag";
    let rows = on.rows(sql, values![project, endpoint.as_str()]).await?;
    let record = |row| {
        Ok(TagRecord {
            endpoint: endpoint.clone(),
            tag: parse("tag", column(row, 0)?)?,
            release: parse("release", column(row, 1)?)?,
            generation: counted(row, 2)?,
            updated_s: counted(row, 3)?,
        })
    };
    rows.iter().map(record).collect()
}

/// The tags that point at a release.
pub(super) async fn at(on: &Transaction, project: i64, release: &ReleaseId) -> Result<Vec<(Slug, Tag)>, MetadataError> {
    let sql = "SELECT endpoint, tag FROM hub.endpoint_tags WHERE release = $1 AND project = $2 ORDER BY endpoint, tag";
    let rows = on.rows(sql, values![release.as_str(), project]).await?;
    rows.iter().map(|row| Ok((parse("endpoint", column(row, 0)?)?, parse("tag", column(row, 1)?)?))).collect()
}

async fn current(
    on: &Transaction,
    project: i64,
    (endpoint, tag): (&Slug, &Tag),
) -> Result<Option<Current>, MetadataError> {
    let sql = "SELECT release, entry FROM hub.endpoint_tags WHERE project = $1 AND endpoint = $2 AND tag = $3";
    let row = on.row(sql, values![project, endpoint.as_str(), tag.as_str()]).await?;
    row.map(|row| Ok(Current { release: parse("release", column(&row, 0)?)?, entry: column(&row, 1)? })).transpose()
}

pub(super) async fn promote(
    on: &Transaction,
    of: &ProjectName,
    promotion: &NewPromotion,
    actor: &Actor,
) -> Result<Vec<MovedTag>, MetadataError> {
    let project = lock_project(on, of).await?.ok_or(ReleaseError::UnknownRelease)?;
    let release = promotion.release.as_str();
    let sql = "SELECT 1 FROM hub.releases WHERE id = $1 AND project = $2";
    on.row(sql, values![release, project]).await?.ok_or(ReleaseError::UnknownRelease)?;
    let has = super::endpoints_of(on, release).await?;
    let mut moved = Vec::new();
    for endpoint in promotion.wanted(&has)? {
        moved.push(promote_one(on, project, (endpoint, &promotion.tag), promotion, actor).await?);
    }
    Ok(moved)
}

async fn promote_one(
    on: &Transaction,
    project: i64,
    tag: (&Slug, &Tag),
    promotion: &NewPromotion,
    actor: &Actor,
) -> Result<MovedTag, MetadataError> {
    let before = current(on, project, tag).await?;
    let points_at = before.as_ref().map(|before| &before.release);
    promotion.expected.check(tag.0, points_at)?;
    if points_at == Some(&promotion.release) {
        return unmoved(on, project, tag).await;
    }
    let previous = before.as_ref().map(|before| before.entry);
    let to = (ReleaseAction::Promote, &promotion.release, previous);
    point(on, project, tag, to, before.as_ref(), actor).await
}

/// A tag that points there already.
async fn unmoved(on: &Transaction, project: i64, (endpoint, tag): (&Slug, &Tag)) -> Result<MovedTag, MetadataError> {
    let now = list(on, project, endpoint).await?.into_iter().find(|found| found.tag == *tag);
    let now = now.ok_or_else(|| MetadataError::Corrupt { detail: "a tag has no entry".to_owned() })?;
    Ok(MovedTag { before: Some(now.release.clone()), now })
}

pub(super) async fn roll_back(
    on: &Transaction,
    project: i64,
    tag: (&Slug, &Tag),
    to: Option<&ReleaseId>,
    actor: &Actor,
) -> Result<MovedTag, MetadataError> {
    let before = current(on, project, tag).await?.ok_or(ReleaseError::UnknownTag)?;
    // Each entry on the way has pointed the tag somewhere; those that were rolled back from are not on it.
    let sql = "WITH RECURSIVE way (step, release, previous) AS (
             SELECT 0, to_release, previous FROM hub.release_log WHERE id = $1
             UNION ALL
             SELECT way.step + 1, l.to_release, l.previous FROM way JOIN hub.release_log AS l ON l.id = way.previous)
         SELECT release, previous FROM way
         WHERE release <> $2 AND release = coalesce($3, release) AND release IN (SELECT id FROM hub.releases)
         ORDER BY step LIMIT 1";
    let to = to.map(ReleaseId::as_str);
    let found = on.row(sql, values![before.entry, before.release.as_str(), to]).await?;
    let found = found.ok_or(ReleaseError::NoPrevious)?;
    let release = parse("release", column(&found, 0)?)?;
    let to = (ReleaseAction::Rollback, &release, column(&found, 1)?);
    point(on, project, tag, to, Some(&before), actor).await
}

/// Points a tag at a release and writes that down.
async fn point(
    on: &Transaction,
    project: i64,
    (endpoint, tag): (&Slug, &Tag),
    (action, release, previous): (ReleaseAction, &ReleaseId, Option<i64>),
    before: Option<&Current>,
    actor: &Actor,
) -> Result<MovedTag, MetadataError> {
    let generation = log::generation(on, project, (endpoint, tag)).await?.saturating_add(1);
    let from = before.map(|before| &before.release);
    let entry = Entry { project, action, tag: Some((endpoint, tag)), from, to: Some(release), previous, generation };
    let entry = log::write(on, &entry, actor).await?;
    let sql = "INSERT INTO hub.endpoint_tags (project, endpoint, tag, release, entry) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (project, endpoint, tag) DO UPDATE SET release = excluded.release, entry = excluded.entry";
    on.execute(sql, values![project, endpoint.as_str(), tag.as_str(), release.as_str(), entry]).await?;
    let (endpoint, tag, release) = (endpoint.clone(), tag.clone(), release.clone());
    let now = TagRecord { endpoint, tag, release, generation, updated_s: actor.now_s };
    Ok(MovedTag { now, before: from.cloned() })
}

pub(super) async fn remove(
    on: &Transaction,
    project: i64,
    (endpoint, tag): (&Slug, &Tag),
    actor: &Actor,
) -> Result<(), MetadataError> {
    let before = current(on, project, (endpoint, tag)).await?.ok_or(ReleaseError::UnknownTag)?;
    let sql = "DELETE FROM hub.endpoint_tags WHERE project = $1 AND endpoint = $2 AND tag = $3";
    on.execute(sql, values![project, endpoint.as_str(), tag.as_str()]).await?;
    let generation = log::generation(on, project, (endpoint, tag)).await?.saturating_add(1);
    let (action, tag, from) = (ReleaseAction::Remove, Some((endpoint, tag)), Some(&before.release));
    log::write(on, &Entry { project, action, tag, from, to: None, previous: None, generation }, actor).await.map(drop)
}
