//! Contents: where their bytes are, and who has them.

use gen_worker_hub::{Blake3Hash, model_ref::RepoName};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    datasets,
    row::{count, parse, stored},
    sessions,
};
use crate::metadata::{BlobRecord, Holder, MetadataError, Segment, Upload};

pub(super) fn get(on: &Connection, hash: &Blake3Hash) -> Result<Option<BlobRecord>, MetadataError> {
    let name = hash.to_string();
    let mut find = on.prepare_cached("SELECT size, sha256 FROM blobs WHERE blake3 = ?1")?;
    let found = find.query_row([&name], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?;
    let Some((size, sha256)) = found else { return Ok(None) };
    let mut parts = on.prepare_cached("SELECT key, size FROM segments WHERE blake3 = ?1 ORDER BY number")?;
    let rows = parts.query_map([&name], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    let mut segments = Vec::new();
    for row in rows {
        let (key, size) = row?;
        segments.push(Segment { key, size_bytes: count("size", size)? });
    }
    Ok(Some(BlobRecord { blake3: *hash, size_bytes: count("size", size)?, sha256, segments }))
}

/// Whether `owner` may use content of which only the hash was shown: it is public, or among the owner's own.
pub(super) fn readable(on: &Connection, hash: &Blake3Hash, size: u64, owner: &str) -> Result<bool, MetadataError> {
    let mut find = on.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM blobs WHERE blake3 = ?1 AND size = ?2) AND (
             EXISTS (SELECT 1 FROM media WHERE blake3 = ?1 AND owner = ?3)
             OR EXISTS (SELECT 1 FROM files JOIN repos ON repos.id = files.repo
                        WHERE files.blake3 = ?1 AND (repos.private = 0 OR repos.owner = ?3)))",
    )?;
    Ok(find.query_row(params![hash.to_string(), stored(size), owner], |row| row.get(0))?)
}

/// Notes that content is in use, so that it is not collected for a grace from now.
pub(super) fn touch(on: &Connection, hash: &Blake3Hash, now_s: u64) -> Result<(), MetadataError> {
    let mut touch = on.prepare_cached("UPDATE blobs SET used_s = max(used_s, ?2) WHERE blake3 = ?1")?;
    touch.execute(params![hash.to_string(), stored(now_s)])?;
    Ok(())
}

/// Makes the parts of an upload a blob. When the content came by another upload meanwhile, that one's bytes stay.
pub(super) fn adopt(on: &Connection, upload: &Upload, sha256: Option<&str>, now_s: u64) -> Result<(), MetadataError> {
    let (id, name) = (upload.new.id.as_str(), upload.new.blake3.to_string());
    let insert = "INSERT INTO blobs (blake3, size, sha256, used_s) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let values = params![name, stored(upload.new.size_bytes), sha256, stored(now_s)];
    let is_new = on.prepare_cached(insert)?.execute(values)? == 1;
    if is_new {
        let adopt = "INSERT INTO segments (key, blake3, number, size)
                     SELECT key, ?2, number, size FROM parts WHERE upload = ?1";
        on.prepare_cached(adopt)?.execute([id, &name])?;
    } else {
        on.prepare_cached("INSERT INTO doomed (key) SELECT key FROM parts WHERE upload = ?1")?.execute([id])?;
        let learn = "UPDATE blobs SET sha256 = coalesce(sha256, ?2) WHERE blake3 = ?1";
        on.prepare_cached(learn)?.execute(params![name, sha256])?;
        touch(on, &upload.new.blake3, now_s)?;
    }
    on.prepare_cached("DELETE FROM parts WHERE upload = ?1")?.execute([id])?;
    Ok(())
}

pub(super) fn holders(on: &Connection, hash: &Blake3Hash) -> Result<Vec<Holder>, MetadataError> {
    let name = hash.to_string();
    let mut holders = Vec::new();
    let mut repos = on.prepare_cached(
        "SELECT owner, name, private FROM repos WHERE id IN (SELECT repo FROM files WHERE blake3 = ?1)",
    )?;
    let rows = repos.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for row in rows {
        let (owner, repo, private): (String, String, bool) = row?;
        let repo: RepoName = parse("owner, name", &format!("{owner}/{repo}"))?;
        holders.push(Holder::Repo { repo, private });
    }
    let mut media = on.prepare_cached("SELECT DISTINCT owner FROM media WHERE blake3 = ?1")?;
    for owner in media.query_map([&name], |row| row.get(0))? {
        holders.push(Holder::Media { owner: owner? });
    }
    holders.extend(sessions::holders(on, &name)?);
    holders.extend(datasets::holders(on, &name)?);
    Ok(holders)
}

pub(super) fn media(on: &Connection, owner: &str, reference: &str) -> Result<Option<Blake3Hash>, MetadataError> {
    let mut find = on.prepare_cached("SELECT blake3 FROM media WHERE owner = ?1 AND ref = ?2")?;
    let found: Option<String> = find.query_row([owner, reference], |row| row.get(0)).optional()?;
    found.map(|hash| parse("blake3", &hash)).transpose()
}
