//! Uploads and their parts. Whoever changes one locks its row first.

use gen_worker_hub::ServerId;
use tokio_postgres::Row;

use super::{
    blobs, budgets,
    row::{column, counted, hash, parse, stored, values},
    transaction::{Lock, Transaction},
};
use crate::metadata::{Author, Budget, MetadataError, NewUpload, Part, Segment, Upload, UploadOpened, UploadOwner};

pub(super) async fn open(
    on: &Transaction,
    new: &NewUpload,
    author: &Author,
    now_s: u64,
) -> Result<UploadOpened, MetadataError> {
    match &new.owner {
        UploadOwner::Media { owner, reference, create } => {
            if *create && blobs::media(on, owner, reference).await?.is_some() {
                return Err(MetadataError::RefExists);
            }
            if blobs::readable(on, &new.blake3, new.size_bytes, &author.reader).await? {
                insert(on, &[new], None, None).await?;
                let (parts, sha256) = (Vec::new(), None);
                let upload = Upload { new: new.clone(), parts, complete: false, sha256, created: false };
                return Ok(UploadOpened::Known(Box::new(finish(on, upload, now_s).await?)));
            }
        }
        UploadOwner::Commit(commit) => {
            let sql = "SELECT 1 FROM hub.commits WHERE id = $1 AND state = 0 AND expires_s > $2 FOR SHARE";
            on.row(sql, values![commit.as_str(), stored(now_s)]).await?.ok_or(MetadataError::Closed)?;
        }
    }
    if let Some(budget) = &author.budget {
        budgets::charge(on, budget, &[new]).await?;
    }
    insert(on, &[new], author.budget.as_ref(), None).await?;
    Ok(UploadOpened::Wanted)
}

/// Inserts uploads that are counted in `budget`; for a session they have a path.
pub(super) async fn insert(
    on: &Transaction,
    uploads: &[&NewUpload],
    budget: Option<&Budget>,
    path: Option<&str>,
) -> Result<(), MetadataError> {
    if uploads.is_empty() {
        return Ok(());
    }
    let [mut ids, mut mimes] = [Vec::new(), Vec::new()];
    let [mut owners, mut references, mut commits] = [Vec::new(), Vec::new(), Vec::new()];
    let (mut creates, mut contents, [mut sizes, mut ends]) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
    for new in uploads {
        let (owner, reference, create, commit) = match &new.owner {
            UploadOwner::Media { owner, reference, create } => (Some(&**owner), Some(&**reference), *create, None),
            UploadOwner::Commit(commit) => (None, None, false, Some(commit.as_str())),
        };
        ids.push(new.id.as_str());
        mimes.push(new.mime_type.as_str());
        owners.push(owner);
        references.push(reference);
        creates.push(create);
        commits.push(commit);
        contents.push(new.blake3.as_bytes().as_slice());
        sizes.push(stored(new.size_bytes));
        ends.push(stored(new.expires_s));
    }
    let sql =
        "INSERT INTO hub.uploads (id, owner, ref, create_only, commit_id, blake3, size, mime, expires_s, job, path)
         SELECT u.*, $10, $11 FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::bytea[],
                                          $7::bigint[], $8::text[], $9::bigint[]) AS u";
    let job = budget.map(|budget| budget.job.as_str());
    let values = values![ids, owners, references, creates, commits, contents, sizes, mimes, ends, job, path];
    on.execute(sql, values).await.map(drop)
}

/// An upload that has not expired.
pub(super) async fn get(on: &Transaction, id: &ServerId, now_s: u64) -> Result<Option<Upload>, MetadataError> {
    find(on, id, now_s, "").await
}

/// The same; nobody else changes it before the end of the transaction.
pub(super) async fn locked(on: &Transaction, id: &ServerId, now_s: u64) -> Result<Option<Upload>, MetadataError> {
    find(on, id, now_s, "FOR UPDATE OF u").await
}

/// The same when it is not complete.
pub(super) async fn locked_open(on: &Transaction, id: &ServerId, now_s: u64) -> Result<Option<Upload>, MetadataError> {
    Ok(locked(on, id, now_s).await?.filter(|upload| !upload.complete))
}

