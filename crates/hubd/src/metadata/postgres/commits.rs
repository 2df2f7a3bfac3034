//! Open commits and what they pin. Whoever ends one locks its row first, then the rows of its uploads.

use gen_worker_hub::{ServerId, api::CommitCreate, model_ref::RepoName};
use tokio_postgres::Row;

use super::{
    blobs, budgets, repeats,
    row::{column, stored, values},
    transaction::{Lock, Transaction},
    uploads,
};
use crate::metadata::{
    Author, CommitOpened, MetadataError, NewCommit, NewUpload, OPEN_MAX, Pin, Upload, UploadOwner, pins,
};

/// State of a commit that can be finalized.
pub(super) const OPEN: i64 = 0;
/// State of one that is a checkpoint.
pub(super) const DONE: i64 = 1;
/// State of one that was given up, or that was not finished in time.
pub(super) const CLOSED: i64 = 2;

pub(super) async fn open(
    on: &Transaction,
    new: &NewCommit,
    author: &Author,
    is_session: bool,
) -> Result<CommitOpened, MetadataError> {
    if let Some(earlier) = repeats::earlier(on, new).await? {
        return Ok(earlier);
    }
    let body = serde_json::to_string(&new.body).map_err(|error| MetadataError::Unfit(error.to_string()))?;
    let sql = "INSERT INTO hub.commits (id, owner, name, private, session, state, body, expires_s, repeat)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let (id, owner, name) = (new.id.as_str(), new.repo.owner(), new.repo.repo());
    let (expires_s, repeat) = (stored(new.expires_s), new.repeat.as_ref().map(|repeat| repeat.key.as_str()));
    on.execute(sql, values![id, owner, name, new.private, is_session, OPEN, body, expires_s, repeat]).await?;
    let known = blobs::readable_among(on, &pins::contents(new), &author.reader).await?;
    let pins = pins::pins(new, |blake3, _| Ok(known.contains(blake3)))?;
    insert_pins(on, id, &pins).await?;
    let wanted: Vec<&NewUpload> = pins.iter().filter_map(|pin| pin.upload.as_ref()).collect();
    if let Some(budget) = &author.budget {
        budgets::charge(on, budget, &wanted).await?;
    }
    uploads::insert(on, &wanted, author.budget.as_ref(), None).await?;
    check_open(on, owner).await?;
    Ok(CommitOpened { id: new.id.clone(), pins })
}

async fn insert_pins(on: &Transaction, id: &str, pins: &[Pin]) -> Result<(), MetadataError> {
    if pins.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO hub.pins (commit_id, blake3, size, here)
         SELECT $1, p.* FROM unnest($2::bytea[], $3::bigint[], $4::boolean[]) AS p";
    let contents: Vec<&[u8]> = pins.iter().map(|pin| pin.blake3.as_bytes().as_slice()).collect();
    let sizes: Vec<i64> = pins.iter().map(|pin| stored(pin.size_bytes)).collect();
    let here: Vec<bool> = pins.iter().map(|pin| pin.upload.is_none()).collect();
    on.execute(sql, values![id, contents, sizes, here]).await.map(drop)
}

/// Refuses one more than an owner may have open; that one is counted already. Last of all, since others wait for the lock.
async fn check_open(on: &Transaction, owner: &str) -> Result<(), MetadataError> {
    on.lock(Lock::Open(owner)).await?;
    let sql = "SELECT count(*) FROM hub.commits WHERE owner = $1 AND state = 0";
    let row = on.row(sql, values![owner]).await?;
    let count: i64 = row.map_or(Ok(0), |row| column(&row, 0))?;
    if count <= stored(OPEN_MAX) { Ok(()) } else { Err(MetadataError::TooMany { open_max: OPEN_MAX }) }
}

pub(super) async fn close_of(
    on: &Transaction,
    repo: &RepoName,
    id: &ServerId,
    is_session: bool,
    now_s: u64,
) -> Result<(), MetadataError> {
    let sql = "SELECT 1 FROM hub.commits WHERE id = $1 AND owner = $2 AND name = $3 AND state = 0 AND session = $4
         FOR UPDATE";
    if on.row(sql, values![id.as_str(), repo.owner(), repo.repo(), is_session]).await?.is_some() {
        close(on, id.as_str(), now_s).await?;
    }
    Ok(())
}

/// Closes an open commit whose row is locked: its pins and the uploads that have not come are gone. How many rows that were.
pub(super) async fn close(on: &Transaction, id: &str, now_s: u64) -> Result<u64, MetadataError> {
    on.execute("UPDATE hub.commits SET state = $2 WHERE id = $1", values![id, CLOSED]).await?;
    end(on, id, Some(now_s)).await
}

/// Ends what an open commit holds: its operations, its pins, and the uploads that have not come. What it brought is looked at
/// when a grace from `idle_s` has passed: nothing else may name it. How many rows are gone.
pub(super) async fn end(on: &Transaction, id: &str, idle_s: Option<u64>) -> Result<u64, MetadataError> {
    on.execute("UPDATE hub.commits SET body = NULL WHERE id = $1", values![id]).await?;
    // Those that are being completed come first: then what they brought is seen below.
    let sql = "SELECT id FROM hub.uploads WHERE commit_id = $1 AND created IS NULL ORDER BY id FOR UPDATE";
    let open = on.rows(sql, values![id]).await?;
    let open: Vec<&str> = open.iter().map(|row: &Row| column(row, 0)).collect::<Result<_, _>>()?;
    let uploads = uploads::remove(on, &open).await?;
    if let Some(now_s) = idle_s {
        let held = on.rows("SELECT blake3 FROM hub.pins WHERE commit_id = $1 AND here", values![id]).await?;
        let held: Vec<&[u8]> = held.iter().map(|row: &Row| column(row, 0)).collect::<Result<_, _>>()?;
        blobs::touch(on, &held, now_s).await?;
    }
    let pins = on.execute("DELETE FROM hub.pins WHERE commit_id = $1", values![id]).await?;
    Ok(uploads.saturating_add(pins).saturating_add(1))
}

/// An upload of a commit of a repository that is no session.
pub(super) async fn upload_of(
    on: &Transaction,
    repo: &RepoName,
    commit: &ServerId,
    id: &ServerId,
    now_s: u64,
) -> Result<Option<Upload>, MetadataError> {
    let sql = "SELECT 1 FROM hub.commits WHERE id = $1 AND owner = $2 AND name = $3 AND NOT session";
    if on.row(sql, values![commit.as_str(), repo.owner(), repo.repo()]).await?.is_none() {
        return Ok(None);
    }
    let owner = UploadOwner::Commit(commit.clone());
    Ok(uploads::get(on, id, now_s).await?.filter(|upload| upload.new.owner == owner))
}

/// The operations of a commit as they are stored.
pub(super) fn body(text: &str) -> Result<CommitCreate, MetadataError> {
    serde_json::from_str(text).map_err(|error| MetadataError::Corrupt { detail: format!("a commit: {error}") })
}
