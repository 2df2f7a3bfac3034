//! Tags of endpoints.

use gen_worker_hub::names::{ReleaseId, Slug, Tag};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    super::row::{count, parse},
    find_project, log,
};
use crate::metadata::{
    Actor, Expectation, MetadataError, MovedTag, NewPromotion, ProjectName, ReleaseAction, ReleaseError, TagRecord,
    releases::Entry,
};

/// Where a tag points, and by which entry.
struct Current {
    release: ReleaseId,
    entry: i64,
}

/// The tags of an endpoint.
pub(super) fn list(on: &Connection, project: i64, endpoint: &Slug) -> Result<Vec<TagRecord>, MetadataError> {
    let mut list = on.prepare_cached(
        "SELECT t.tag, t.release, l.generation, l.at_s FROM endpoint_tags AS t JOIN release_log AS l ON l.id = t.entry
         WHERE t.project = ?1 AND t.endpoint = ?2 ORDER BY t.tag",
    )?;
    let rows = list.query_map(params![project, endpoint.as_str()], |row| Ok(record(endpoint, row)))?;
    rows.map(|row| row?).collect()
}

fn record(endpoint: &Slug, row: &Row<'_>) -> Result<TagRecord, MetadataError> {
    Ok(TagRecord {
        endpoint: endpoint.clone(),
        tag: parse("tag", &row.get::<_, String>(0)?)?,
        release: parse("release", &row.get::<_, String>(1)?)?,
        generation: count("generation", row.get(2)?)?,
        updated_s: count("at_s", row.get(3)?)?,
    })
}

/// The tags that point at a release.
pub(super) fn at(on: &Connection, project: i64, release: &ReleaseId) -> Result<Vec<(Slug, Tag)>, MetadataError> {
    let mut list = on.prepare_cached(
        "SELECT endpoint, tag FROM endpoint_tags WHERE release = ?1 AND project = ?2 ORDER BY endpoint, tag",
    )?;
    let rows = list.query_map(params![release.as_str(), project], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let parsed = rows.map(|row| {
        let (endpoint, tag) = row?;
        Ok((parse("endpoint", &endpoint)?, parse("tag", &tag)?))
    });
    parsed.collect()
}

fn current(on: &Connection, project: i64, (endpoint, tag): (&Slug, &Tag)) -> Result<Option<Current>, MetadataError> {
    let mut find = on
        .prepare_cached("SELECT release, entry FROM endpoint_tags WHERE project = ?1 AND endpoint = ?2 AND tag = ?3")?;
    let row = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
    let found = find.query_row(params![project, endpoint.as_str(), tag.as_str()], row).optional()?;
    found.map(|(release, entry)| Ok(Current { release: parse("release", &release)?, entry })).transpose()
}

pub(super) fn promote(
    on: &Connection,
    of: &ProjectName,
    promotion: &NewPromotion,
    actor: &Actor,
) -> Result<Vec<MovedTag>, MetadataError> {
    let NewPromotion { release, tag, expected, .. } = promotion;
    let project = find_project(on, of)?.ok_or(ReleaseError::UnknownRelease)?;
    let mut find = on.prepare_cached("SELECT EXISTS (SELECT 1 FROM releases WHERE id = ?1 AND project = ?2)")?;
    if !find.query_row(params![release.as_str(), project], |row| row.get(0))? {
        return Err(ReleaseError::UnknownRelease.into());
    }
    let has = super::endpoints_of(on, release.as_str())?;
    let wanted = promotion.wanted(&has)?;
    let moved = wanted.iter().map(|endpoint| promote_one(on, project, (endpoint, tag), (release, expected), actor));
    moved.collect()
}

fn promote_one(
    on: &Connection,
    project: i64,
    tag: (&Slug, &Tag),
    (release, expected): (&ReleaseId, &Expectation),
    actor: &Actor,
) -> Result<MovedTag, MetadataError> {
    let before = current(on, project, tag)?;
    let points_at = before.as_ref().map(|before| &before.release);
    expected.check(tag.0, points_at)?;
    if points_at == Some(release) {
        return unmoved(on, project, tag);
    }
    let previous = before.as_ref().map(|before| before.entry);
    point(on, project, tag, (ReleaseAction::Promote, release, previous), before.as_ref(), actor)
}

/// A tag that points there already.
fn unmoved(on: &Connection, project: i64, (endpoint, tag): (&Slug, &Tag)) -> Result<MovedTag, MetadataError> {
    let now = list(on, project, endpoint)?.into_iter().find(|found| found.tag == *tag);
    let now = now.ok_or_else(|| MetadataError::Corrupt { detail: "a tag has no entry".to_owned() })?;
    Ok(MovedTag { before: Some(now.release.clone()), now })
}

pub(super) fn roll_back(
    on: &Connection,
    project: i64,
    tag: (&Slug, &Tag),
    to: Option<&ReleaseId>,
    actor: &Actor,
) -> Result<MovedTag, MetadataError> {
    let before = current(on, project, tag)?.ok_or(ReleaseError::UnknownTag)?;
    // Each entry on the way has pointed the tag somewhere; those that were rolled back from are not on it.
    let mut find = on.prepare_cached(
        "WITH RECURSIVE way (step, release, previous) AS (
             SELECT 0, to_release, previous FROM release_log WHERE id = ?1
             UNION ALL
             SELECT way.step + 1, l.to_release, l.previous FROM way JOIN release_log AS l ON l.id = way.previous)
         SELECT release, previous FROM way
         WHERE release <> ?2 AND release = coalesce(?3, release) AND release IN (SELECT id FROM releases)
         ORDER BY step LIMIT 1",
    )?;
    let row = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?));
    let asked = params![before.entry, before.release.as_str(), to.map(ReleaseId::as_str)];
    let found = find.query_row(asked, row).optional()?;
    let (release, previous) = found.ok_or(ReleaseError::NoPrevious)?;
    let release = parse("release", &release)?;
    point(on, project, tag, (ReleaseAction::Rollback, &release, previous), Some(&before), actor)
}

