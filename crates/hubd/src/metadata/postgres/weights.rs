//! What the headers of safetensors files show (Hub contract, 6.20).

use std::collections::{BTreeMap, HashMap, HashSet};

use gen_worker_hub::{Blake3Hash, ServerId, Snapshot, api::CommitOperation, model_ref::RepoName};

use super::{
    commits,
    row::{column, hash, hashes, values},
    transaction::Transaction,
};
use crate::{
    metadata::{Dtypes, MetadataError},
    safetensors,
};

/// Contents of an open commit whose headers have not been read.
pub(super) async fn unread(on: &Transaction, repo: &RepoName, id: &ServerId) -> Result<Vec<Blake3Hash>, MetadataError> {
    let sql = "SELECT body FROM hub.commits WHERE id = $1 AND owner = $2 AND name = $3";
    let row = on.row(sql, values![id.as_str(), repo.owner(), repo.repo()]).await?;
    let Some(row) = row else { return Ok(Vec::new()) };
    let Some(body) = column::<Option<&str>>(&row, 0)? else { return Ok(Vec::new()) };
    let body = commits::body(body)?;
    let mut seen = HashSet::new();
    let named = body.operations.iter().filter_map(|operation| match operation {
        CommitOperation::Add { path, blake3, .. } if safetensors::is_named(path) => Some(*blake3),
        _ => None,
    });
    let named: Vec<Blake3Hash> = named.filter(|blake3| seen.insert(*blake3)).collect();
    let sql = "SELECT blake3 FROM hub.pins AS p WHERE commit_id = $1 AND here AND blake3 = ANY ($2)
         AND NOT EXISTS (SELECT 1 FROM hub.weights AS w WHERE w.blake3 = p.blake3)";
    let rows = on.rows(sql, values![id.as_str(), hashes(&named)]).await?;
    rows.iter().map(|row| hash(row, 0)).collect()
}

/// Those of `contents` that are there and whose headers have not been read.
pub(super) async fn unread_among(on: &Transaction, contents: &[Blake3Hash]) -> Result<Vec<Blake3Hash>, MetadataError> {
    let sql = "SELECT blake3 FROM hub.blobs AS b WHERE blake3 = ANY ($1)
         AND NOT EXISTS (SELECT 1 FROM hub.weights AS w WHERE w.blake3 = b.blake3)";
    let rows = on.rows(sql, values![hashes(contents)]).await?;
    rows.iter().map(|row| hash(row, 0)).collect()
}

/// Records what a header shows. A content that is gone meanwhile is no error.
pub(super) async fn put(on: &Transaction, blob: &Blake3Hash, dtypes: &Dtypes) -> Result<(), MetadataError> {
    let text = serde_json::to_string(dtypes).map_err(corrupt)?;
    let sql = "WITH here AS (SELECT blake3 FROM hub.blobs WHERE blake3 = $1 FOR KEY SHARE)
         INSERT INTO hub.weights (blake3, dtypes) SELECT blake3, $2 FROM here
         ON CONFLICT (blake3) DO UPDATE SET dtypes = excluded.dtypes";
    on.execute(sql, values![blob.as_bytes().as_slice(), text]).await.map(drop)
}

/// The type that most tensors of a tree have.
pub(super) async fn dtype_of(on: &Transaction, tree: &Snapshot) -> Result<Option<String>, MetadataError> {
    let named = || tree.files().iter().filter(|file| safetensors::is_named(&file.path)).map(|file| &file.blake3);
    let distinct: HashSet<&Blake3Hash> = named().collect();
    if distinct.is_empty() {
        return Ok(None);
    }
    let sql = "SELECT blake3, dtypes FROM hub.weights WHERE blake3 = ANY ($1)";
    let mut read: HashMap<Blake3Hash, Dtypes> = HashMap::new();
    for row in &on.rows(sql, values![hashes(distinct)]).await? {
        read.insert(hash(row, 0)?, serde_json::from_str(column(row, 1)?).map_err(corrupt)?);
    }
    let mut all: Dtypes = BTreeMap::new();
    for (dtype, tensors) in named().filter_map(|blake3| read.get(blake3)).flatten() {
        let sum = all.entry(dtype.clone()).or_default();
        *sum = sum.saturating_add(*tensors);
    }
    Ok(safetensors::prevalent(&all))
}

fn corrupt(error: serde_json::Error) -> MetadataError {
    MetadataError::Corrupt { detail: format!("types: {error}") }
}
