//! Datasets and the contents that they hold.

use std::collections::HashSet;

use futures::FutureExt as _;
use gen_worker_hub::{Blake3Hash, ServerId, snapshot::SnapshotFile};
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::Row;

use super::{
    PostgresMetadata, blobs,
    row::{column, hash, hashes, parse, values},
    transaction::{Lock, Transaction},
};
use crate::metadata::{Answer, DatasetChange, DatasetRecord, Datasets, MetadataError, Reader, datasets::check_owned};

/// What is read of a row.
const COLUMNS: &str = "id, owner, name, private, schema, row_artifacts";

impl Datasets for PostgresMetadata {
    fn create_dataset(
        &self,
        new: DatasetRecord,
        files: Vec<SnapshotFile>,
        reader: Reader,
        now_s: u64,
    ) -> Answer<'_, ()> {
        self.call("create a dataset", (new, files, reader, now_s), |on, (new, files, reader, now_s)| {
            create(on, new, files, reader, *now_s).boxed()
        })
    }

    fn change_dataset(
        &self,
        id: ServerId,
        change: DatasetChange,
        reader: Reader,
        now_s: u64,
    ) -> Answer<'_, Option<DatasetRecord>> {
        self.call("change a dataset", (id, change, reader, now_s), |on, (id, change, reader, now_s)| {
            update(on, id, change, reader, *now_s).boxed()
        })
    }

    fn dataset(&self, id: ServerId) -> Answer<'_, Option<DatasetRecord>> {
        self.read("read a dataset", id, |on, id| find(on, id, "").boxed())
    }

    fn datasets(&self, owner: String) -> Answer<'_, Vec<DatasetRecord>> {
        self.read("list datasets", owner, |on, owner| list(on, owner).boxed())
    }
}

fn record(row: &Row) -> Result<DatasetRecord, MetadataError> {
    let artifacts: Option<&str> = column(row, 5)?;
    Ok(DatasetRecord {
        id: parse("id", column(row, 0)?)?,
        owner: column(row, 1)?,
        name: column(row, 2)?,
        private: column(row, 3)?,
        schema: from_json("schema", column(row, 4)?)?,
        row_artifacts: artifacts.map(|text| from_json("row_artifacts", text)).transpose()?,
    })
}

fn from_json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, MetadataError> {
    serde_json::from_str(text).map_err(|error| MetadataError::Corrupt { detail: format!("column {column}: {error}") })
}

fn to_json(value: &impl Serialize) -> Result<String, MetadataError> {
    serde_json::to_string(value).map_err(|error| MetadataError::Unfit(error.to_string()))
}

async fn find(on: &Transaction, id: &ServerId, lock: &str) -> Result<Option<DatasetRecord>, MetadataError> {
    let sql = format!("SELECT {COLUMNS} FROM hub.datasets WHERE id = $1 {lock}");
    on.row(&sql, values![id.as_str()]).await?.map(|row| record(&row)).transpose()
}

async fn list(on: &Transaction, owner: &str) -> Result<Vec<DatasetRecord>, MetadataError> {
    let sql = format!("SELECT {COLUMNS} FROM hub.datasets WHERE owner = $1 ORDER BY folded");
    on.rows(&sql, values![owner]).await?.iter().map(record).collect()
}

async fn create(
    on: &Transaction,
    new: &DatasetRecord,
    files: &[SnapshotFile],
    reader: &Reader,
    now_s: u64,
) -> Result<(), MetadataError> {
    let artifacts = new.row_artifacts.as_ref().map(to_json).transpose()?;
    let (folded, schema) = (new.name.to_lowercase(), to_json(&new.schema)?);
    let sql = "INSERT INTO hub.datasets (id, owner, name, folded, private, schema, row_artifacts)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (owner, folded) DO NOTHING";
    let (id, owner, name) = (new.id.as_str(), new.owner.as_str(), new.name.as_str());
    if on.execute(sql, values![id, owner, name, folded, new.private, schema, artifacts]).await? == 0 {
        return Err(MetadataError::RefExists);
    }
    hold(on, &new.id, files, reader, now_s).await?;
    check_room(on, owner).await
}

