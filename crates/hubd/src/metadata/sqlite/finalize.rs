//! A commit becomes a checkpoint: all of it in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use gen_worker_hub::{
    Digest, ServerId, Snapshot,
    api::{CommitCreate, CommitMode, CommitOperation, MergeBase},
    model_ref::RepoName,
};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    commits::{self, DONE, OPEN},
    repos::{self, Repo},
    row::stored,
    weights,
};
use crate::{
    metadata::{
        Finalized, MetadataError,
        naming::{self, LATEST},
    },
    selection::{Pickled, select},
    tree::{self, Elsewhere},
};

/// A commit as it is stored.
struct Stored {
    private: bool,
    state: i64,
    result: Option<String>,
    expires_s: i64,
}

/// What of a result is kept, for the same answer again.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    checkpoint_id: Digest,
    tags: Vec<String>,
    normalized_flavor: Option<String>,
    unsafe_weights: bool,
    #[serde(default)]
    dtype: Option<String>,
}

pub(super) fn finalize(
    on: &Connection,
    repo: &RepoName,
    id: &ServerId,
    now_s: u64,
) -> Result<Finalized, MetadataError> {
    let commit = read(on, repo, id)?.ok_or(MetadataError::Closed)?;
    let corrupt = |error: serde_json::Error| MetadataError::Corrupt { detail: format!("a commit: {error}") };
    if commit.state == DONE {
        let kept: Kept = serde_json::from_str(commit.result.as_deref().unwrap_or_default()).map_err(corrupt)?;
        let Kept { checkpoint_id, tags, normalized_flavor, unsafe_weights, dtype } = kept;
        return Ok(Finalized { checkpoint_id, tags, normalized_flavor, unsafe_weights, dtype });
    }
    if commit.state != OPEN || commit.expires_s <= stored(now_s) {
        return Err(MetadataError::Closed);
    }
    let body = commits::body(on, id.as_str())?.ok_or(MetadataError::Closed)?;
    all_here(on, id, &body)?;
    let repo = repos::make(on, repo, commit.private)?;
    let done = record(on, &repo, body, now_s)?;
    let Finalized { checkpoint_id, tags, normalized_flavor, unsafe_weights, dtype } = done.clone();
    let kept = Kept { checkpoint_id, tags, normalized_flavor, unsafe_weights, dtype };
    let kept = serde_json::to_string(&kept).map_err(corrupt)?;
    let mut end = on.prepare_cached("UPDATE commits SET state = ?2, result = ?3 WHERE id = ?1")?;
    end.execute(params![id.as_str(), DONE, kept])?;
    commits::end(on, id.as_str())?;
    Ok(done)
}

fn read(on: &Connection, repo: &RepoName, id: &ServerId) -> Result<Option<Stored>, MetadataError> {
    let mut find = on.prepare_cached(
        "SELECT private, state, result, expires_s FROM commits WHERE id = ?1 AND owner = ?2 AND name = ?3
             AND NOT EXISTS (SELECT 1 FROM sessions WHERE id = ?1)",
    )?;
    let found = find.query_row([id.as_str(), repo.owner(), repo.repo()], |row| {
        Ok(Stored { private: row.get(0)?, state: row.get(1)?, result: row.get(2)?, expires_s: row.get(3)? })
    });
    Ok(found.optional()?)
}

