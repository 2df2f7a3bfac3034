//! Uploads and their parts.

use gen_worker_hub::{Blake3Hash, ServerId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    blobs, budgets,
    row::{count, parse, stored},
};
use crate::metadata::{Author, Budget, MetadataError, NewUpload, Part, Segment, Upload, UploadOpened, UploadOwner};

pub(super) fn open(
    on: &Connection,
    new: &NewUpload,
    author: &Author,
    now_s: u64,
) -> Result<UploadOpened, MetadataError> {
    if let UploadOwner::Media { owner, reference, create } = &new.owner {
        if *create && blobs::media(on, owner, reference)?.is_some() {
            return Err(MetadataError::RefExists);
        }
        if blobs::readable(on, &new.blake3, new.size_bytes, &author.reader)? {
            insert(on, new, None)?;
            let upload = Upload { new: new.clone(), parts: Vec::new(), complete: false, sha256: None, created: false };
            return Ok(UploadOpened::Known(Box::new(finish(on, upload, now_s)?)));
        }
    }
    if let Some(budget) = &author.budget {
        budgets::charge(on, budget, &new.blake3, new.size_bytes)?;
    }
    insert(on, new, author.budget.as_ref())?;
    Ok(UploadOpened::Wanted)
}

/// Inserts an upload that is counted in `budget`.
pub(super) fn insert(on: &Connection, new: &NewUpload, budget: Option<&Budget>) -> Result<(), MetadataError> {
    let (owner, reference, create, commit) = match &new.owner {
        UploadOwner::Media { owner, reference, create } => (Some(owner), Some(reference), *create, None),
        UploadOwner::Commit(commit) => (None, None, false, Some(commit.as_str())),
    };
    let mut insert = on.prepare_cached(
        "INSERT INTO uploads (id, owner, ref, create_only, commit_id, blake3, size, mime, expires_s, job)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let (hash, size) = (new.blake3.to_string(), stored(new.size_bytes));
    let (id, expires, job) = (new.id.as_str(), stored(new.expires_s), budget.map(|budget| &budget.job));
    insert.execute(params![id, owner, reference, create, commit, hash, size, new.mime_type, expires, job])?;
    Ok(())
}

pub(super) fn get(on: &Connection, id: &ServerId, now_s: u64) -> Result<Option<Upload>, MetadataError> {
    let mut find = on.prepare_cached(
        "SELECT owner, ref, create_only, commit_id, blake3, size, mime, expires_s, created,
             coalesce(sha256, (SELECT b.sha256 FROM blobs AS b WHERE b.blake3 = uploads.blake3 AND created IS NOT NULL))
         FROM uploads WHERE id = ?1 AND expires_s > ?2",
    )?;
    let found = find.query_row(params![id.as_str(), stored(now_s)], |row| Ok(upload(id, row))).optional()?;
    let Some(mut upload) = found.transpose()? else { return Ok(None) };
    upload.parts = parts(on, id)?;
    Ok(Some(upload))
}

fn upload(id: &ServerId, row: &Row<'_>) -> Result<Upload, MetadataError> {
    let (owner, reference): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
    let commit: Option<String> = row.get(3)?;
    let owner = match (owner, reference, commit) {
        (Some(owner), Some(reference), None) => UploadOwner::Media { owner, reference, create: row.get(2)? },
        (None, None, Some(commit)) => UploadOwner::Commit(parse("commit_id", &commit)?),
        _ => return Err(MetadataError::Corrupt { detail: "an upload is for nothing".to_owned() }),
    };
    let created: Option<bool> = row.get(8)?;
    Ok(Upload {
        new: NewUpload {
            id: id.clone(),
            owner,
            blake3: parse("blake3", &row.get::<_, String>(4)?)?,
            size_bytes: count("size", row.get(5)?)?,
            mime_type: row.get(6)?,
            expires_s: count("expires_s", row.get(7)?)?,
        },
        parts: Vec::new(),
        complete: created.is_some(),
        sha256: row.get(9)?,
        created: created.unwrap_or(false),
    })
}

fn parts(on: &Connection, id: &ServerId) -> Result<Vec<Part>, MetadataError> {
    let mut list =
        on.prepare_cached("SELECT number, key, size, chaining, sha256 FROM parts WHERE upload = ?1 ORDER BY number")?;
    let mut rows = list.query([id.as_str()])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let segment = Segment { key: row.get(1)?, size_bytes: count("size", row.get(2)?)? };
        let chaining: Blake3Hash = parse("chaining", &row.get::<_, String>(3)?)?;
        parts.push(Part { number: row.get(0)?, segment, chaining, sha256: row.get(4)? });
    }
    Ok(parts)
}

