//! Contents: where their bytes are, and who has them.

use gen_worker_hub::{Blake3Hash, model_ref::RepoName};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    datasets,
    row::{count, parse, stored},
    sessions,
};
use crate::metadata::{BlobRecord, Holder, MetadataError, Reader, Segment, Upload};

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

/// Whether `reader` may use content of which only the hash was shown: what they could read anyhow.
pub(super) fn readable(on: &Connection, hash: &Blake3Hash, size: u64, reader: &Reader) -> Result<bool, MetadataError> {
    let mut find = on.prepare_cached("SELECT EXISTS (SELECT 1 FROM blobs WHERE blake3 = ?1 AND size = ?2)")?;
    let is_there = find.query_row(params![hash.to_string(), stored(size)], |row| row.get(0))?;
    Ok(is_there && any_holder(on, hash, &mut |holder| reader.may_read(&holder))?)
}

/// Notes that content may have lost its last name, so that it is looked at once a grace from now has passed.
pub(super) fn touch(on: &Connection, hash: &Blake3Hash, now_s: u64) -> Result<(), MetadataError> {
    let mut touch = on.prepare_cached(
        "INSERT INTO idle (blake3, since_s) SELECT blake3, ?2 FROM blobs WHERE blake3 = ?1
         ON CONFLICT DO UPDATE SET since_s = max(since_s, excluded.since_s)",
    )?;
    touch.execute(params![hash.to_string(), stored(now_s)])?;
    Ok(())
}

pub(super) fn learn_sha256(on: &Connection, hash: &Blake3Hash, sha256: &str) -> Result<(), MetadataError> {
    let learn = "UPDATE blobs SET sha256 = coalesce(sha256, ?2) WHERE blake3 = ?1";
    on.prepare_cached(learn)?.execute([hash.to_string().as_str(), sha256])?;
    Ok(())
}

/// Makes the parts of an upload a blob. When the content came by another upload meanwhile, that one's bytes stay.
pub(super) fn adopt(on: &Connection, upload: &Upload, sha256: Option<&str>, now_s: u64) -> Result<(), MetadataError> {
    let (id, name) = (upload.new.id.as_str(), upload.new.blake3.to_string());
    let insert = "INSERT INTO blobs (blake3, size, sha256) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let values = params![name, stored(upload.new.size_bytes), sha256];
    let is_new = on.prepare_cached(insert)?.execute(values)? == 1;
    if is_new {
        let adopt = "INSERT INTO segments (key, blake3, number, size)
                     SELECT key, ?2, row_number() OVER (ORDER BY number), size FROM parts WHERE upload = ?1";
        on.prepare_cached(adopt)?.execute([id, &name])?;
    } else {
        on.prepare_cached("INSERT INTO doomed (key) SELECT key FROM parts WHERE upload = ?1")?.execute([id])?;
        if let Some(sha256) = sha256 {
            learn_sha256(on, &upload.new.blake3, sha256)?;
        }
    }
    touch(on, &upload.new.blake3, now_s)?;
    on.prepare_cached("DELETE FROM parts WHERE upload = ?1")?.execute([id])?;
    Ok(())
}

pub(super) fn holders(on: &Connection, hash: &Blake3Hash) -> Result<Vec<Holder>, MetadataError> {
    let mut holders = Vec::new();
    any_holder(on, hash, &mut |holder| {
        holders.push(holder);
        false
    })?;
    Ok(holders)
}

/// Whether one of the holders of a content is `wanted`. They are looked at one by one: common files have thousands.
pub(super) fn any_holder(
    on: &Connection,
    hash: &Blake3Hash,
    wanted: &mut dyn FnMut(Holder) -> bool,
) -> Result<bool, MetadataError> {
    let name = hash.to_string();
    let mut repos = on.prepare_cached(
        "SELECT owner, name, private FROM repos WHERE id IN (SELECT repo FROM files WHERE blake3 = ?1)",
    )?;
    let mut rows = repos.query([&name])?;
    while let Some(row) = rows.next()? {
        let (owner, repo): (String, String) = (row.get(0)?, row.get(1)?);
        let repo: RepoName = parse("owner, name", &format!("{owner}/{repo}"))?;
        if wanted(Holder::Repo { repo, private: row.get(2)? }) {
            return Ok(true);
        }
    }
    let mut media = on.prepare_cached("SELECT DISTINCT owner FROM media WHERE blake3 = ?1")?;
    let mut rows = media.query([&name])?;
    while let Some(row) = rows.next()? {
        if wanted(Holder::Media { owner: row.get(0)? }) {
            return Ok(true);
        }
    }
    let more = sessions::holders(on, &name)?.into_iter().chain(datasets::holders(on, &name)?);
    Ok(more.into_iter().any(wanted))
}

pub(super) fn media(on: &Connection, owner: &str, reference: &str) -> Result<Option<Blake3Hash>, MetadataError> {
    let mut find = on.prepare_cached("SELECT blake3 FROM media WHERE owner = ?1 AND ref = ?2")?;
    let found: Option<String> = find.query_row([owner, reference], |row| row.get(0)).optional()?;
    found.map(|hash| parse("blake3", &hash)).transpose()
}