fn all_here(on: &Connection, id: &ServerId, body: &CommitCreate) -> Result<(), MetadataError> {
    let mut list = on.prepare_cached("SELECT blake3, here FROM pins WHERE commit_id = ?1")?;
    let rows = list.query_map([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let here: BTreeMap<String, bool> = rows.collect::<Result<_, _>>()?;
    let missing = body.operations.iter().filter_map(|operation| match operation {
        CommitOperation::Add { path, blake3, .. } if here.get(&blake3.to_string()) != Some(&true) => {
            Some(path.to_string())
        }
        _ => None,
    });
    let missing: Vec<String> = missing.collect();
    if missing.is_empty() { Ok(()) } else { Err(MetadataError::Missing(missing)) }
}

/// Makes a checkpoint of `body`, whose contents are all there.
pub(super) fn record(
    on: &Connection,
    repo: &Repo,
    mut body: CommitCreate,
    now_s: u64,
) -> Result<Finalized, MetadataError> {
    let (labels, normalized_flavor) = naming::labels(&body)?;
    let tags = naming::tags(&body)?;
    let tree = build(on, repo, &body, &labels)?;
    // What was said about the tree. The operations are what it is made of.
    body.operations = Vec::new();
    let digest = tree.digest();
    let unsafe_weights = tree::has_pickled_weights(&tree);
    let dtype = weights::dtype_of(on, &tree)?;
    insert(on, repo, &tree, unsafe_weights, dtype.as_deref(), &body, now_s)?;
    for label in &labels {
        let mut add = on.prepare_cached("INSERT OR IGNORE INTO labels (repo, digest, flavor) VALUES (?1, ?2, ?3)")?;
        add.execute(params![repo.id, digest.to_string(), label])?;
    }
    for (tag, default) in &tags {
        point(on, repo, tag, default.as_deref(), &labels, &digest)?;
    }
    repos::moved(on, repo)?;
    let tags = tags.into_iter().map(|(tag, _)| tag).collect();
    Ok(Finalized { checkpoint_id: digest, tags, normalized_flavor, unsafe_weights, dtype })
}

fn build(
    on: &Connection,
    repo: &Repo,
    body: &CommitCreate,
    labels: &BTreeSet<String>,
) -> Result<Snapshot, MetadataError> {
    let latest = |flavor: Option<&str>| -> Result<Option<String>, MetadataError> {
        let (rows, default) = repos::rows(on, repo, LATEST)?;
        Ok(select(&rows, default.as_deref(), flavor, Pickled::AsLast).map(|row| row.digest.clone()))
    };
    let base = match body.merge_base.as_ref().unwrap_or(&MergeBase::Latest) {
        MergeBase::Latest => latest(None)?,
        MergeBase::Flavor => latest(labels.first().map(String::as_str))?,
        MergeBase::Checkpoint(digest) => Some(digest.to_string()),
    };
    let copies = body.operations.iter().any(|operation| matches!(operation, CommitOperation::Copy { .. }));
    let base = match base {
        Some(digest) if body.mode == CommitMode::Merge || copies => repos::files(on, repo, &digest)?,
        _ => Vec::new(),
    };
    if matches!(body.merge_base, Some(MergeBase::Checkpoint(_))) && body.mode == CommitMode::Merge && base.is_empty() {
        return Err(MetadataError::Unfit("the repository has no such checkpoint to merge with".to_owned()));
    }
    let elsewhere = elsewhere(on, repo, &body.operations)?;
    tree::apply(&base, body.mode, &body.operations, &elsewhere).map_err(|error| MetadataError::Unfit(error.to_string()))
}

/// What operations copy from other checkpoints: these files alone, since each of the checkpoints may have as many as a tree has.
fn elsewhere(on: &Connection, repo: &Repo, operations: &[CommitOperation]) -> Result<Elsewhere, MetadataError> {
    let mut found = Elsewhere::new();
    for operation in operations {
        if let CommitOperation::Copy { from_path, from_checkpoint: Some(digest), .. } = operation
            && let Some(file) = repos::file(on, repo, &digest.to_string(), from_path)?
        {
            found.insert((*digest, from_path.clone()), file);
        }
    }
    Ok(found)
}

fn insert(
    on: &Connection,
    repo: &Repo,
    tree: &Snapshot,
    unsafe_weights: bool,
    dtype: Option<&str>,
    about: &CommitCreate,
    now_s: u64,
) -> Result<(), MetadataError> {
    let about = serde_json::to_string(about).map_err(|error| MetadataError::Unfit(error.to_string()))?;
    let (digest, alias) = (tree.digest().to_string(), tree.sha256_alias().to_string());
    let mut insert = on.prepare_cached(
        "INSERT OR IGNORE INTO checkpoints (repo, digest, sha256, size, unsafe_weights, dtype, created_s)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let size = stored(tree.size_bytes());
    if insert.execute(params![repo.id, digest, alias, size, unsafe_weights, dtype, stored(now_s)])? == 0 {
        // The same tree was committed before.
        return Ok(());
    }
    let mut keep = on.prepare_cached("INSERT INTO abouts (repo, digest, about) VALUES (?1, ?2, ?3)")?;
    keep.execute(params![repo.id, digest, about])?;
    let mut add =
        on.prepare_cached("INSERT INTO files (repo, digest, path, blake3, size) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for file in tree.files() {
        let (path, hash) = (file.path.as_str(), file.blake3.to_string());
        add.execute(params![repo.id, digest, path, hash, stored(file.size_bytes)])?;
    }
    Ok(())
}

fn point(
    on: &Connection,
    repo: &Repo,
    tag: &str,
    default: Option<&str>,
    labels: &BTreeSet<String>,
    digest: &Digest,
) -> Result<(), MetadataError> {
    let mut put = on.prepare_cached(
        "INSERT INTO tags (repo, tag, default_flavor) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET default_flavor = coalesce(excluded.default_flavor, default_flavor)",
    )?;
    put.execute(params![repo.id, tag, default])?;
    let mut row =
        on.prepare_cached("INSERT OR REPLACE INTO flavors (repo, tag, flavor, digest) VALUES (?1, ?2, ?3, ?4)")?;
    for label in labels {
        row.execute(params![repo.id, tag, label, digest.to_string()])?;
    }
    Ok(())
}
