//! Releases. Whoever changes something of a project locks its row first, so that its numbers and its log are in order.

mod log;
mod tags;

use futures::FutureExt as _;
use gen_worker_hub::{
    Blake3Hash,
    names::{ReleaseId, Slug, Tag},
};

use super::{
    PostgresMetadata,
    row::{column, count, counted, parse, stored, values},
    transaction::Transaction,
};
use crate::metadata::{
    Actor, Answer, LogEntry, MetadataError, MovedTag, NewPromotion, NewRelease, PUBLISH_KEY_S, ProjectName,
    ReleaseAction, ReleaseError, ReleaseRecord, ReleaseRow, Releases, TagRecord, releases::Details,
};
use log::Entry;

impl Releases for PostgresMetadata {
    fn publish(&self, new: NewRelease, actor: Actor) -> Answer<'_, (ReleaseRecord, bool)> {
        self.call("publish a release", (new, actor), |on, (new, actor)| publish(on, new, actor).boxed())
    }

    fn release(&self, project: ProjectName, id: ReleaseId) -> Answer<'_, Option<ReleaseRecord>> {
        self.read("read a release", (project, id), |on, (of, id)| {
            async move {
                match find_project(on, of).await? {
                    Some(project) => get(on, of, project, id).await,
                    None => Ok(None),
                }
            }
            .boxed()
        })
    }

    fn releases(&self, project: ProjectName, before: Option<u64>, limit: usize) -> Answer<'_, Vec<ReleaseRow>> {
        self.read("list releases", (project, before, limit), |on, (of, before, limit)| {
            async move {
                match find_project(on, of).await? {
                    Some(project) => list(on, project, *before, *limit).await,
                    None => Ok(Vec::new()),
                }
            }
            .boxed()
        })
    }

    fn drop_release(&self, project: ProjectName, id: ReleaseId, actor: Actor) -> Answer<'_, ()> {
        self.call("take a release away", (project, id, actor), |on, (of, id, actor)| {
            drop_release(on, of, id, actor).boxed()
        })
    }

    fn endpoints(&self, project: ProjectName, after: Option<Slug>, limit: usize) -> Answer<'_, Vec<Slug>> {
        self.read("list endpoints", (project, after, limit), |on, (of, after, limit)| {
            async move {
                match find_project(on, of).await? {
                    Some(project) => endpoints(on, project, after.as_ref(), *limit).await,
                    None => Ok(Vec::new()),
                }
            }
            .boxed()
        })
    }

    fn tags(&self, project: ProjectName, endpoints: Vec<Slug>) -> Answer<'_, Vec<TagRecord>> {
        self.read("read tags", (project, endpoints), |on, (of, endpoints)| {
            async move {
                let Some(project) = find_project(on, of).await? else { return Ok(Vec::new()) };
                let mut found = Vec::new();
                for endpoint in endpoints {
                    found.extend(tags::list(on, project, endpoint).await?);
                }
                Ok(found)
            }
            .boxed()
        })
    }

    fn promote(&self, project: ProjectName, promotion: NewPromotion, actor: Actor) -> Answer<'_, Vec<MovedTag>> {
        self.call("promote a release", (project, promotion, actor), |on, (of, promotion, actor)| {
            tags::promote(on, of, promotion, actor).boxed()
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
        let data = (project, endpoint, tag, to, actor);
        self.call("roll a tag back", data, |on, (of, endpoint, tag, to, actor)| {
            async move {
                let project = lock_project(on, of).await?.ok_or(ReleaseError::UnknownTag)?;
                tags::roll_back(on, project, (endpoint, tag), to.as_ref(), actor).await
            }
            .boxed()
        })
    }

    fn drop_tag(&self, project: ProjectName, endpoint: Slug, tag: Tag, actor: Actor) -> Answer<'_, ()> {
        self.call("take a tag away", (project, endpoint, tag, actor), |on, (of, endpoint, tag, actor)| {
            async move {
                let project = lock_project(on, of).await?.ok_or(ReleaseError::UnknownTag)?;
                tags::remove(on, project, (endpoint, tag), actor).await
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
        let data = (project, endpoint, tag, before, limit);
        self.read("read the log of a tag", data, |on, (of, endpoint, tag, before, limit)| {
            async move {
                match find_project(on, of).await? {
                    Some(project) => log::list(on, project, (endpoint, tag), *before, *limit).await,
                    None => Ok(Vec::new()),
                }
            }
            .boxed()
        })
    }
}

async fn find_project(on: &Transaction, of: &ProjectName) -> Result<Option<i64>, MetadataError> {
    let sql = "SELECT id FROM hub.projects WHERE tenant = $1 AND name = $2";
    let row = on.row(sql, values![of.tenant.as_str(), of.project.as_str()]).await?;
    row.map(|row| column(&row, 0)).transpose()
}

/// The project, of which nobody else changes anything from here on.
async fn lock_project(on: &Transaction, of: &ProjectName) -> Result<Option<i64>, MetadataError> {
    let sql = "SELECT id FROM hub.projects WHERE tenant = $1 AND name = $2 FOR UPDATE";
    let row = on.row(sql, values![of.tenant.as_str(), of.project.as_str()]).await?;
    row.map(|row| column(&row, 0)).transpose()
}

async fn publish(on: &Transaction, new: &NewRelease, actor: &Actor) -> Result<(ReleaseRecord, bool), MetadataError> {
    let (tenant, name) = (new.project.tenant.as_str(), new.project.project.as_str());
    let sql = "INSERT INTO hub.projects (tenant, name, seq) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
    on.execute(sql, values![tenant, name]).await?;
    let gone = || MetadataError::Corrupt { detail: "a project that was there is gone".to_owned() };
    let project = lock_project(on, &new.project).await?.ok_or_else(gone)?;
    if let Some(key) = &new.key {
        let old = stored(actor.now_s.saturating_sub(PUBLISH_KEY_S));
        // Those of this project only: of others somebody else may have the rows.
        let sql = "DELETE FROM hub.release_keys WHERE project = $1 AND created_s <= $2";
        on.execute(sql, values![project, old]).await?;
        let sql = "SELECT release FROM hub.release_keys WHERE project = $1 AND key = $2";
        if let Some(row) = on.row(sql, values![project, key.as_str()]).await? {
            let gone = || MetadataError::Corrupt { detail: "a key is for no release".to_owned() };
            let found = get(on, &new.project, project, &parse("release", column(&row, 0)?)?).await?;
            return Ok((found.ok_or_else(gone)?, false));
        }
    }
    let sql = "UPDATE hub.projects SET seq = seq + 1 WHERE id = $1 RETURNING seq";
    let row = on.row(sql, values![project]).await?.ok_or_else(gone)?;
    let seq: i64 = column(&row, 0)?;
    insert(on, new, (project, seq), actor).await?;
    let entry = Entry { to: Some(&new.id), ..Entry::of_release(project, ReleaseAction::Publish) };
    log::write(on, &entry, actor).await?;
    let (seq, created_s, author) = (count("seq", seq)?, actor.now_s, actor.name.clone());
    let new = NewRelease { key: None, ..new.clone() };
    Ok((ReleaseRecord { new, seq, created_s, author, tags: Vec::new() }, true))
}

async fn insert(
    on: &Transaction,
    new: &NewRelease,
    (project, seq): (i64, i64),
    actor: &Actor,
) -> Result<(), MetadataError> {
    let details = Details::of(new).to_json()?;
    let (id, blake3) = (new.id.as_str(), Blake3Hash::of(new.manifest.as_bytes()).to_string());
    let (manifest, author, now_s) = (new.manifest.as_str(), actor.name.as_str(), stored(actor.now_s));
    let sql = "INSERT INTO hub.releases (id, project, seq, manifest, blake3, details, author, created_s)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    on.execute(sql, values![id, project, seq, manifest, blake3, details, author, now_s]).await?;
    let endpoints: Vec<&str> = new.endpoints.iter().map(Slug::as_str).collect();
    let sql = "INSERT INTO hub.release_endpoints (project, endpoint, release, position)
         SELECT $1, endpoint, $2, position FROM unnest($3) WITH ORDINALITY AS list (endpoint, position)";
    on.execute(sql, values![project, id, endpoints]).await?;
    if let Some(key) = &new.key {
        let sql = "INSERT INTO hub.release_keys (project, key, release, created_s) VALUES ($1, $2, $3, $4)";
        on.execute(sql, values![project, key.as_str(), id, now_s]).await?;
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
    let Details { image, source_digest, compatibility_version, notes } = Details::from_json(column(&row, 2)?)?;
    let new = NewRelease {
        id: id.clone(),
        project: of.clone(),
        manifest: column(&row, 1)?,
        endpoints: endpoints_of(on, id.as_str()).await?,
        image,
        source_digest,
        compatibility_version,
        notes,
        key: None,
    };
    let (seq, created_s, author) = (counted(&row, 0)?, counted(&row, 4)?, column(&row, 3)?);
    Ok(Some(ReleaseRecord { new, seq, created_s, author, tags: tags::at(on, id).await? }))
}

async fn endpoints_of(on: &Transaction, release: &str) -> Result<Vec<Slug>, MetadataError> {
    let sql = "SELECT endpoint FROM hub.release_endpoints WHERE release = $1 ORDER BY position";
    let rows = on.rows(sql, values![release]).await?;
    rows.iter().map(|row| parse("endpoint", column(row, 0)?)).collect()
}

async fn list(
    on: &Transaction,
    project: i64,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<ReleaseRow>, MetadataError> {
    let sql = "SELECT id, seq, blake3, created_s,
             ARRAY (SELECT endpoint FROM hub.release_endpoints WHERE release = r.id ORDER BY position)
         FROM hub.releases AS r WHERE project = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3";
    let before = before.map_or(i64::MAX, stored);
    let rows = on.rows(sql, values![project, before, most(limit)]).await?;
    let release = |row: &tokio_postgres::Row| {
        let endpoints: Vec<&str> = column(row, 4)?;
        Ok(ReleaseRow {
            id: parse("id", column(row, 0)?)?,
            seq: counted(row, 1)?,
            endpoints: endpoints.into_iter().map(|name| parse("endpoint", name)).collect::<Result<_, _>>()?,
            manifest: parse("blake3", column(row, 2)?)?,
            created_s: counted(row, 3)?,
        })
    };
    rows.iter().map(release).collect()
}

async fn drop_release(on: &Transaction, of: &ProjectName, id: &ReleaseId, actor: &Actor) -> Result<(), MetadataError> {
    let project = lock_project(on, of).await?.ok_or(ReleaseError::UnknownRelease)?;
    if !tags::at(on, id).await?.is_empty() {
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
    project: i64,
    after: Option<&Slug>,
    limit: usize,
) -> Result<Vec<Slug>, MetadataError> {
    let sql = "SELECT DISTINCT endpoint FROM hub.release_endpoints WHERE project = $1 AND endpoint > $2
         ORDER BY endpoint LIMIT $3";
    let after = after.map_or("", Slug::as_str);
    let rows = on.rows(sql, values![project, after, most(limit)]).await?;
    rows.iter().map(|row| parse("endpoint", column(row, 0)?)).collect()
}

/// A limit as the database takes it.
fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
