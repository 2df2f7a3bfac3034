//! Releases. Whoever changes something of a project locks its row first.

mod log;
mod tags;

use futures::FutureExt as _;
use gen_worker_hub::{
    Blake3Hash,
    names::{ReleaseId, Slug, Tag},
};
use tokio_postgres::Row;

use super::{
    PostgresMetadata,
    row::{column, counted, hash, parse, stored, values},
    transaction::Transaction,
};
use crate::metadata::{
    Actor, Answer, LogEntry, MetadataError, MovedTag, NewPromotion, NewRelease, PUBLISH_KEY_S, ProjectName,
    ReleaseAction, ReleaseError, ReleaseRecord, ReleaseRow, Releases, TagRecord,
    releases::{Details, Entry},
};

impl Releases for PostgresMetadata {
    fn publish(&self, new: NewRelease, actor: Actor) -> Answer<'_, (ReleaseRecord, bool)> {
        self.call("publish a release", (new, actor), |on, (new, actor)| publish(on, new, actor).boxed())
    }

    fn release(&self, project: ProjectName, id: ReleaseId) -> Answer<'_, Option<ReleaseRecord>> {
        self.read("read a release", (project, id), |on, (project, id)| {
            async move {
                match find_project(on, project).await? {
                    Some(number) => get(on, project, number, id).await,
                    None => Ok(None),
                }
            }
            .boxed()
        })
    }

    fn releases(&self, project: ProjectName, before: Option<u64>, limit: usize) -> Answer<'_, Vec<ReleaseRow>> {
        self.read("list releases", (project, before, limit), |on, (project, before, limit)| {
            list(on, project, *before, *limit).boxed()
        })
    }

    fn drop_release(&self, project: ProjectName, id: ReleaseId, actor: Actor) -> Answer<'_, ()> {
        self.call("take a release away", (project, id, actor), |on, (project, id, actor)| {
            drop_release(on, project, id, actor).boxed()
        })
    }

    fn endpoints(&self, project: ProjectName, after: Option<Slug>, limit: usize) -> Answer<'_, Vec<Slug>> {
        self.read("list endpoints", (project, after, limit), |on, (project, after, limit)| {
            endpoints(on, project, after.as_ref(), *limit).boxed()
        })
    }

    fn tags(&self, project: ProjectName, endpoints: Vec<Slug>) -> Answer<'_, Vec<TagRecord>> {
        self.read("read tags", (project, endpoints), |on, (project, endpoints)| {
            async move {
                let Some(number) = find_project(on, project).await? else { return Ok(Vec::new()) };
                let mut found = Vec::new();
                for endpoint in endpoints {
                    found.extend(tags::list(on, number, endpoint).await?);
                }
                Ok(found)
            }
            .boxed()
        })
    }

    fn promote(&self, project: ProjectName, promotion: NewPromotion, actor: Actor) -> Answer<'_, Vec<MovedTag>> {
        self.call("promote a release", (project, promotion, actor), |on, (project, promotion, actor)| {
            tags::promote(on, project, promotion, actor).boxed()
        })
    }

    fn roll_back(
        &self,
        project: ProjectName,
        endpoint: Slug,
        tag: Tag,
        to: Option<ReleaseId>,
        actor: Actor,
    ) -> Answer<'_, MovedTag> {
        let data = (project, (endpoint, tag), to, actor);
        self.call("roll a tag back", data, |on, (project, (endpoint, tag), to, actor)| {
            async move {
                let number = lock_project(on, project).await?.ok_or(ReleaseError::UnknownTag)?;
                tags::roll_back(on, number, (endpoint, tag), to.as_ref(), actor).await
            }
            .boxed()
        })
    }

    fn drop_tag(&self, project: ProjectName, endpoint: Slug, tag: Tag, actor: Actor) -> Answer<'_, ()> {
        self.call("take a tag away", (project, endpoint, tag, actor), |on, (project, endpoint, tag, actor)| {
            async move {
                let number = lock_project(on, project).await?.ok_or(ReleaseError::UnknownTag)?;
                tags::remove(on, number, (endpoint, tag), actor).await
            }
            .boxed()
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
        let data = (project, (endpoint, tag), before, limit);
        self.read("read the log of a tag", data, |on, (project, (endpoint, tag), before, limit)| {
            async move {
                match find_project(on, project).await? {
                    Some(number) => log::list(on, number, (endpoint, tag), *before, *limit).await,
                    None => Ok(Vec::new()),
                }
            }
            .boxed()
        })
    }
}

