//! What the headers of safetensors files show (Hub contract, 6.20).

use std::collections::{BTreeMap, HashSet};

use gen_worker_hub::{Blake3Hash, ServerId, Snapshot, api::CommitOperation, model_ref::RepoName};
use rusqlite::Connection;

use super::{commits, row::count};
use crate::{
    metadata::{Dtypes, MetadataError},
    safetensors,
};

/// Contents of an open commit whose headers have not been read.
pub(super) fn unread(on: &Connection, repo: &RepoName, id: &ServerId) -> Result<Vec<Blake3Hash>, MetadataError> {
    let mut find =
        on.prepare_cached("SELECT EXISTS (SELECT 1 FROM commits WHERE id = ?1 AND owner = ?2 AND name = ?3)")?;
    let known: bool = find.query_row([id.as_str(), repo.owner(), repo.repo()], |row| row.get(0))?;
    let body = if known { commits::body(on, id.as_str())? } else { None };
    let Some(body) = body else { return Ok(Vec::new()) };
    let mut wanted = on.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM pins WHERE commit_id = ?1 AND blake3 = ?2 AND here = 1)
             AND NOT EXISTS (SELECT 1 FROM weights WHERE blake3 = ?2)",
    )?;
    let (mut seen, mut unread) = (HashSet::new(), Vec::new());
    for operation in &body.operations {
        if let CommitOperation::Add { path, blake3, .. } = operation
            && safetensors::is_named(path)
            && seen.insert(*blake3)
            && wanted.query_row([id.as_str(), &blake3.to_string()], |row| row.get(0))?
        {
            unread.push(*blake3);
        }
    }
    Ok(unread)
}

/// Those of `contents` that are there and whose headers have not been read.
pub(super) fn unread_among(on: &Connection, contents: Vec<Blake3Hash>) -> Result<Vec<Blake3Hash>, MetadataError> {
    let mut wanted = on.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM blobs WHERE blake3 = ?1) AND NOT EXISTS (SELECT 1 FROM weights WHERE blake3 = ?1)",
    )?;
    let mut unread = Vec::new();
    for hash in contents {
        if wanted.query_row([hash.to_string()], |row| row.get(0))? {
            unread.push(hash);
        }
    }
    Ok(unread)
}

/// Records what a header shows. A content that is gone meanwhile is no error.
pub(super) fn put(on: &Connection, hash: &Blake3Hash, dtypes: &Dtypes) -> Result<(), MetadataError> {
    let corrupt = |error: serde_json::Error| MetadataError::Corrupt { detail: format!("types: {error}") };
    let text = serde_json::to_string(dtypes).map_err(corrupt)?;
    let mut put = on.prepare_cached(
        "INSERT OR REPLACE INTO weights (blake3, dtypes) SELECT blake3, ?2 FROM blobs WHERE blake3 = ?1",
    )?;
    put.execute([hash.to_string(), text])?;
    Ok(())
}

/// The type that most tensors of a tree have.
pub(super) fn dtype_of(on: &Connection, tree: &Snapshot) -> Result<Option<String>, MetadataError> {
    let mut each = on.prepare_cached("SELECT key, value FROM weights, json_each(dtypes) WHERE blake3 = ?1")?;
    let mut all: Dtypes = BTreeMap::new();
    for file in tree.files().iter().filter(|file| safetensors::is_named(&file.path)) {
        let mut rows = each.query([file.blake3.to_string()])?;
        while let Some(row) = rows.next()? {
            let tensors = count("dtypes", row.get(1)?)?;
            let sum = all.entry(row.get(0)?).or_default();
            *sum = sum.saturating_add(tensors);
        }
    }
    Ok(safetensors::prevalent(&all))
}
