//! Taking requests in.

use gen_worker_proto::FunctionName;
use rusqlite::{Transaction, params};

use super::{codec::pack, failure::storage, page};
use crate::{
    queue::{Enqueued, QueueError},
    request::{NewRequest, Options, Request},
};

/// What came of one request, before the commit.
#[derive(Debug)]
pub(super) enum Taken {
    /// Stored with this sequence.
    Created(i64),
    /// Known; the stored record.
    Existing(Box<Request>),
    /// The id is taken.
    Conflict,
}

/// The columns of one row; the clock is the greatest of its own time and that of the newest row.
const INSERT_REQUEST: &str = "
    INSERT INTO request
        (id, function, tenant, release_id, created_at, clock_ms, body_digest, options, metadata, payload)
    VALUES (?1, ?2, ?3, ?4, ?5,
        max(?5, coalesce((SELECT clock_ms FROM request ORDER BY sequence DESC LIMIT 1), ?5)), ?6, ?7, ?8, ?9)";

/// Asked before the insert: one that fails on the index would still use up a sequence, and so write to the disk.
const IS_KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM request WHERE id = ?1)";

const INSERT_LIVE: &str = "INSERT INTO live (sequence, state, attempt) VALUES (?1, 'queued', 0)";

/// Stores `requests` in order, each on its own.
pub(super) fn enqueue(transaction: &Transaction<'_>, requests: &[NewRequest]) -> Result<Vec<Taken>, QueueError> {
    requests.iter().map(|request| enqueue_one(transaction, request)).collect()
}

fn enqueue_one(transaction: &Transaction<'_>, request: &NewRequest) -> Result<Taken, QueueError> {
    let failed = storage("store a request");
    let is_known = transaction
        .prepare_cached(IS_KNOWN)
        .and_then(|mut statement| statement.query_row([request.id.as_str()], |row| row.get(0)));
    if is_known.map_err(&failed)? {
        return known(transaction, request);
    }
    // Absent stands for the usual value: most requests come with neither options nor metadata.
    let options = (request.options != Options::default()).then(|| pack(&request.options)).transpose()?;
    let metadata = (!request.metadata.is_null()).then(|| pack(&request.metadata)).transpose()?;
    let inserted = transaction.prepare_cached(INSERT_REQUEST).and_then(|mut statement| {
        statement.execute(params![
            request.id.as_str(),
            request.function.as_str(),
            request.tenant,
            request.release_id,
            request.created_at.0,
            request.body_digest,
            options,
            metadata,
            request.payload.as_ref(),
        ])
    });
    inserted.map_err(&failed)?;
    let sequence = transaction.last_insert_rowid();
    let live = transaction.prepare_cached(INSERT_LIVE).and_then(|mut statement| statement.execute([sequence]));
    live.map_err(&failed)?;
    Ok(Taken::Created(sequence))
}

/// Compares a repeated request with the stored one.
fn known(transaction: &Transaction<'_>, request: &NewRequest) -> Result<Taken, QueueError> {
    let Some(stored) = page::get(transaction, &request.id)? else {
        return Err(QueueError::Corrupt {
            detail: format!("request {}: its id is in the index, but there is no such row", request.id),
        });
    };
    let equal = stored.submitted.body_digest == request.body_digest && stored.submitted.tenant == request.tenant;
    Ok(if equal { Taken::Existing(Box::new(stored)) } else { Taken::Conflict })
}

/// Pairs committed requests with what came of them.
pub(super) fn describe(requests: Vec<NewRequest>, taken: Vec<Taken>) -> Vec<Enqueued> {
    let described = requests.into_iter().zip(taken).map(|(request, taken)| match taken {
        Taken::Created(sequence) => Enqueued::Created(Box::new(Request::arrived(request, sequence))),
        Taken::Existing(stored) => Enqueued::Existing(stored),
        Taken::Conflict => Enqueued::Conflict,
    });
    described.collect()
}

/// Stores names of functions, each once.
pub(super) fn remember(transaction: &Transaction<'_>, functions: &[FunctionName]) -> Result<(), QueueError> {
    let failed = storage("remember functions");
    let mut statement = transaction
        .prepare_cached("INSERT INTO known_function (name) VALUES (?1) ON CONFLICT DO NOTHING")
        .map_err(&failed)?;
    for function in functions {
        statement.execute([function.as_str()]).map_err(&failed)?;
    }
    Ok(())
}
