//! Releases.

mod log;
mod tags;

use gen_worker_hub::{
    Blake3Hash,
    names::{ReleaseId, Slug, Tag},
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    SqliteMetadata,
    row::{count, parse, stored},
};
use crate::metadata::{
    Actor, Answer, LogEntry, MetadataError, MovedTag, NewPromotion, NewRelease, PUBLISH_KEY_S, ProjectName,
    ReleaseAction, ReleaseError, ReleaseRecord, ReleaseRow, Releases, TagRecord,
    releases::{Details, Entry},
};

impl Releases for SqliteMetadata {
    fn publish(&self, new: NewRelease, actor: Actor) -> Answer<'_, (ReleaseRecord, bool)> {
        self.call("publish a release", move |on| publish(on, new, &actor))
    }

    fn release(&self, project: ProjectName, id: ReleaseId) -> Answer<'_, Option<ReleaseRecord>> {
        self.read("read a release", move |on| match find_project(on, &project)? {
            Some(number) => get(on, &project, number, &id),
            None => Ok(None),
        })
    }

    fn releases(&self, project: ProjectName, before: Option<u64>, limit: usize) -> Answer<'_, Vec<ReleaseRow>> {
        self.read("list releases", move |on| match find_project(on, &project)? {
            Some(number) => list(on, number, before, limit),
            None => Ok(Vec::new()),
        })
    }

    fn drop_release(&self, project: ProjectName, id: ReleaseId, actor: Actor) -> Answer<'_, ()> {
        self.call("take a release away", move |on| drop_release(on, &project, &id, &actor))
    }

    fn endpoints(&self, project: ProjectName, after: Option<Slug>, limit: usize) -> Answer<'_, Vec<Slug>> {
        self.read("list endpoints", move |on| match find_project(on, &project)? {
            Some(number) => endpoints(on, number, after.as_ref(), limit),
            None => Ok(Vec::new()),
        })
    }

    fn tags(&self, project: ProjectName, endpoints: Vec<Slug>) -> Answer<'_, Vec<TagRecord>> {
        self.read("read tags", move |on| {
            let Some(number) = find_project(on, &project)? else { return Ok(Vec::new()) };
            let lists = endpoints.iter().map(|endpoint| tags::list(on, number, endpoint));
            Ok(lists.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        })
    }

    fn promote(&self, project: ProjectName, promotion: NewPromotion, actor: Actor) -> Answer<'_, Vec<MovedTag>> {
        self.call("promote a release", move |on| tags::promote(on, &project, &promotion, &actor))
    }

    fn roll_back(
        &self,
        project: ProjectName,
        endpoint: Slug,
        tag: Tag,
        to: Option<ReleaseId>,
        actor: Actor,
    ) -> Answer<'_, MovedTag> {
        self.call("roll a tag back", move |on| {
            let number = find_project(on, &project)?.ok_or(ReleaseError::UnknownTag)?;
            tags::roll_back(on, number, (&endpoint, &tag), to.as_ref(), &actor)
        })
    }

    fn drop_tag(&self, project: ProjectName, endpoint: Slug, tag: Tag, actor: Actor) -> Answer<'_, ()> {
        self.call("take a tag away", move |on| {
            let number = find_project(on, &project)?.ok_or(ReleaseError::UnknownTag)?;
            tags::remove(on, number, (&endpoint, &tag), &actor)
        })
    }

    fn history(
        &self,
        project: ProjectName,
        endpoint: Slug,
        tag: Tag,
        before: Option<u64>,
        limit: usize,
    ) -> Answer<'_, Vec<LogEntry>> {
        self.read("read the log of a tag", move |on| match find_project(on, &project)? {
            Some(number) => log::list(on, number, (&endpoint, &tag), before, limit),
            None => Ok(Vec::new()),
        })
    }
}

fn find_project(on: &Connection, of: &ProjectName) -> Result<Option<i64>, MetadataError> {
    let mut find = on.prepare_cached("SELECT id FROM projects WHERE tenant = ?1 AND name = ?2")?;
    Ok(find.query_row([of.tenant.as_str(), of.project.as_str()], |row| row.get(0)).optional()?)
}

fn publish(on: &Connection, mut new: NewRelease, actor: &Actor) -> Result<(ReleaseRecord, bool), MetadataError> {
    let mut next = on.prepare_cached(
        "INSERT INTO projects (tenant, name, seq) VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET seq = seq + 1
         RETURNING id, seq",
    )?;
    let names = [new.project.tenant.as_str(), new.project.project.as_str()];
    if let (Some(key), Some(project)) = (&new.key, find_project(on, &new.project)?) {
        let old = stored(actor.now_s.saturating_sub(PUBLISH_KEY_S));
        on.prepare_cached("DELETE FROM release_keys WHERE created_s <= ?1")?.execute([old])?;
        let mut find = on.prepare_cached("SELECT release FROM release_keys WHERE project = ?1 AND key = ?2")?;
        let first: Option<String> = find.query_row(params![project, key], |row| row.get(0)).optional()?;
        if let Some(first) = first {
            let gone = || MetadataError::Corrupt { detail: "a key is for no release".to_owned() };
            let found = get(on, &new.project, project, &parse("release", &first)?)?.ok_or_else(gone)?;
            return Ok((found, false));
        }
    }
    let (project, seq): (i64, i64) = next.query_row(names, |row| Ok((row.get(0)?, row.get(1)?)))?;
    insert(on, &new, (project, seq), actor)?;
    let entry = Entry { to: Some(&new.id), ..Entry::of_release(project, ReleaseAction::Publish) };
    log::write(on, &entry, actor)?;
    new.key = None;
    let (seq, created_s, author) = (count("seq", seq)?, actor.now_s, actor.name.clone());
    Ok((ReleaseRecord { new, seq, created_s, author, tags: Vec::new() }, true))
}

