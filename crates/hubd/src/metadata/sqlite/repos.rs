//! Repositories: attributes, tags, and the trees they stand for.

use gen_worker_hub::{
    Digest, RepoPath, digest::DigestAlgorithm, model_ref::RepoName, names::Flavor, snapshot::SnapshotFile,
};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Map, Value};

use super::row::{count, parse};
use crate::{
    metadata::{Checkpoint, MetadataError, Reader, RepoRecord, Selector},
    selection::{Pickled, Row, select},
};

/// A repository that is there.
pub(super) struct Repo {
    /// Its row.
    pub id: i64,
    /// Whether it is private.
    pub private: bool,
    /// How often commits have moved its tags.
    revisions: u64,
}

/// The repository, made when it is not there.
pub(super) fn make(on: &Connection, name: &RepoName, private: bool) -> Result<Repo, MetadataError> {
    let insert = "INSERT INTO repos (owner, name, private, metadata) VALUES (?1, ?2, ?3, '{}') ON CONFLICT DO NOTHING";
    on.prepare_cached(insert)?.execute(params![name.owner(), name.repo(), private])?;
    let gone = || MetadataError::Corrupt { detail: "a repository is gone".to_owned() };
    find(on, name)?.ok_or_else(gone)
}

fn find(on: &Connection, name: &RepoName) -> Result<Option<Repo>, MetadataError> {
    let mut find = on.prepare_cached("SELECT id, private, revisions FROM repos WHERE owner = ?1 AND name = ?2")?;
    let found =
        find.query_row([name.owner(), name.repo()], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?)));
    let Some((id, private, revisions)) = found.optional()? else { return Ok(None) };
    Ok(Some(Repo { id, private, revisions: count("revisions", revisions)? }))
}

/// Notes that a commit moves its tags.
pub(super) fn moved(on: &Connection, repo: &Repo) -> Result<(), MetadataError> {
    on.prepare_cached("UPDATE repos SET revisions = revisions + 1 WHERE id = ?1")?.execute([repo.id])?;
    Ok(())
}

/// A repository that has a tree and that `reader` may read. They are looked at one by one.
pub(super) fn of_tree(on: &Connection, digest: &Digest, reader: &Reader) -> Result<Option<RepoName>, MetadataError> {
    let column = column_of(digest);
    let mut list = on.prepare_cached(&format!(
        "SELECT owner, name, private FROM repos WHERE id IN (SELECT repo FROM checkpoints WHERE {column} = ?1)",
    ))?;
    let mut rows = list.query([digest.to_string()])?;
    while let Some(row) = rows.next()? {
        let (owner, name): (String, String) = (row.get(0)?, row.get(1)?);
        let repo: RepoName = parse("owner, name", &format!("{owner}/{name}"))?;
        if reader.may_read_repo(&repo, row.get(2)?) {
            return Ok(Some(repo));
        }
    }
    Ok(None)
}

fn column_of(digest: &Digest) -> &'static str {
    match digest.algorithm() {
        DigestAlgorithm::Blake3 => "digest",
        DigestAlgorithm::Sha256 => "sha256",
    }
}

