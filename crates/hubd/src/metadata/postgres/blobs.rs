//! Contents: where their bytes are, and who has them.
//!
//! A content is collected under an exclusive lock on its row, after a look at all names. Whoever is about to name one locks the
//! row in the weakest way first, so that it is there until the name is.

use std::collections::{HashMap, HashSet};

use gen_worker_hub::{Blake3Hash, model_ref::RepoName};
use tokio_postgres::Row;

use super::{
    row::{column, counted, hash, hashes, parse, stored, values},
    transaction::Transaction,
};
use crate::metadata::{BlobRecord, Holder, MetadataError, Reader, Segment, Upload};

/// Kinds of `hub.holders`.
const REPO: i64 = 0;
const MEDIA: i64 = 1;
const DATASET: i64 = 2;

pub(super) async fn get(on: &Transaction, blob: &Blake3Hash) -> Result<Option<BlobRecord>, MetadataError> {
    let name = blob.as_bytes().as_slice();
    let Some(row) = on.row("SELECT size, sha256 FROM hub.blobs WHERE blake3 = $1", values![name]).await? else {
        return Ok(None);
    };
    let sql = "SELECT key, size FROM hub.segments WHERE blake3 = $1 ORDER BY number";
    let segments = on.rows(sql, values![name]).await?;
    let segment = |row: &Row| Ok(Segment { key: column(row, 0)?, size_bytes: counted(row, 1)? });
    let segments = segments.iter().map(segment).collect::<Result<_, MetadataError>>()?;
    Ok(Some(BlobRecord { blake3: *blob, size_bytes: counted(&row, 0)?, sha256: column(&row, 1)?, segments }))
}

/// Whether `reader` may use content of which only the hash was shown: what they could read anyhow. It stays until the end of the
/// transaction.
pub(super) async fn readable(
    on: &Transaction,
    blob: &Blake3Hash,
    size: u64,
    reader: &Reader,
) -> Result<bool, MetadataError> {
    Ok(!readable_among(on, &[(*blob, size)], reader).await?.is_empty())
}

/// Those of `contents` that are there, with this size, and that `reader` may read. They stay until the end of the transaction.
pub(super) async fn readable_among(
    on: &Transaction,
    contents: &[(Blake3Hash, u64)],
    reader: &Reader,
) -> Result<HashSet<Blake3Hash>, MetadataError> {
    let here = present(on, contents).await?;
    if here.is_empty() {
        return Ok(here);
    }
    let among = hashes(&here);
    let holders = on.rows(HOLDERS, values![among]).await?;
    let (mut kinds, mut owners, mut names, mut private) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in &holders {
        if reader.may_read(&holder(row)?) {
            kinds.push(column::<i64>(row, 0)?);
            owners.push(column::<&str>(row, 1)?);
            names.push(column::<&str>(row, 2)?);
            private.push(column::<bool>(row, 3)?);
        }
    }
    if kinds.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = "SELECT DISTINCT h.blake3 FROM hub.holders AS h
         JOIN unnest($2::bigint[], $3::text[], $4::text[], $5::boolean[]) AS a (kind, owner, name, private)
         USING (kind, owner, name, private) WHERE h.blake3 = ANY ($1)";
    let rows = on.rows(sql, values![among, kinds, owners, names, private]).await?;
    rows.iter().map(|row| hash(row, 0)).collect()
}

/// Those of `contents` that are there with this size. They stay until the end of the transaction.
pub(super) async fn present(
    on: &Transaction,
    contents: &[(Blake3Hash, u64)],
) -> Result<HashSet<Blake3Hash>, MetadataError> {
    if contents.is_empty() {
        return Ok(HashSet::new());
    }
    let sizes: HashMap<Blake3Hash, u64> = contents.iter().copied().collect();
    // Always in the same order, so that nobody waits in a circle.
    let sql = "SELECT blake3, size FROM hub.blobs WHERE blake3 = ANY ($1) ORDER BY blake3 FOR KEY SHARE";
    let rows = on.rows(sql, values![hashes(sizes.keys())]).await?;
    let mut here = HashSet::with_capacity(rows.len());
    for row in &rows {
        let blob = hash(row, 0)?;
        if sizes.get(&blob) == Some(&counted(row, 1)?) {
            here.insert(blob);
        }
    }
    Ok(here)
}

