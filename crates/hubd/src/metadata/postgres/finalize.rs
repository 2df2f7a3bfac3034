//! A commit becomes a checkpoint: all of it in one transaction.

use std::collections::{BTreeSet, HashSet};

use gen_worker_hub::{
    Blake3Hash, Digest, RepoPath, ServerId, Snapshot,
    api::{CommitCreate, CommitMode, CommitOperation, MergeBase},
    model_ref::RepoName,
    snapshot::SnapshotFile,
};

use super::{
    commits::{self, DONE, OPEN},
    repos::{self, Repo},
    row::{column, hash, hashes, stored, values},
    transaction::Transaction,
    weights,
};
use crate::{
    metadata::{
        Finalized, MetadataError,
        naming::{self, LATEST},
    },
    selection::{Pickled, select},
    tree,
};

/// Files of one statement: few megabytes of values.
pub(super) const FILES_AT_ONCE: usize = 10_000;

pub(super) async fn finalize(
    on: &Transaction,
    name: &RepoName,
    id: &ServerId,
    now_s: u64,
) -> Result<Finalized, MetadataError> {
    let sql = "SELECT private, state, result, expires_s, body FROM hub.commits
         WHERE id = $1 AND owner = $2 AND name = $3 AND NOT session FOR UPDATE";
    let row = on.row(sql, values![id.as_str(), name.owner(), name.repo()]).await?.ok_or(MetadataError::Closed)?;
    let corrupt = |error: serde_json::Error| MetadataError::Corrupt { detail: format!("a commit: {error}") };
    let (private, state, expires_s): (bool, i64, i64) = (column(&row, 0)?, column(&row, 1)?, column(&row, 3)?);
    if state == DONE {
        let result: Option<&str> = column(&row, 2)?;
        return serde_json::from_str(result.unwrap_or_default()).map_err(corrupt);
    }
    if state != OPEN || expires_s <= stored(now_s) {
        return Err(MetadataError::Closed);
    }
    let body: Option<&str> = column(&row, 4)?;
    let body = commits::body(body.ok_or(MetadataError::Closed)?)?;
    all_here(on, id, &body).await?;
    let repo = repos::make(on, name, private).await?;
    let done = record(on, repo, body, now_s).await?;
    let kept = serde_json::to_string(&done).map_err(corrupt)?;
    let sql = "UPDATE hub.commits SET state = $2, result = $3 WHERE id = $1";
    on.execute(sql, values![id.as_str(), DONE, kept]).await?;
    // What it brought is in a tree now.
    commits::end(on, id.as_str(), None).await?;
    Ok(done)
}

async fn all_here(on: &Transaction, id: &ServerId, body: &CommitCreate) -> Result<(), MetadataError> {
    let rows = on.rows("SELECT blake3 FROM hub.pins WHERE commit_id = $1 AND here", values![id.as_str()]).await?;
    let here: HashSet<Blake3Hash> = rows.iter().map(|row| hash(row, 0)).collect::<Result<_, _>>()?;
    let missing = body.operations.iter().filter_map(|operation| match operation {
        CommitOperation::Add { path, blake3, .. } if !here.contains(blake3) => Some(path.to_string()),
        _ => None,
    });
    let missing: Vec<String> = missing.collect();
    if missing.is_empty() { Ok(()) } else { Err(MetadataError::Missing(missing)) }
}

/// Makes a checkpoint of `body`, whose contents are all there and stay.
pub(super) async fn record(
    on: &Transaction,
    repo: Repo,
    mut body: CommitCreate,
    now_s: u64,
) -> Result<Finalized, MetadataError> {
    let (labels, normalized_flavor) = naming::labels(&body)?;
    let tags = naming::tags(&body)?;
    let tree = build(on, repo, &body, &labels).await?;
    // What was said about the tree. The operations are what it is made of.
    body.operations = Vec::new();
    let digest = tree.digest();
    let unsafe_weights = tree::has_pickled_weights(&tree);
    let dtype = weights::dtype_of(on, &tree).await?;
    let checkpoint = insert(on, repo, &tree, (unsafe_weights, dtype.as_deref()), &body, now_s).await?;
    let all: Vec<&str> = labels.iter().map(String::as_str).collect();
    let sql = "INSERT INTO hub.labels (checkpoint, flavor) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING";
    on.execute(sql, values![checkpoint, all]).await?;
    for (tag, default) in &tags {
        let sql = "INSERT INTO hub.tags AS t (repo, tag, default_flavor) VALUES ($1, $2, $3) ON CONFLICT (repo, tag)
             DO UPDATE SET default_flavor = coalesce(excluded.default_flavor, t.default_flavor)";
        on.execute(sql, values![repo.id, tag.as_str(), default.as_deref()]).await?;
        let sql = "INSERT INTO hub.flavors (repo, tag, flavor, checkpoint) SELECT $1, $2, unnest($3::text[]), $4
             ON CONFLICT (repo, tag, flavor) DO UPDATE SET checkpoint = excluded.checkpoint";
        on.execute(sql, values![repo.id, tag.as_str(), all, checkpoint]).await?;
    }
    repos::moved(on, repo).await?;
    let tags = tags.into_iter().map(|(tag, _)| tag).collect();
    Ok(Finalized { checkpoint_id: digest, tags, normalized_flavor, unsafe_weights, dtype })
}

