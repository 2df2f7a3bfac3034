//! Uploads by grant: their one transfer and its parts.

use std::collections::BTreeSet;

use gen_worker_hub::ServerId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SqliteMetadata, uploads};
use crate::metadata::{Answer, MetadataError, Part, Transfers, Upload};

impl Transfers for SqliteMetadata {
    fn begin_transfer(&self, upload: ServerId, transfer: ServerId, now_s: u64) -> Answer<'_, bool> {
        self.call("begin a transfer", move |on| begin(on, &upload, &transfer, now_s))
    }

    fn put_transferred(
        &self,
        upload: ServerId,
        transfer: Option<ServerId>,
        part: Part,
        now_s: u64,
    ) -> Answer<'_, bool> {
        self.call("record a part of a transfer", move |on| put(on, &upload, transfer.as_ref(), &part, now_s))
    }

    fn seal_transfer(&self, upload: ServerId, transfer: ServerId, keys: Vec<String>, now_s: u64) -> Answer<'_, ()> {
        self.call("end a transfer", move |on| seal(on, &upload, &transfer, keys, now_s))
    }

    fn abort_transfer(&self, upload: ServerId, transfer: ServerId) -> Answer<'_, bool> {
        self.call("give up a transfer", move |on| abort(on, &upload, &transfer))
    }

    fn transfer(&self, upload: ServerId) -> Answer<'_, Option<ServerId>> {
        self.read("read a transfer", move |on| {
            Ok(current(on, &upload)?.filter(|found| !found.sealed).map(|found| found.id))
        })
    }
}

/// The transfer of an upload.
struct Transfer {
    id: ServerId,
    sealed: bool,
}

fn current(on: &Connection, upload: &ServerId) -> Result<Option<Transfer>, MetadataError> {
    let mut find = on.prepare_cached("SELECT id, sealed FROM transfers WHERE upload = ?1")?;
    let found = find.query_row([upload.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).optional()?;
    let Some((id, sealed)) = found else { return Ok(None) };
    Ok(Some(Transfer { id: super::row::parse("id", &id)?, sealed }))
}

fn open(on: &Connection, upload: &ServerId, now_s: u64) -> Result<Option<Upload>, MetadataError> {
    Ok(uploads::get(on, upload, now_s)?.filter(|upload| !upload.complete))
}

fn begin(on: &Connection, upload: &ServerId, transfer: &ServerId, now_s: u64) -> Result<bool, MetadataError> {
    if open(on, upload, now_s)?.is_none() {
        return Ok(false);
    }
    clear(on, upload)?;
    let mut insert = on.prepare_cached("INSERT INTO transfers (upload, id, sealed) VALUES (?1, ?2, 0)")?;
    insert.execute([upload.as_str(), transfer.as_str()])?;
    Ok(true)
}

/// Forgets the transfer of an upload and dooms whatever came.
fn clear(on: &Connection, upload: &ServerId) -> Result<(), MetadataError> {
    let id = [upload.as_str()];
    on.prepare_cached("INSERT OR IGNORE INTO doomed (key) SELECT key FROM parts WHERE upload = ?1")?.execute(id)?;
    on.prepare_cached("DELETE FROM parts WHERE upload = ?1")?.execute(id)?;
    on.prepare_cached("DELETE FROM transfers WHERE upload = ?1")?.execute(id)?;
    Ok(())
}

fn put(
    on: &Connection,
    id: &ServerId,
    transfer: Option<&ServerId>,
    part: &Part,
    now_s: u64,
) -> Result<bool, MetadataError> {
    let fits = match (open(on, id, now_s)?, transfer) {
        (None, _) => false,
        (Some(_), None) => {
            clear(on, id)?;
            true
        }
        (Some(upload), Some(transfer)) => {
            let is_current = current(on, id)?.is_some_and(|found| found.id == *transfer && !found.sealed);
            let others = upload.parts.iter().filter(|other| other.number != part.number);
            let bytes = others.fold(part.segment.size_bytes, |sum, other| sum.saturating_add(other.segment.size_bytes));
            is_current && bytes <= upload.new.size_bytes
        }
    };
    if !fits {
        on.prepare_cached("INSERT OR IGNORE INTO doomed (key) VALUES (?1)")?.execute([&part.segment.key])?;
        return Ok(false);
    }
    uploads::put_part(on, id, part, now_s)
}

fn seal(
    on: &Connection,
    id: &ServerId,
    transfer: &ServerId,
    keys: Vec<String>,
    now_s: u64,
) -> Result<(), MetadataError> {
    let upload = open(on, id, now_s)?.ok_or(MetadataError::Closed)?;
    if current(on, id)?.is_none_or(|found| found.id != *transfer) {
        return Err(MetadataError::Closed);
    }
    let mut wanted: BTreeSet<String> = keys.into_iter().collect();
    let (kept, dropped): (Vec<Part>, Vec<Part>) =
        upload.parts.into_iter().partition(|part| wanted.remove(&part.segment.key));
    if !wanted.is_empty() || kept.is_empty() {
        return Err(MetadataError::Changed);
    }
    for part in dropped {
        on.prepare_cached("INSERT OR IGNORE INTO doomed (key) VALUES (?1)")?.execute([&part.segment.key])?;
        let mut forget = on.prepare_cached("DELETE FROM parts WHERE upload = ?1 AND number = ?2")?;
        forget.execute(params![id.as_str(), part.number])?;
    }
    on.prepare_cached("UPDATE transfers SET sealed = 1 WHERE upload = ?1")?.execute([id.as_str()])?;
    Ok(())
}

fn abort(on: &Connection, upload: &ServerId, transfer: &ServerId) -> Result<bool, MetadataError> {
    if current(on, upload)?.is_none_or(|found| found.id != *transfer || found.sealed) {
        return Ok(false);
    }
    clear(on, upload)?;
    Ok(true)
}