async fn update(
    on: &Transaction,
    id: &ServerId,
    change: &DatasetChange,
    reader: &Reader,
    now_s: u64,
) -> Result<Option<DatasetRecord>, MetadataError> {
    let Some(mut record) = find(on, id, "FOR UPDATE").await? else { return Ok(None) };
    if let Some((schema, files)) = &change.schema {
        hold(on, id, files, reader, now_s).await?;
        record.schema = schema.clone();
    }
    record.row_artifacts = change.row_artifacts.clone().or(record.row_artifacts);
    record.private = change.private.unwrap_or(record.private);
    let artifacts = record.row_artifacts.as_ref().map(to_json).transpose()?;
    let sql = "UPDATE hub.datasets SET private = $2, schema = $3, row_artifacts = $4 WHERE id = $1";
    on.execute(sql, values![id.as_str(), record.private, to_json(&record.schema)?, artifacts]).await?;
    check_room(on, &record.owner).await?;
    Ok(Some(record))
}

/// Refuses what is too much; it is counted already. Last of all, since others wait for the lock.
async fn check_room(on: &Transaction, owner: &str) -> Result<(), MetadataError> {
    on.lock(Lock::Datasets(owner)).await?;
    let sql =
        "SELECT count(*), coalesce(sum(octet_length(schema) + coalesce(octet_length(row_artifacts), 0)), 0)::bigint
         FROM hub.datasets WHERE owner = $1";
    let Some(row) = on.row(sql, values![owner]).await? else { return Ok(()) };
    check_owned(column(&row, 0)?, column(&row, 1)?)
}

/// Lets a dataset hold exactly `files`.
async fn hold(
    on: &Transaction,
    id: &ServerId,
    files: &[SnapshotFile],
    reader: &Reader,
    now_s: u64,
) -> Result<(), MetadataError> {
    let sql = "SELECT blake3 FROM hub.dataset_files WHERE dataset = $1";
    let before = on.rows(sql, values![id.as_str()]).await?;
    let before: HashSet<Blake3Hash> = before.iter().map(|row| hash(row, 0)).collect::<Result<_, _>>()?;
    // Of two sizes of one content at most one is right, so that none of them is lost in a set.
    let wanted: HashSet<(Blake3Hash, u64)> = files.iter().map(|file| (file.blake3, file.size_bytes)).collect();
    let mut within: HashSet<(Blake3Hash, u64)> = HashSet::new();
    let mut rest: Vec<(Blake3Hash, u64)> = wanted.into_iter().collect();
    // Those that come twice, with two sizes, are few and are looked at one after the other.
    while !rest.is_empty() {
        let mut seen = HashSet::new();
        let (now, later): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(blake3, _)| seen.insert(*blake3));
        let here = blobs::present(on, &now).await?;
        let readable = blobs::readable_among(on, &now, reader).await?;
        within.extend(
            now.into_iter()
                .filter(|(blake3, _)| here.contains(blake3) && (before.contains(blake3) || readable.contains(blake3))),
        );
        rest = later;
    }
    let missing = files.iter().filter(|file| !within.contains(&(file.blake3, file.size_bytes)));
    let missing: Vec<String> = missing.map(|file| file.path.to_string()).collect();
    if !missing.is_empty() {
        return Err(MetadataError::Missing(missing));
    }
    // Addresses of what it had live on for a while.
    blobs::touch(on, &hashes(&before), now_s).await?;
    on.execute("DELETE FROM hub.dataset_files WHERE dataset = $1", values![id.as_str()]).await?;
    let sql = "INSERT INTO hub.dataset_files (dataset, blake3) SELECT $1, unnest($2::bytea[]) ON CONFLICT DO NOTHING";
    on.execute(sql, values![id.as_str(), hashes(files.iter().map(|file| &file.blake3))]).await.map(drop)
}