async fn find_project(on: &Transaction, of: &ProjectName) -> Result<Option<i64>, MetadataError> {
    let sql = "SELECT id FROM hub.projects WHERE tenant = $1 AND name = $2";
    on.row(sql, values![of.tenant.as_str(), of.project.as_str()]).await?.map(|row| column(&row, 0)).transpose()
}

/// The same for who changes something: others wait.
async fn lock_project(on: &Transaction, of: &ProjectName) -> Result<Option<i64>, MetadataError> {
    let sql = "SELECT id FROM hub.projects WHERE tenant = $1 AND name = $2 FOR UPDATE";
    on.row(sql, values![of.tenant.as_str(), of.project.as_str()]).await?.map(|row| column(&row, 0)).transpose()
}

async fn publish(on: &Transaction, new: &NewRelease, actor: &Actor) -> Result<(ReleaseRecord, bool), MetadataError> {
    let sql = "INSERT INTO hub.projects (tenant, name, seq) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
    on.execute(sql, values![new.project.tenant.as_str(), new.project.project.as_str()]).await?;
    let gone = || MetadataError::Corrupt { detail: "a project is gone".to_owned() };
    let project = lock_project(on, &new.project).await?.ok_or_else(gone)?;
    if let Some(key) = &new.key {
        let old = stored(actor.now_s.saturating_sub(PUBLISH_KEY_S));
        let sql = "DELETE FROM hub.release_keys WHERE project = $1 AND created_s <= $2";
        on.execute(sql, values![project, old]).await?;
        let sql = "SELECT release FROM hub.release_keys WHERE project = $1 AND key = $2";
        if let Some(row) = on.row(sql, values![project, key.as_str()]).await? {
            let gone = || MetadataError::Corrupt { detail: "a key is for no release".to_owned() };
            let found = get(on, &new.project, project, &parse("release", column(&row, 0)?)?).await?;
            return Ok((found.ok_or_else(gone)?, false));
        }
    }
    let row = on.row("UPDATE hub.projects SET seq = seq + 1 WHERE id = $1 RETURNING seq", values![project]).await?;
    let seq: i64 = column(&row.ok_or_else(gone)?, 0)?;
    insert(on, new, (project, seq), actor).await?;
    let entry = Entry { to: Some(&new.id), ..Entry::of_release(project, ReleaseAction::Publish) };
    log::write(on, &entry, actor).await?;
    let new = NewRelease { key: None, ..new.clone() };
    let (seq, created_s, author) = (super::row::count("seq", seq)?, actor.now_s, actor.name.clone());
    Ok((ReleaseRecord { new, seq, created_s, author, tags: Vec::new() }, true))
}

async fn insert(
    on: &Transaction,
    new: &NewRelease,
    (project, seq): (i64, i64),
    actor: &Actor,
) -> Result<(), MetadataError> {
    let details = Details::text_of(new)?;
    let (id, blake3) = (new.id.as_str(), Blake3Hash::of(new.manifest.as_bytes()));
    let sql = "INSERT INTO hub.releases (id, project, seq, manifest, blake3, details, author, created_s)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let (blake3, created_s) = (blake3.as_bytes().as_slice(), stored(actor.now_s));
    let row = values![id, project, seq, new.manifest, blake3, details, actor.name, created_s];
    on.execute(sql, row).await?;
    let sql = "INSERT INTO hub.release_endpoints (project, endpoint, release, position)
         SELECT $1, e.endpoint, $2, e.position FROM unnest($3::text[]) WITH ORDINALITY AS e (endpoint, position)";
    let endpoints: Vec<&str> = new.endpoints.iter().map(Slug::as_str).collect();
    on.execute(sql, values![project, id, endpoints]).await?;
    if let Some(key) = &new.key {
        let sql = "INSERT INTO hub.release_keys (project, key, release, created_s) VALUES ($1, $2, $3, $4)";
        on.execute(sql, values![project, key.as_str(), id, stored(actor.now_s)]).await?;
    }
    Ok(())
}