async fn build(
    on: &Transaction,
    repo: Repo,
    body: &CommitCreate,
    labels: &BTreeSet<String>,
) -> Result<Snapshot, MetadataError> {
    let unfit = |error: tree::TreeError| MetadataError::Unfit(error.to_string());
    let base = base(on, repo, body, labels).await?;
    let from_elsewhere = body.operations.iter().filter_map(|operation| match operation {
        CommitOperation::Copy { from_path, from_checkpoint: Some(digest), .. } => Some((*digest, from_path)),
        _ => None,
    });
    let wanted: Vec<(Digest, &RepoPath)> = from_elsewhere.collect();
    let elsewhere = repos::elsewhere(on, repo, &wanted).await?;
    tree::apply(&base, body.mode, &body.operations, &elsewhere).map_err(unfit)
}

/// The files of the checkpoint that the commit builds on, when it needs them.
async fn base(
    on: &Transaction,
    repo: Repo,
    body: &CommitCreate,
    labels: &BTreeSet<String>,
) -> Result<Vec<SnapshotFile>, MetadataError> {
    let merges = body.mode == CommitMode::Merge;
    if !merges && !body.operations.iter().any(|operation| matches!(operation, CommitOperation::Copy { .. })) {
        return Ok(Vec::new());
    }
    let flavor = match body.merge_base.as_ref().unwrap_or(&MergeBase::Latest) {
        MergeBase::Latest => None,
        MergeBase::Flavor => labels.first().map(String::as_str),
        MergeBase::Checkpoint(digest) => {
            let files = repos::files(on, repo, &digest.to_string()).await?;
            if merges && files.is_empty() {
                let why = "the repository has no such checkpoint to merge with";
                return Err(MetadataError::Unfit(why.to_owned()));
            }
            return Ok(files);
        }
    };
    let (rows, default) = repos::rows(on, repo, LATEST).await?;
    match select(&rows, default.as_deref(), flavor, Pickled::AsLast) {
        Some(row) => repos::files(on, repo, &row.digest).await,
        None => Ok(Vec::new()),
    }
}

/// The row of the checkpoint of `tree`; it may have been committed before.
async fn insert(
    on: &Transaction,
    repo: Repo,
    tree: &Snapshot,
    (unsafe_weights, dtype): (bool, Option<&str>),
    about: &CommitCreate,
    now_s: u64,
) -> Result<i64, MetadataError> {
    let about = serde_json::to_string(about).map_err(|error| MetadataError::Unfit(error.to_string()))?;
    let (digest, alias) = (tree.digest().to_string(), tree.sha256_alias().to_string());
    // Whoever commits to the repository has its row.
    let find = "SELECT id FROM hub.checkpoints WHERE repo = $1 AND digest = $2";
    if let Some(row) = on.row(find, values![repo.id, digest]).await? {
        return column(&row, 0);
    }
    let sql = "INSERT INTO hub.checkpoints (repo, digest, sha256, size, unsafe_weights, dtype, about, created_s)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id";
    let (size, now_s) = (stored(tree.size_bytes()), stored(now_s));
    let values = values![repo.id, digest, alias, size, unsafe_weights, dtype, about, now_s];
    let gone = || MetadataError::Corrupt { detail: "a checkpoint is gone".to_owned() };
    let checkpoint: i64 = column(&on.row(sql, values).await?.ok_or_else(gone)?, 0)?;
    for files in tree.files().chunks(FILES_AT_ONCE) {
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let sizes: Vec<i64> = files.iter().map(|file| stored(file.size_bytes)).collect();
        let contents = hashes(files.iter().map(|file| &file.blake3));
        let sql = "INSERT INTO hub.files (checkpoint, path, blake3, size)
             SELECT $1, f.* FROM unnest($2::text[], $3::bytea[], $4::bigint[]) AS f";
        on.execute(sql, values![checkpoint, paths, contents, sizes]).await?;
    }
    Ok(checkpoint)
}