async fn find(on: &Transaction, id: &ServerId, now_s: u64, lock: &str) -> Result<Option<Upload>, MetadataError> {
    let sql = format!(
        "SELECT owner, ref, create_only, commit_id, blake3, size, mime, expires_s, created, coalesce(sha256,
             (SELECT b.sha256 FROM hub.blobs AS b WHERE b.blake3 = u.blake3 AND u.created IS NOT NULL))
         FROM hub.uploads AS u WHERE id = $1 AND expires_s > $2 {lock}"
    );
    let Some(row) = on.row(&sql, values![id.as_str(), stored(now_s)]).await? else { return Ok(None) };
    let mut upload = upload(id, &row)?;
    if !upload.complete {
        upload.parts = parts(on, id).await?;
    }
    Ok(Some(upload))
}

fn upload(id: &ServerId, row: &Row) -> Result<Upload, MetadataError> {
    let (owner, reference): (Option<String>, Option<String>) = (column(row, 0)?, column(row, 1)?);
    let commit: Option<&str> = column(row, 3)?;
    let owner = match (owner, reference, commit) {
        (Some(owner), Some(reference), None) => UploadOwner::Media { owner, reference, create: column(row, 2)? },
        (None, None, Some(commit)) => UploadOwner::Commit(parse("commit_id", commit)?),
        _ => return Err(MetadataError::Corrupt { detail: "an upload is for nothing".to_owned() }),
    };
    let created: Option<bool> = column(row, 8)?;
    let new = NewUpload {
        id: id.clone(),
        owner,
        blake3: hash(row, 4)?,
        size_bytes: counted(row, 5)?,
        mime_type: column(row, 6)?,
        expires_s: counted(row, 7)?,
    };
    let (complete, created) = (created.is_some(), created.unwrap_or(false));
    Ok(Upload { new, parts: Vec::new(), complete, sha256: column(row, 9)?, created })
}

async fn parts(on: &Transaction, id: &ServerId) -> Result<Vec<Part>, MetadataError> {
    let sql = "SELECT number, key, size, chaining, sha256 FROM hub.parts WHERE upload = $1 ORDER BY number";
    let rows = on.rows(sql, values![id.as_str()]).await?;
    let part = |row: &Row| {
        let segment = Segment { key: column(row, 1)?, size_bytes: counted(row, 2)? };
        let number = u32::try_from(counted(row, 0)?);
        let number = number.map_err(|_| MetadataError::Corrupt { detail: "a part with no number".to_owned() })?;
        Ok(Part { number, segment, chaining: hash(row, 3)?, sha256: column(row, 4)? })
    };
    rows.iter().map(part).collect()
}

/// Records a part. False when the upload is not open: then the key is doomed, which has to stay, so that it is no error.
pub(super) async fn put_part(on: &Transaction, id: &ServerId, part: &Part, now_s: u64) -> Result<bool, MetadataError> {
    on.lock_shared(Lock::Records).await?;
    let Some(upload) = locked_open(on, id, now_s).await? else {
        blobs::doom(on, vec![part.segment.key.as_str()]).await?;
        return Ok(false);
    };
    record_part(on, &upload, part).await?;
    Ok(true)
}

/// Records a part of an open upload whose row is locked; who looks for objects is kept out already.
pub(super) async fn record_part(on: &Transaction, upload: &Upload, part: &Part) -> Result<(), MetadataError> {
    let earlier = upload.parts.iter().filter(|earlier| earlier.number == part.number);
    blobs::doom(on, earlier.map(|earlier| earlier.segment.key.as_str()).collect()).await?;
    let sql = "INSERT INTO hub.parts (upload, number, key, size, chaining, sha256) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (upload, number) DO UPDATE SET key = excluded.key, size = excluded.size,
             chaining = excluded.chaining, sha256 = excluded.sha256";
    let (id, number, key) = (upload.new.id.as_str(), i64::from(part.number), part.segment.key.as_str());
    let (size, chaining) = (stored(part.segment.size_bytes), part.chaining.as_bytes().as_slice());
    on.execute(sql, values![id, number, key, size, chaining, part.sha256]).await.map(drop)
}