/// Points a tag at a release and writes that down.
fn point(
    on: &Connection,
    project: i64,
    (endpoint, tag): (&Slug, &Tag),
    (action, release, previous): (ReleaseAction, &ReleaseId, Option<i64>),
    before: Option<&Current>,
    actor: &Actor,
) -> Result<MovedTag, MetadataError> {
    let generation = log::generation(on, project, (endpoint, tag))?.saturating_add(1);
    let from = before.map(|before| &before.release);
    let entry = Entry { project, action, tag: Some((endpoint, tag)), from, to: Some(release), previous, generation };
    let entry = log::write(on, &entry, actor)?;
    let mut put = on.prepare_cached(
        "INSERT OR REPLACE INTO endpoint_tags (project, endpoint, tag, release, entry) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    put.execute(params![project, endpoint.as_str(), tag.as_str(), release.as_str(), entry])?;
    let (endpoint, tag, release) = (endpoint.clone(), tag.clone(), release.clone());
    let now = TagRecord { endpoint, tag, release, generation, updated_s: actor.now_s };
    Ok(MovedTag { now, before: from.cloned() })
}

pub(super) fn remove(
    on: &Connection,
    project: i64,
    (endpoint, tag): (&Slug, &Tag),
    actor: &Actor,
) -> Result<(), MetadataError> {
    let before = current(on, project, (endpoint, tag))?.ok_or(ReleaseError::UnknownTag)?;
    let mut remove =
        on.prepare_cached("DELETE FROM endpoint_tags WHERE project = ?1 AND endpoint = ?2 AND tag = ?3")?;
    remove.execute(params![project, endpoint.as_str(), tag.as_str()])?;
    let generation = log::generation(on, project, (endpoint, tag))?.saturating_add(1);
    let (action, tag, from) = (ReleaseAction::Remove, Some((endpoint, tag)), Some(&before.release));
    log::write(on, &Entry { project, action, tag, from, to: None, previous: None, generation }, actor).map(drop)
}
