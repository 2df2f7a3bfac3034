//! Repositories: attributes, tags, and the trees they stand for.

use std::collections::HashMap;

use gen_worker_hub::{
    Digest, RepoPath, digest::DigestAlgorithm, model_ref::RepoName, names::Flavor, snapshot::SnapshotFile,
};
use serde_json::{Map, Value};
use tokio_postgres::Row;

use super::{
    row::{column, counted, hash, parse, values},
    transaction::Transaction,
};
use crate::{
    metadata::{Checkpoint, MetadataError, Reader, RepoRecord, Selector},
    selection::{self, Pickled, select},
    tree::Elsewhere,
};

/// A repository that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repo {
    /// Its row.
    pub id: i64,
    /// Whether it is private.
    pub private: bool,
    /// How often commits have moved its tags.
    revisions: u64,
}

/// The repository, made when it is not there. Nobody else moves its tags before the end of the transaction.
pub(super) async fn make(on: &Transaction, name: &RepoName, private: bool) -> Result<Repo, MetadataError> {
    let insert =
        "INSERT INTO hub.repos (owner, name, private, metadata) VALUES ($1, $2, $3, '{}') ON CONFLICT DO NOTHING";
    on.execute(insert, values![name.owner(), name.repo(), private]).await?;
    let find = "SELECT id, private, revisions FROM hub.repos WHERE owner = $1 AND name = $2 FOR NO KEY UPDATE";
    let row = on.row(find, values![name.owner(), name.repo()]).await?;
    repo(&row.ok_or_else(|| MetadataError::Corrupt { detail: "a repository is gone".to_owned() })?)
}

fn repo(row: &Row) -> Result<Repo, MetadataError> {
    Ok(Repo { id: column(row, 0)?, private: column(row, 1)?, revisions: counted(row, 2)? })
}

/// Notes that a commit moves its tags.
pub(super) async fn moved(on: &Transaction, repo: Repo) -> Result<(), MetadataError> {
    on.execute("UPDATE hub.repos SET revisions = revisions + 1 WHERE id = $1", values![repo.id]).await.map(drop)
}