pub(super) fn metadata(on: &Connection, name: &RepoName) -> Result<Option<RepoRecord>, MetadataError> {
    let mut find = on.prepare_cached("SELECT metadata, private FROM repos WHERE owner = ?1 AND name = ?2")?;
    let found = find.query_row([name.owner(), name.repo()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
    let Some((text, private)) = found.optional()? else { return Ok(None) };
    let corrupt = |error: serde_json::Error| MetadataError::Corrupt { detail: format!("column metadata: {error}") };
    Ok(Some(RepoRecord { attributes: serde_json::from_str(&text).map_err(corrupt)?, private }))
}

pub(super) fn put_metadata(
    on: &Connection,
    name: &RepoName,
    private: bool,
    metadata: &Map<String, Value>,
) -> Result<(), MetadataError> {
    let repo = make(on, name, private)?;
    let text = Value::Object(metadata.clone()).to_string();
    on.prepare_cached("UPDATE repos SET metadata = ?2 WHERE id = ?1")?.execute(params![repo.id, text])?;
    Ok(())
}

pub(super) fn put_visibility(on: &Connection, name: &RepoName, private: bool) -> Result<bool, MetadataError> {
    let mut put = on.prepare_cached("UPDATE repos SET private = ?3 WHERE owner = ?1 AND name = ?2")?;
    Ok(put.execute(params![name.owner(), name.repo(), private])? == 1)
}

/// The rows of a tag, and its own choice among them.
pub(super) fn rows(on: &Connection, repo: &Repo, tag: &str) -> Result<(Vec<Row>, Option<String>), MetadataError> {
    let mut list = on.prepare_cached(
        "SELECT flavor, digest, unsafe_weights FROM flavors JOIN checkpoints USING (repo, digest)
         WHERE repo = ?1 AND tag = ?2 ORDER BY flavor",
    )?;
    let rows = list.query_map(params![repo.id, tag], |row| {
        Ok(Row { flavor: row.get(0)?, digest: row.get(1)?, unsafe_weights: row.get(2)? })
    })?;
    let rows = rows.collect::<Result<_, _>>()?;
    let mut own = on.prepare_cached("SELECT default_flavor FROM tags WHERE repo = ?1 AND tag = ?2")?;
    let default: Option<Option<String>> = own.query_row(params![repo.id, tag], |row| row.get(0)).optional()?;
    Ok((rows, default.flatten()))
}

/// The files of a checkpoint, in order; none of one that is not there.
pub(super) fn files(on: &Connection, repo: &Repo, digest: &str) -> Result<Vec<SnapshotFile>, MetadataError> {
    let mut list =
        on.prepare_cached("SELECT path, size, blake3 FROM files WHERE repo = ?1 AND digest = ?2 ORDER BY path")?;
    let mut rows = list.query(params![repo.id, digest])?;
    let mut files = Vec::new();
    while let Some(row) = rows.next()? {
        files.push(SnapshotFile {
            path: parse("path", &row.get::<_, String>(0)?)?,
            size_bytes: count("size", row.get(1)?)?,
            blake3: parse("blake3", &row.get::<_, String>(2)?)?,
        });
    }
    Ok(files)
}

/// One file of a checkpoint.
pub(super) fn file(
    on: &Connection,
    repo: &Repo,
    digest: &str,
    path: &RepoPath,
) -> Result<Option<SnapshotFile>, MetadataError> {
    let mut find = on.prepare_cached("SELECT size, blake3 FROM files WHERE repo = ?1 AND digest = ?2 AND path = ?3")?;
    let found = find.query_row(params![repo.id, digest, path.as_str()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    });
    let Some((size, hash)) = found.optional()? else { return Ok(None) };
    let (size_bytes, blake3) = (count("size", size)?, parse("blake3", &hash)?);
    Ok(Some(SnapshotFile { path: path.clone(), size_bytes, blake3 }))
}

pub(super) fn resolve(
    on: &Connection,
    name: &RepoName,
    selector: &Selector,
) -> Result<Option<Checkpoint>, MetadataError> {
    let Some(repo) = find(on, name)? else { return Ok(None) };
    let (digest, siblings) = match selector {
        Selector::Digest(digest, flavor) => (by_digest(on, &repo, digest, flavor.as_ref())?, Vec::new()),
        Selector::Tag(tag, flavor) => {
            let (rows, default) = rows(on, &repo, tag.as_str())?;
            let wanted = flavor.as_ref().map(Flavor::as_str);
            let row = select(&rows, default.as_deref(), wanted, Pickled::Never).cloned();
            let others: Vec<&Row> = rows.iter().filter(|other| Some(*other) != row.as_ref()).collect();
            (row.map(|row| row.digest), siblings(on, &repo, &others)?)
        }
    };
    let Some(digest) = digest else { return Ok(None) };
    let files = files(on, &repo, &digest)?;
    let mut dtype = on.prepare_cached("SELECT dtype FROM checkpoints WHERE repo = ?1 AND digest = ?2")?;
    let dtype = dtype.query_row(params![repo.id, digest], |row| row.get(0))?;
    let (digest, repo_revision) = (parse("digest", &digest)?, repo.revisions);
    Ok(Some(Checkpoint { digest, private: repo.private, repo_revision, files, siblings, dtype }))
}

fn by_digest(
    on: &Connection,
    repo: &Repo,
    digest: &Digest,
    flavor: Option<&Flavor>,
) -> Result<Option<String>, MetadataError> {
    let column = column_of(digest);
    let mut find = on.prepare_cached(&format!(
        "SELECT digest FROM checkpoints AS c WHERE repo = ?1 AND {column} = ?2 AND (?3 IS NULL OR EXISTS (
             SELECT 1 FROM labels AS l WHERE l.repo = c.repo AND l.digest = c.digest AND l.flavor = ?3))",
    ))?;
    let values = params![repo.id, digest.to_string(), flavor.map(Flavor::as_str)];
    Ok(find.query_row(values, |row| row.get(0)).optional()?)
}

fn siblings(on: &Connection, repo: &Repo, others: &[&Row]) -> Result<Vec<(String, u64)>, MetadataError> {
    let mut size = on.prepare_cached("SELECT size FROM checkpoints WHERE repo = ?1 AND digest = ?2")?;
    let labelled = others.iter().filter(|row| !row.flavor.is_empty());
    let sized = labelled.map(|row| {
        let size = size.query_row(params![repo.id, row.digest], |row| row.get(0))?;
        Ok((row.flavor.clone(), count("size", size)?))
    });
    sized.collect()
}

pub(super) fn labels(on: &Connection, name: &RepoName, digest: &Digest) -> Result<Vec<String>, MetadataError> {
    let Some(repo) = find(on, name)? else { return Ok(Vec::new()) };
    let mut list = on.prepare_cached("SELECT flavor FROM labels WHERE repo = ?1 AND digest = ?2 ORDER BY flavor")?;
    let labels = list.query_map(params![repo.id, digest.to_string()], |row| row.get(0))?;
    Ok(labels.collect::<Result<_, _>>()?)
}
