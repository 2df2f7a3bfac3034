//! Datasets and the contents that they hold.

use gen_worker_hub::{ServerId, snapshot::SnapshotFile};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{SqliteMetadata, blobs, row::parse};
use crate::metadata::{
    Answer, DatasetChange, DatasetRecord, Datasets, Holder, MetadataError, Reader, datasets::check_owned,
};

/// What is read of a row.
const COLUMNS: &str = "id, owner, name, private, schema, row_artifacts";

impl Datasets for SqliteMetadata {
    fn create_dataset(
        &self,
        new: DatasetRecord,
        files: Vec<SnapshotFile>,
        reader: Reader,
        now_s: u64,
    ) -> Answer<'_, ()> {
        self.call("create a dataset", move |on| create(on, &new, &files, &reader, now_s))
    }

    fn change_dataset(
        &self,
        id: ServerId,
        change: DatasetChange,
        reader: Reader,
        now_s: u64,
    ) -> Answer<'_, Option<DatasetRecord>> {
        self.call("change a dataset", move |on| update(on, &id, change, &reader, now_s))
    }

    fn dataset(&self, id: ServerId) -> Answer<'_, Option<DatasetRecord>> {
        self.read("read a dataset", move |on| find(on, &id))
    }

    fn datasets(&self, owner: String) -> Answer<'_, Vec<DatasetRecord>> {
        self.read("list datasets", move |on| {
            let sql = format!("SELECT {COLUMNS} FROM datasets WHERE owner = ?1 ORDER BY folded");
            let mut list = on.prepare_cached(&sql)?;
            let rows = list.query_map([&owner], |row| Ok(record(row)))?;
            rows.map(|row| row?).collect()
        })
    }
}

fn record(row: &Row<'_>) -> Result<DatasetRecord, MetadataError> {
    let artifacts: Option<String> = row.get(5)?;
    Ok(DatasetRecord {
        id: parse("id", &row.get::<_, String>(0)?)?,
        owner: row.get(1)?,
        name: row.get(2)?,
        private: row.get(3)?,
        schema: from_json("schema", &row.get::<_, String>(4)?)?,
        row_artifacts: artifacts.map(|text| from_json("row_artifacts", &text)).transpose()?,
    })
}

fn from_json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, MetadataError> {
    serde_json::from_str(text).map_err(|error| MetadataError::Corrupt { detail: format!("column {column}: {error}") })
}

fn to_json(value: &impl Serialize) -> Result<String, MetadataError> {
    serde_json::to_string(value).map_err(|error| MetadataError::Unfit(error.to_string()))
}

fn find(on: &Connection, id: &ServerId) -> Result<Option<DatasetRecord>, MetadataError> {
    let mut find = on.prepare_cached(&format!("SELECT {COLUMNS} FROM datasets WHERE id = ?1"))?;
    find.query_row([id.as_str()], |row| Ok(record(row))).optional()?.transpose()
}

fn create(
    on: &Connection,
    new: &DatasetRecord,
    files: &[SnapshotFile],
    reader: &Reader,
    now_s: u64,
) -> Result<(), MetadataError> {
    let artifacts = new.row_artifacts.as_ref().map(to_json).transpose()?;
    let mut insert = on.prepare_cached(
        "INSERT INTO datasets (id, owner, name, folded, private, schema, row_artifacts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (owner, folded) DO NOTHING",
    )?;
    let (folded, schema) = (new.name.to_lowercase(), to_json(&new.schema)?);
    let values = params![new.id.as_str(), new.owner, new.name, folded, new.private, schema, artifacts];
    if insert.execute(values)? == 0 {
        return Err(MetadataError::RefExists);
    }
    check_room(on, &new.owner)?;
    hold(on, &new.id, files, reader, now_s)
}

fn update(
    on: &Connection,
    id: &ServerId,
    change: DatasetChange,
    reader: &Reader,
    now_s: u64,
) -> Result<Option<DatasetRecord>, MetadataError> {
    let Some(mut record) = find(on, id)? else { return Ok(None) };
    if let Some((schema, files)) = change.schema {
        hold(on, id, &files, reader, now_s)?;
        record.schema = schema;
    }
    record.row_artifacts = change.row_artifacts.or(record.row_artifacts);
    record.private = change.private.unwrap_or(record.private);
    let artifacts = record.row_artifacts.as_ref().map(to_json).transpose()?;
    let mut update =
        on.prepare_cached("UPDATE datasets SET private = ?2, schema = ?3, row_artifacts = ?4 WHERE id = ?1")?;
    update.execute(params![id.as_str(), record.private, to_json(&record.schema)?, artifacts])?;
    check_room(on, &record.owner)?;
    Ok(Some(record))
}

fn check_room(on: &Connection, owner: &str) -> Result<(), MetadataError> {
    let mut sum = on.prepare_cached(
        "SELECT count(*), sum(length(schema) + coalesce(length(row_artifacts), 0)) FROM datasets WHERE owner = ?1",
    )?;
    let (count, bytes): (i64, i64) = sum.query_row([owner], |row| Ok((row.get(0)?, row.get(1)?)))?;
    check_owned(count, bytes)
}

/// Lets a dataset hold exactly `files`.
fn hold(
    on: &Connection,
    id: &ServerId,
    files: &[SnapshotFile],
    reader: &Reader,
    now_s: u64,
) -> Result<(), MetadataError> {
    let mut missing = Vec::new();
    for file in files {
        if !within(on, id, file, reader)? {
            missing.push(file.path.to_string());
        }
    }
    if !missing.is_empty() {
        return Err(MetadataError::Missing(missing));
    }
    let mut list = on.prepare_cached("SELECT blake3 FROM dataset_files WHERE dataset = ?1")?;
    let before: Vec<String> = list.query_map([id.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for hash in before {
        // Addresses of it live on for a while.
        blobs::touch(on, &parse("blake3", &hash)?, now_s)?;
    }
    on.prepare_cached("DELETE FROM dataset_files WHERE dataset = ?1")?.execute([id.as_str()])?;
    let mut insert = on.prepare_cached("INSERT OR IGNORE INTO dataset_files (dataset, blake3) VALUES (?1, ?2)")?;
    files.iter().try_for_each(|file| insert.execute([id.as_str(), &file.blake3.to_string()]).map(drop))?;
    Ok(())
}

/// Whether a file is there and may be named.
fn within(on: &Connection, id: &ServerId, file: &SnapshotFile, reader: &Reader) -> Result<bool, MetadataError> {
    let Some(blob) = blobs::get(on, &file.blake3)?.filter(|blob| blob.size_bytes == file.size_bytes) else {
        return Ok(false);
    };
    if blobs::readable(on, &file.blake3, blob.size_bytes, reader)? {
        return Ok(true);
    }
    let mut own =
        on.prepare_cached("SELECT EXISTS (SELECT 1 FROM dataset_files WHERE dataset = ?1 AND blake3 = ?2)")?;
    Ok(own.query_row([id.as_str(), &file.blake3.to_string()], |row| row.get(0))?)
}

/// The datasets that hold a content.
pub(super) fn holders(on: &Connection, hash: &str) -> Result<Vec<Holder>, MetadataError> {
    let mut list = on.prepare_cached(
        "SELECT owner, name, private FROM datasets WHERE id IN (SELECT dataset FROM dataset_files WHERE blake3 = ?1)",
    )?;
    let rows = list
        .query_map([hash], |row| Ok(Holder::Dataset { owner: row.get(0)?, name: row.get(1)?, private: row.get(2)? }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