/// Notes that contents may have lost their last name, so that they are looked at once a grace from now has passed.
pub(super) async fn touch(on: &Transaction, blobs: &[&[u8]], now_s: u64) -> Result<(), MetadataError> {
    if blobs.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO hub.idle AS i (blake3, since_s)
         SELECT blake3, $2 FROM hub.blobs WHERE blake3 = ANY ($1) ORDER BY blake3
         ON CONFLICT (blake3) DO UPDATE SET since_s = greatest(i.since_s, excluded.since_s)";
    on.execute(sql, values![blobs.to_vec(), stored(now_s)]).await.map(drop)
}

/// Dooms objects.
pub(super) async fn doom(on: &Transaction, keys: Vec<&str>) -> Result<(), MetadataError> {
    if keys.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO hub.doomed (key) SELECT key FROM unnest($1::text[]) AS k (key) ORDER BY key ON CONFLICT DO NOTHING";
    on.execute(sql, values![keys]).await.map(drop)
}

pub(super) async fn learn_sha256(on: &Transaction, blob: &Blake3Hash, sha256: &str) -> Result<(), MetadataError> {
    let sql = "UPDATE hub.blobs SET sha256 = coalesce(sha256, $2) WHERE blake3 = $1";
    on.execute(sql, values![blob.as_bytes().as_slice(), sha256]).await.map(drop)
}

/// Makes the parts of an upload a blob. When the content came by another upload meanwhile, that one's bytes stay.
pub(super) async fn adopt(
    on: &Transaction,
    upload: &Upload,
    sha256: Option<&str>,
    now_s: u64,
) -> Result<(), MetadataError> {
    let (id, name) = (upload.new.id.as_str(), upload.new.blake3.as_bytes().as_slice());
    // Locks the row also when it is there, so that the next statement sees whether it has bytes.
    let sql = "INSERT INTO hub.blobs AS b (blake3, size, sha256) VALUES ($1, $2, $3)
         ON CONFLICT (blake3) DO UPDATE SET sha256 = coalesce(b.sha256, excluded.sha256)";
    on.execute(sql, values![name, stored(upload.new.size_bytes), sha256]).await?;
    let sql = "INSERT INTO hub.segments (key, blake3, number, size) SELECT key, $2, row_number() OVER (ORDER BY number), size FROM hub.parts
         WHERE upload = $1 AND NOT EXISTS (SELECT 1 FROM hub.segments WHERE blake3 = $2)";
    if on.execute(sql, values![id, name]).await? == 0 {
        doom(on, upload.parts.iter().map(|part| part.segment.key.as_str()).collect()).await?;
    }
    touch(on, &[name], now_s).await?;
    on.execute("DELETE FROM hub.parts WHERE upload = $1", values![id]).await.map(drop)
}

/// All who have one of these contents, each once.
const HOLDERS: &str = "SELECT DISTINCT kind, owner, name, private FROM hub.holders WHERE blake3 = ANY ($1)";

pub(super) async fn holders(on: &Transaction, blob: &Blake3Hash) -> Result<Vec<Holder>, MetadataError> {
    let rows = on.rows(HOLDERS, values![hashes([blob])]).await?;
    rows.iter().map(holder).collect()
}

fn holder(row: &Row) -> Result<Holder, MetadataError> {
    let (owner, name, private): (String, String, bool) = (column(row, 1)?, column(row, 2)?, column(row, 3)?);
    match column(row, 0)? {
        REPO => {
            let repo: RepoName = parse("owner, name", &format!("{owner}/{name}"))?;
            Ok(Holder::Repo { repo, private })
        }
        MEDIA => Ok(Holder::Media { owner }),
        DATASET => Ok(Holder::Dataset { owner, name, private }),
        _ => Err(MetadataError::Corrupt { detail: "a holder of no kind".to_owned() }),
    }
}

pub(super) async fn media(on: &Transaction, owner: &str, reference: &str) -> Result<Option<Blake3Hash>, MetadataError> {
    let row = on.row("SELECT blake3 FROM hub.media WHERE owner = $1 AND ref = $2", values![owner, reference]).await?;
    row.map(|row| hash(&row, 0)).transpose()
}