fn insert(on: &Connection, new: &NewRelease, (project, seq): (i64, i64), actor: &Actor) -> Result<(), MetadataError> {
    let details = Details::text_of(new)?;
    let (id, blake3) = (new.id.as_str(), Blake3Hash::of(new.manifest.as_bytes()).to_string());
    let mut insert = on.prepare_cached(
        "INSERT INTO releases (id, project, seq, manifest, blake3, details, author, created_s)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    insert.execute(params![id, project, seq, new.manifest, blake3, details, actor.name, stored(actor.now_s)])?;
    let mut has = on.prepare_cached(
        "INSERT INTO release_endpoints (project, endpoint, release, position) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (position, endpoint) in (0_i64..).zip(&new.endpoints) {
        has.execute(params![project, endpoint.as_str(), id, position])?;
    }
    if let Some(key) = &new.key {
        let mut keep =
            on.prepare_cached("INSERT INTO release_keys (project, key, release, created_s) VALUES (?1, ?2, ?3, ?4)")?;
        keep.execute(params![project, key, id, stored(actor.now_s)])?;
    }
    Ok(())
}

fn get(
    on: &Connection,
    of: &ProjectName,
    project: i64,
    id: &ReleaseId,
) -> Result<Option<ReleaseRecord>, MetadataError> {
    let mut find = on.prepare_cached(
        "SELECT seq, manifest, details, author, created_s FROM releases WHERE id = ?1 AND project = ?2",
    )?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?, row.get::<_, i64>(4)?))
    };
    let found = find.query_row(params![id.as_str(), project], row).optional()?;
    let Some((seq, manifest, details, author, created_s)) = found else { return Ok(None) };
    let details = Details::read(&details)?;
    let new = details.release(id.clone(), of.clone(), manifest, endpoints_of(on, id.as_str())?);
    let tags = tags::at(on, project, id)?;
    Ok(Some(ReleaseRecord { new, seq: count("seq", seq)?, created_s: count("created_s", created_s)?, author, tags }))
}

fn endpoints_of(on: &Connection, release: &str) -> Result<Vec<Slug>, MetadataError> {
    let mut list = on.prepare_cached("SELECT endpoint FROM release_endpoints WHERE release = ?1 ORDER BY position")?;
    let rows = list.query_map([release], |row| row.get::<_, String>(0))?;
    rows.map(|row| parse("endpoint", &row?)).collect()
}

fn list(on: &Connection, project: i64, before: Option<u64>, limit: usize) -> Result<Vec<ReleaseRow>, MetadataError> {
    let mut list = on.prepare_cached(
        "SELECT id, seq, blake3, created_s FROM releases WHERE project = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = list.query(params![project, before.map_or(i64::MAX, stored), limit])?;
    let mut releases = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        releases.push(ReleaseRow {
            endpoints: endpoints_of(on, &id)?,
            id: parse("id", &id)?,
            seq: count("seq", row.get(1)?)?,
            manifest: parse("blake3", &row.get::<_, String>(2)?)?,
            created_s: count("created_s", row.get(3)?)?,
        });
    }
    Ok(releases)
}

fn drop_release(on: &Connection, of: &ProjectName, id: &ReleaseId, actor: &Actor) -> Result<(), MetadataError> {
    let project = find_project(on, of)?.ok_or(ReleaseError::UnknownRelease)?;
    if !tags::at(on, project, id)?.is_empty() {
        return Err(ReleaseError::InUse.into());
    }
    let mut remove = on.prepare_cached("DELETE FROM releases WHERE id = ?1 AND project = ?2")?;
    if remove.execute(params![id.as_str(), project])? == 0 {
        return Err(ReleaseError::UnknownRelease.into());
    }
    let entry = Entry { from: Some(id), ..Entry::of_release(project, ReleaseAction::Delete) };
    log::write(on, &entry, actor).map(drop)
}

fn endpoints(on: &Connection, project: i64, after: Option<&Slug>, limit: usize) -> Result<Vec<Slug>, MetadataError> {
    let mut list = on.prepare_cached(
        "SELECT DISTINCT endpoint FROM release_endpoints WHERE project = ?1 AND endpoint > ?2 ORDER BY endpoint LIMIT ?3",
    )?;
    let (after, limit) = (after.map_or("", Slug::as_str), i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = list.query_map(params![project, after, limit], |row| row.get::<_, String>(0))?;
    rows.map(|row| parse("endpoint", &row?)).collect()
}