/// False when the upload is not open: then the key is doomed, which has to stay, so that it is no error of the transaction.
pub(super) fn put_part(on: &Connection, id: &ServerId, part: &Part, now_s: u64) -> Result<bool, MetadataError> {
    let doom = |key: &str| on.prepare_cached("INSERT OR IGNORE INTO doomed (key) VALUES (?1)")?.execute([key]);
    if get(on, id, now_s)?.is_none_or(|upload| upload.complete) {
        doom(&part.segment.key)?;
        return Ok(false);
    }
    let mut find = on.prepare_cached("SELECT key FROM parts WHERE upload = ?1 AND number = ?2")?;
    let earlier: Option<String> = find.query_row(params![id.as_str(), part.number], |row| row.get(0)).optional()?;
    if let Some(key) = earlier {
        doom(&key)?;
    }
    let mut put = on.prepare_cached(
        "INSERT OR REPLACE INTO parts (upload, number, key, size, chaining, sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let Segment { key, size_bytes } = &part.segment;
    let (size, chaining) = (stored(*size_bytes), part.chaining.to_string());
    put.execute(params![id.as_str(), part.number, key, size, chaining, part.sha256])?;
    Ok(true)
}

pub(super) fn complete(
    on: &Connection,
    id: &ServerId,
    verified: &[String],
    sha256: Option<&str>,
    now_s: u64,
) -> Result<Upload, MetadataError> {
    let upload = get(on, id, now_s)?.ok_or(MetadataError::Closed)?;
    if upload.complete {
        return Ok(upload);
    }
    // Parts may come again at any time, also while their predecessors are being verified.
    if !upload.parts.iter().map(|part| &part.segment.key).eq(verified) {
        return Err(MetadataError::Changed);
    }
    blobs::adopt(on, &upload, sha256, now_s)?;
    finish(on, upload, now_s)
}

/// Records what the content, which is there, was for.
fn finish(on: &Connection, mut upload: Upload, now_s: u64) -> Result<Upload, MetadataError> {
    let hash = upload.new.blake3.to_string();
    match &upload.new.owner {
        UploadOwner::Media { owner, reference, create } => {
            let earlier = blobs::media(on, owner, reference)?;
            upload.created = earlier.is_none();
            if *create && !upload.created {
                return Err(MetadataError::RefExists);
            }
            if let Some(earlier) = earlier {
                // Addresses of it live on for a while.
                blobs::touch(on, &earlier, now_s)?;
            }
            let mut put =
                on.prepare_cached("INSERT OR REPLACE INTO media (owner, ref, blake3, mime) VALUES (?1, ?2, ?3, ?4)")?;
            put.execute(params![owner, reference, hash, upload.new.mime_type])?;
        }
        UploadOwner::Commit(commit) => {
            let mut here = on.prepare_cached("UPDATE pins SET here = 1 WHERE commit_id = ?1 AND blake3 = ?2")?;
            if here.execute([commit.as_str(), &hash])? == 0 {
                return Err(MetadataError::Closed);
            }
            upload.created = true;
        }
    }
    let mut find = on.prepare_cached("SELECT sha256 FROM blobs WHERE blake3 = ?1")?;
    upload.sha256 = find.query_row([&hash], |row| row.get(0))?;
    upload.complete = true;
    upload.parts.clear();
    let mut done = on.prepare_cached("UPDATE uploads SET sha256 = ?2, created = ?3 WHERE id = ?1")?;
    done.execute(params![upload.new.id.as_str(), upload.sha256, upload.created])?;
    Ok(upload)
}

pub(super) fn drop_open(on: &Connection, id: &str) -> Result<(), MetadataError> {
    budgets::refund(on, id)?;
    let open = "upload IN (SELECT id FROM uploads WHERE id = ?1 AND created IS NULL)";
    on.prepare_cached(&format!("INSERT OR IGNORE INTO doomed (key) SELECT key FROM parts WHERE {open}"))?
        .execute([id])?;
    on.prepare_cached(&format!("DELETE FROM parts WHERE {open}"))?.execute([id])?;
    on.prepare_cached("DELETE FROM uploads WHERE id = ?1 AND created IS NULL")?.execute([id])?;
    Ok(())
}