async fn get(
    on: &Transaction,
    of: &ProjectName,
    project: i64,
    id: &ReleaseId,
) -> Result<Option<ReleaseRecord>, MetadataError> {
    let sql = "SELECT seq, manifest, details, author, created_s FROM hub.releases WHERE id = $1 AND project = $2";
    let Some(row) = on.row(sql, values![id.as_str(), project]).await? else { return Ok(None) };
    let details = Details::read(column(&row, 2)?)?;
    let (manifest, endpoints) = (column(&row, 1)?, endpoints_of(on, id.as_str()).await?);
    Ok(Some(ReleaseRecord {
        new: details.release(id.clone(), of.clone(), manifest, endpoints),
        seq: counted(&row, 0)?,
        created_s: counted(&row, 4)?,
        author: column(&row, 3)?,
        tags: tags::at(on, project, id).await?,
    }))
}

async fn endpoints_of(on: &Transaction, release: &str) -> Result<Vec<Slug>, MetadataError> {
    let sql = "SELECT endpoint FROM hub.release_endpoints WHERE release = $1 ORDER BY position";
    let rows = on.rows(sql, values![release]).await?;
    rows.iter().map(|row| parse("endpoint", column(row, 0)?)).collect()
}

async fn list(
    on: &Transaction,
    of: &ProjectName,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<ReleaseRow>, MetadataError> {
    let Some(project) = find_project(on, of).await? else { return Ok(Vec::new()) };
    let sql = "SELECT id, seq, blake3, created_s FROM hub.releases WHERE project = $1 AND seq < $2
         ORDER BY seq DESC LIMIT $3";
    let (before, limit) = (before.map_or(i64::MAX, stored), i64::try_from(limit).unwrap_or(i64::MAX));
    let mut releases = Vec::new();
    for row in &on.rows(sql, values![project, before, limit]).await? {
        let id: &str = column(row, 0)?;
        releases.push(ReleaseRow {
            endpoints: endpoints_of(on, id).await?,
            id: parse("id", id)?,
            seq: counted(row, 1)?,
            manifest: hash(row, 2)?,
            created_s: counted(row, 3)?,
        });
    }
    Ok(releases)
}

async fn drop_release(on: &Transaction, of: &ProjectName, id: &ReleaseId, actor: &Actor) -> Result<(), MetadataError> {
    let project = lock_project(on, of).await?.ok_or(ReleaseError::UnknownRelease)?;
    if !tags::at(on, project, id).await?.is_empty() {
        return Err(ReleaseError::InUse.into());
    }
    let sql = "DELETE FROM hub.releases WHERE id = $1 AND project = $2";
    if on.execute(sql, values![id.as_str(), project]).await? == 0 {
        return Err(ReleaseError::UnknownRelease.into());
    }
    let entry = Entry { from: Some(id), ..Entry::of_release(project, ReleaseAction::Delete) };
    log::write(on, &entry, actor).await.map(drop)
}

async fn endpoints(
    on: &Transaction,
    of: &ProjectName,
    after: Option<&Slug>,
    limit: usize,
) -> Result<Vec<Slug>, MetadataError> {
    let Some(project) = find_project(on, of).await? else { return Ok(Vec::new()) };
    let sql = "SELECT DISTINCT endpoint FROM hub.release_endpoints WHERE project = $1 AND endpoint > $2
         ORDER BY endpoint LIMIT $3";
    let (after, limit) = (after.map_or("", Slug::as_str), i64::try_from(limit).unwrap_or(i64::MAX));
    let rows: Vec<Row> = on.rows(sql, values![project, after, limit]).await?;
    rows.iter().map(|row| parse("endpoint", column(row, 0)?)).collect()
}
