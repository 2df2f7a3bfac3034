//! Uploads by grant: their one transfer and its parts. Each call locks the row of its upload first.

use std::collections::BTreeSet;

use futures::FutureExt as _;
use gen_worker_hub::ServerId;

use super::{
    PostgresMetadata, blobs,
    row::{column, parse, values},
    transaction::{Lock, Transaction},
    uploads,
};
use crate::metadata::{Answer, MetadataError, Part, Transfers};

impl Transfers for PostgresMetadata {
    fn begin_transfer(&self, upload: ServerId, transfer: ServerId, now_s: u64) -> Answer<'_, bool> {
        self.call("begin a transfer", (upload, transfer, now_s), |on, (upload, transfer, now_s)| {
            begin(on, upload, transfer, *now_s).boxed()
        })
    }

    fn put_transferred(
        &self,
        upload: ServerId,
        transfer: Option<ServerId>,
        part: Part,
        now_s: u64,
    ) -> Answer<'_, bool> {
        let data = (upload, transfer, part, now_s);
        self.call("record a part of a transfer", data, |on, (upload, transfer, part, now_s)| {
            put(on, upload, transfer.as_ref(), part, *now_s).boxed()
        })
    }

    fn seal_transfer(&self, upload: ServerId, transfer: ServerId, keys: Vec<String>, now_s: u64) -> Answer<'_, ()> {
        self.call("end a transfer", (upload, transfer, keys, now_s), |on, (upload, transfer, keys, now_s)| {
            seal(on, upload, transfer, keys, *now_s).boxed()
        })
    }

    fn abort_transfer(&self, upload: ServerId, transfer: ServerId) -> Answer<'_, bool> {
        self.call("give up a transfer", (upload, transfer), |on, (upload, transfer)| {
            abort(on, upload, transfer).boxed()
        })
    }

    fn transfer(&self, upload: ServerId) -> Answer<'_, Option<ServerId>> {
        self.read("read a transfer", upload, |on, upload| {
            current(on, upload).map(|found| Ok(found?.filter(|found| !found.sealed).map(|found| found.id))).boxed()
        })
    }
}

/// The transfer of an upload.
struct Transfer {
    id: ServerId,
    sealed: bool,
}

async fn current(on: &Transaction, upload: &ServerId) -> Result<Option<Transfer>, MetadataError> {
    let sql = "SELECT transfer, sealed FROM hub.uploads WHERE id = $1 AND transfer IS NOT NULL";
    let row = on.row(sql, values![upload.as_str()]).await?;
    row.map(|row| Ok(Transfer { id: parse("transfer", column(&row, 0)?)?, sealed: column(&row, 1)? })).transpose()
}

async fn begin(on: &Transaction, id: &ServerId, transfer: &ServerId, now_s: u64) -> Result<bool, MetadataError> {
    let Some(upload) = uploads::locked_open(on, id, now_s).await? else { return Ok(false) };
    replace(on, id, &upload.parts, Some(transfer)).await?;
    Ok(true)
}

/// Dooms whatever came, and lets the upload have another transfer, or none.
async fn replace(
    on: &Transaction,
    upload: &ServerId,
    parts: &[Part],
    transfer: Option<&ServerId>,
) -> Result<(), MetadataError> {
    blobs::doom(on, parts.iter().map(|part| part.segment.key.as_str()).collect()).await?;
    on.execute("DELETE FROM hub.parts WHERE upload = $1", values![upload.as_str()]).await?;
    let sql = "UPDATE hub.uploads SET transfer = $2, sealed = false WHERE id = $1";
    on.execute(sql, values![upload.as_str(), transfer.map(ServerId::as_str)]).await.map(drop)
}

async fn put(
    on: &Transaction,
    id: &ServerId,
    transfer: Option<&ServerId>,
    part: &Part,
    now_s: u64,
) -> Result<bool, MetadataError> {
    on.lock_shared(Lock::Records).await?;
    let open = uploads::locked_open(on, id, now_s).await?;
    let fitting = match (open, transfer) {
        (Some(mut upload), None) => {
            replace(on, id, &upload.parts, None).await?;
            upload.parts.clear();
            Some(upload)
        }
        (Some(upload), Some(transfer)) => {
            let is_current = current(on, id).await?.is_some_and(|found| found.id == *transfer && !found.sealed);
            let others = upload.parts.iter().filter(|other| other.number != part.number);
            let bytes = others.fold(part.segment.size_bytes, |sum, other| sum.saturating_add(other.segment.size_bytes));
            (is_current && bytes <= upload.new.size_bytes).then_some(upload)
        }
        (None, _) => None,
    };
    match &fitting {
        Some(upload) => uploads::record_part(on, upload, part).await?,
        None => blobs::doom(on, vec![part.segment.key.as_str()]).await?,
    }
    Ok(fitting.is_some())
}

async fn seal(
    on: &Transaction,
    id: &ServerId,
    transfer: &ServerId,
    keys: &[String],
    now_s: u64,
) -> Result<(), MetadataError> {
    let upload = uploads::locked_open(on, id, now_s).await?.ok_or(MetadataError::Closed)?;
    if current(on, id).await?.is_none_or(|found| found.id != *transfer) {
        return Err(MetadataError::Closed);
    }
    let mut wanted: BTreeSet<&String> = keys.iter().collect();
    let (kept, dropped): (Vec<&Part>, Vec<&Part>) =
        upload.parts.iter().partition(|part| wanted.remove(&part.segment.key));
    if !wanted.is_empty() || kept.is_empty() {
        return Err(MetadataError::Changed);
    }
    let dropped: Vec<&str> = dropped.into_iter().map(|part| part.segment.key.as_str()).collect();
    on.execute("DELETE FROM hub.parts WHERE key = ANY ($1)", values![dropped]).await?;
    blobs::doom(on, dropped).await?;
    on.execute("UPDATE hub.uploads SET sealed = true WHERE id = $1", values![id.as_str()]).await.map(drop)
}

async fn abort(on: &Transaction, id: &ServerId, transfer: &ServerId) -> Result<bool, MetadataError> {
    // One that has expired as well: its time does not count here.
    let Some(upload) = uploads::locked_open(on, id, 0).await? else { return Ok(false) };
    if current(on, id).await?.is_none_or(|found| found.id != *transfer || found.sealed) {
        return Ok(false);
    }
    replace(on, id, &upload.parts, None).await?;
    Ok(true)
}