pub(super) async fn complete(
    on: &Transaction,
    id: &ServerId,
    verified: &[String],
    sha256: Option<&str>,
    now_s: u64,
) -> Result<Upload, MetadataError> {
    let upload = locked(on, id, now_s).await?.ok_or(MetadataError::Closed)?;
    if upload.complete {
        return Ok(upload);
    }
    // Parts may come again at any time, also while their predecessors are being verified.
    if !upload.parts.iter().map(|part| &part.segment.key).eq(verified) {
        return Err(MetadataError::Changed);
    }
    blobs::adopt(on, &upload, sha256, now_s).await?;
    finish(on, upload, now_s).await
}

/// Records what the content, which is there and stays, was for.
async fn finish(on: &Transaction, mut upload: Upload, now_s: u64) -> Result<Upload, MetadataError> {
    let name = upload.new.blake3.as_bytes().as_slice();
    match &upload.new.owner {
        UploadOwner::Media { owner, reference, create } => {
            upload.created = put_media(on, (owner, reference), &upload.new, *create, now_s).await?;
        }
        UploadOwner::Commit(commit) => {
            let sql = "UPDATE hub.pins SET here = true WHERE commit_id = $1 AND blake3 = $2";
            if on.execute(sql, values![commit.as_str(), name]).await? == 0 {
                return Err(MetadataError::Closed);
            }
            upload.created = true;
        }
    }
    let sql = "UPDATE hub.uploads AS u SET created = $2, sha256 = b.sha256 FROM hub.blobs AS b
         WHERE u.id = $1 AND b.blake3 = u.blake3 RETURNING b.sha256";
    let row = on.row(sql, values![upload.new.id.as_str(), upload.created]).await?.ok_or(MetadataError::Closed)?;
    upload.sha256 = column(&row, 0)?;
    upload.complete = true;
    upload.parts.clear();
    Ok(upload)
}

/// Lets a ref stand for the content. True when it was not there.
async fn put_media(
    on: &Transaction,
    (owner, reference): (&str, &str),
    new: &NewUpload,
    create: bool,
    now_s: u64,
) -> Result<bool, MetadataError> {
    let (name, mime) = (new.blake3.as_bytes().as_slice(), new.mime_type.as_str());
    // Waits for whoever is about to make the same.
    let sql = "INSERT INTO hub.media (owner, ref, blake3, mime) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    if on.execute(sql, values![owner, reference, name, mime]).await? == 1 {
        return Ok(true);
    }
    if create {
        return Err(MetadataError::RefExists);
    }
    let sql = "SELECT blake3 FROM hub.media WHERE owner = $1 AND ref = $2 FOR UPDATE";
    if let Some(row) = on.row(sql, values![owner, reference]).await? {
        // Addresses of it live on for a while.
        blobs::touch(on, &[column(&row, 0)?], now_s).await?;
    }
    let sql = "UPDATE hub.media SET blake3 = $3, mime = $4 WHERE owner = $1 AND ref = $2";
    on.execute(sql, values![owner, reference, name, mime]).await?;
    Ok(false)
}

pub(super) async fn drop_open(on: &Transaction, id: &ServerId) -> Result<(), MetadataError> {
    let sql = "SELECT id FROM hub.uploads WHERE id = $1 AND created IS NULL FOR UPDATE";
    if on.row(sql, values![id.as_str()]).await?.is_some() {
        remove(on, &[id.as_str()]).await?;
    }
    Ok(())
}

/// Removes uploads whose rows are locked: what of them has come is doomed, what was counted for those that are not complete is
/// not counted any more. How many rows are gone.
pub(super) async fn remove(on: &Transaction, ids: &[&str]) -> Result<u64, MetadataError> {
    if ids.is_empty() {
        return Ok(0);
    }
    budgets::refund(on, ids).await?;
    let sql = "WITH gone AS (DELETE FROM hub.parts WHERE upload = ANY ($1) RETURNING key)
         INSERT INTO hub.doomed (key) SELECT key FROM gone ORDER BY key ON CONFLICT DO NOTHING";
    let parts = on.execute(sql, values![ids.to_vec()]).await?;
    let uploads = on.execute("DELETE FROM hub.uploads WHERE id = ANY ($1)", values![ids.to_vec()]).await?;
    Ok(parts.saturating_add(uploads))
}