/// A repository that has a tree and that `reader` may read.
pub(super) async fn of_tree(
    on: &Transaction,
    digest: &Digest,
    reader: &Reader,
) -> Result<Option<RepoName>, MetadataError> {
    let column_of_it = column_of(digest);
    let sql = format!(
        "SELECT owner, name, private FROM hub.repos WHERE id IN (
             SELECT repo FROM hub.checkpoints WHERE {column_of_it} = $1)"
    );
    for row in on.rows(&sql, values![digest.to_string()]).await? {
        let (owner, name): (&str, &str) = (column(&row, 0)?, column(&row, 1)?);
        let repo: RepoName = parse("owner, name", &format!("{owner}/{name}"))?;
        if reader.may_read_repo(&repo, column(&row, 2)?) {
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

async fn find(on: &Transaction, name: &RepoName) -> Result<Option<Repo>, MetadataError> {
    let sql = "SELECT id, private, revisions FROM hub.repos WHERE owner = $1 AND name = $2";
    let row = on.row(sql, values![name.owner(), name.repo()]).await?;
    row.map(|row| repo(&row)).transpose()
}

pub(super) async fn metadata(on: &Transaction, name: &RepoName) -> Result<Option<RepoRecord>, MetadataError> {
    let sql = "SELECT metadata, private FROM hub.repos WHERE owner = $1 AND name = $2";
    let Some(row) = on.row(sql, values![name.owner(), name.repo()]).await? else { return Ok(None) };
    let corrupt = |error: serde_json::Error| MetadataError::Corrupt { detail: format!("column metadata: {error}") };
    let attributes = serde_json::from_str(column(&row, 0)?).map_err(corrupt)?;
    Ok(Some(RepoRecord { attributes, private: column(&row, 1)? }))
}

pub(super) async fn put_metadata(
    on: &Transaction,
    name: &RepoName,
    private: bool,
    metadata: &Map<String, Value>,
) -> Result<(), MetadataError> {
    let repo = make(on, name, private).await?;
    let text = serde_json::to_string(metadata).map_err(|error| MetadataError::Unfit(error.to_string()))?;
    on.execute("UPDATE hub.repos SET metadata = $2 WHERE id = $1", values![repo.id, text]).await.map(drop)
}

pub(super) async fn put_visibility(on: &Transaction, name: &RepoName, private: bool) -> Result<bool, MetadataError> {
    let sql = "UPDATE hub.repos SET private = $3 WHERE owner = $1 AND name = $2";
    Ok(on.execute(sql, values![name.owner(), name.repo(), private]).await? == 1)
}

/// The rows of a tag, and its own choice among them.
pub(super) async fn rows(
    on: &Transaction,
    repo: Repo,
    tag: &str,
) -> Result<(Vec<selection::Row>, Option<String>), MetadataError> {
    let sql = "SELECT f.flavor, c.digest, c.unsafe_weights, t.default_flavor FROM hub.tags AS t
         JOIN hub.flavors AS f USING (repo, tag) JOIN hub.checkpoints AS c ON c.id = f.checkpoint
         WHERE t.repo = $1 AND t.tag = $2 ORDER BY f.flavor";
    let found = on.rows(sql, values![repo.id, tag]).await?;
    let row = |row: &Row| {
        Ok(selection::Row { flavor: column(row, 0)?, digest: column(row, 1)?, unsafe_weights: column(row, 2)? })
    };
    let rows = found.iter().map(row).collect::<Result<_, MetadataError>>()?;
    let default: Option<Option<String>> = found.first().map(|row| column(row, 3)).transpose()?;
    Ok((rows, default.flatten()))
}

/// The files of a checkpoint, in order; none of one that is not there.
pub(super) async fn files(on: &Transaction, repo: Repo, digest: &str) -> Result<Vec<SnapshotFile>, MetadataError> {
    let sql = "SELECT f.path, f.size, f.blake3 FROM hub.files AS f JOIN hub.checkpoints AS c ON c.id = f.checkpoint
         WHERE c.repo = $1 AND c.digest = $2 ORDER BY f.path";
    let rows = on.rows(sql, values![repo.id, digest]).await?;
    rows.iter().map(|row| file(row, 0)).collect()
}

/// A file whose columns begin with this one.
fn file(row: &Row, first: usize) -> Result<SnapshotFile, MetadataError> {
    let path = parse("path", column(row, first)?)?;
    Ok(SnapshotFile { path, size_bytes: counted(row, first + 1)?, blake3: hash(row, first + 2)? })
}

/// Single files of other checkpoints; those that are not there are left out.
pub(super) async fn elsewhere(
    on: &Transaction,
    repo: Repo,
    wanted: &[(Digest, &RepoPath)],
) -> Result<Elsewhere, MetadataError> {
    if wanted.is_empty() {
        return Ok(Elsewhere::new());
    }
    let digests: Vec<String> = wanted.iter().map(|(digest, _)| digest.to_string()).collect();
    let paths: Vec<&str> = wanted.iter().map(|(_, path)| path.as_str()).collect();
    let sql = "SELECT DISTINCT w.digest, f.path, f.size, f.blake3
         FROM unnest($2::text[], $3::text[]) AS w (digest, path)
         JOIN hub.checkpoints AS c ON c.repo = $1 AND c.digest = w.digest
         JOIN hub.files AS f ON f.checkpoint = c.id AND f.path = w.path";
    let rows = on.rows(sql, values![repo.id, digests, paths]).await?;
    let found = rows.iter().map(|row| {
        let (digest, file): (Digest, _) = (parse("digest", column(row, 0)?)?, file(row, 1)?);
        Ok(((digest, file.path.clone()), file))
    });
    found.collect::<Result<HashMap<_, _>, _>>()
}

pub(super) async fn resolve(
    on: &Transaction,
    name: &RepoName,
    selector: &Selector,
) -> Result<Option<Checkpoint>, MetadataError> {
    let Some(repo) = find(on, name).await? else { return Ok(None) };
    let (digest, siblings) = match selector {
        Selector::Digest(digest, flavor) => (by_digest(on, repo, digest, flavor.as_ref()).await?, Vec::new()),
        Selector::Tag(tag, flavor) => {
            let (rows, default) = rows(on, repo, tag.as_str()).await?;
            let wanted = flavor.as_ref().map(Flavor::as_str);
            let row = select(&rows, default.as_deref(), wanted, Pickled::Never).cloned();
            let others = rows.iter().filter(|other| Some(*other) != row.as_ref() && !other.flavor.is_empty());
            let siblings = siblings(on, repo, others).await?;
            (row.map(|row| row.digest), siblings)
        }
    };
    let Some(digest) = digest else { return Ok(None) };
    let sql = "SELECT dtype FROM hub.checkpoints WHERE repo = $1 AND digest = $2";
    let Some(row) = on.row(sql, values![repo.id, digest]).await? else { return Ok(None) };
    let (files, dtype) = (files(on, repo, &digest).await?, column(&row, 0)?);
    let (digest, repo_revision) = (parse("digest", &digest)?, repo.revisions);
    Ok(Some(Checkpoint { digest, private: repo.private, repo_revision, files, siblings, dtype }))
}

async fn by_digest(
    on: &Transaction,
    repo: Repo,
    digest: &Digest,
    flavor: Option<&Flavor>,
) -> Result<Option<String>, MetadataError> {
    let column_of_it = column_of(digest);
    let sql = format!(
        "SELECT digest FROM hub.checkpoints AS c WHERE repo = $1 AND {column_of_it} = $2 AND ($3 IS NULL OR EXISTS (
             SELECT 1 FROM hub.labels AS l WHERE l.checkpoint = c.id AND l.flavor = $3))"
    );
    let row = on.row(&sql, values![repo.id, digest.to_string(), flavor.map(Flavor::as_str)]).await?;
    row.map(|row| column(&row, 0)).transpose()
}

async fn siblings(
    on: &Transaction,
    repo: Repo,
    others: impl Iterator<Item = &selection::Row>,
) -> Result<Vec<(String, u64)>, MetadataError> {
    let others: Vec<&selection::Row> = others.collect();
    let digests: Vec<&str> = others.iter().map(|row| row.digest.as_str()).collect();
    let sql = "SELECT digest, size FROM hub.checkpoints WHERE repo = $1 AND digest = ANY ($2)";
    let rows = on.rows(sql, values![repo.id, digests]).await?;
    let size = |row: &Row| Ok((column(row, 0)?, counted(row, 1)?));
    let sizes: HashMap<String, u64> = rows.iter().map(size).collect::<Result<_, MetadataError>>()?;
    Ok(others.iter().filter_map(|row| Some((row.flavor.clone(), *sizes.get(&row.digest)?))).collect())
}

pub(super) async fn labels(on: &Transaction, name: &RepoName, digest: &Digest) -> Result<Vec<String>, MetadataError> {
    let sql = "SELECT l.flavor FROM hub.labels AS l JOIN hub.checkpoints AS c ON c.id = l.checkpoint
         JOIN hub.repos AS r ON r.id = c.repo WHERE r.owner = $1 AND r.name = $2 AND c.digest = $3 ORDER BY l.flavor";
    let rows = on.rows(sql, values![name.owner(), name.repo(), digest.to_string()]).await?;
    rows.iter().map(|row| column(row, 0)).collect()
}
