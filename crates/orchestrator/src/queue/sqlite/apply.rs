//! Changing requests: fenced, in order.

use gen_worker_proto::{Attempt, RequestId};
use rusqlite::{OptionalExtension as _, Transaction, named_params, params};

use super::{
    codec::{pack, unpack},
    failure::{poisoned, storage},
    row::{name, state},
};
use crate::{
    queue::{
        Applied, Change, QueueError,
        fence::{Standing, Verdict, judge},
    },
    request::{AttemptRecord, Ending, Output},
};

const FIND: &str = "
    SELECT live.sequence, live.state, live.attempt, live.attempts
    FROM request CROSS JOIN live ON live.sequence = request.sequence WHERE request.id = ?1";

const ASSIGN: &str = "
    UPDATE live SET state = 'assigned', attempt = ?2, worker_id = ?3, assigned_at = ?4, started_at = NULL
    WHERE sequence = ?1";

const START: &str = "UPDATE live SET state = 'running', started_at = ?2 WHERE sequence = ?1";

const FORGET: &str = "UPDATE live SET worker_id = NULL, assigned_at = NULL, started_at = NULL WHERE sequence = ?1";

const PLACE: &str = "UPDATE live SET worker_id = ?2, assigned_at = ?3, started_at = ?4 WHERE sequence = ?1";

const CANCEL: &str = "UPDATE live SET canceled = 1 WHERE sequence = ?1";

const REQUEUE: &str = "UPDATE live SET state = 'queued', attempt = ?2, attempts = ?3 WHERE sequence = ?1";

const END: &str = "
    INSERT INTO history (sequence, state, attempt, worker_id, assigned_at, started_at, attempts, ended_at,
        output_ref, error, timings, metrics, output)
    SELECT sequence, :state, :attempt, worker_id, assigned_at, started_at, attempts, :ended_at,
        :output_ref, :error, :timings, :metrics, :output
    FROM live WHERE sequence = :sequence";

const LEAVE: &str = "DELETE FROM live WHERE sequence = ?1";

/// A live request as the store holds it.
struct Stored {
    sequence: i64,
    standing: Standing,
    /// Failed attempts, encoded.
    attempts: Option<Vec<u8>>,
}

/// Applies `changes` in order, each on its own.
pub(super) fn apply(transaction: &Transaction<'_>, changes: &[Change]) -> Result<Vec<Applied>, QueueError> {
    changes.iter().map(|change| apply_one(transaction, change)).collect()
}

fn apply_one(transaction: &Transaction<'_>, change: &Change) -> Result<Applied, QueueError> {
    let id = &change.pair().request_id;
    let Some(stored) = find(transaction, id)? else { return Ok(Applied::Stale) };
    match judge(stored.standing, change) {
        Verdict::Stale => return Ok(Applied::Stale),
        Verdict::Holds => return Ok(Applied::Done),
        Verdict::Raise if !matches!(change, Change::Assign { .. }) => execute(transaction, FORGET, [stored.sequence])?,
        // An assignment writes all that the others forget.
        Verdict::Raise | Verdict::Write => {}
    }
    match change {
        Change::Assign { pair, worker_id, at } => {
            execute(transaction, ASSIGN, params![stored.sequence, pair.attempt.0, worker_id, at.0])?;
        }
        Change::Start { at, .. } => execute(transaction, START, [stored.sequence, at.0])?,
        Change::Requeue { pair, failure } => {
            let attempts = appended(id, stored.attempts, failure.as_ref())?;
            execute(transaction, REQUEUE, params![stored.sequence, pair.attempt.0, attempts])?;
        }
        Change::Cancel { .. } => execute(transaction, CANCEL, [stored.sequence])?,
        Change::Finish { pair, ending } => end(transaction, stored.sequence, pair.attempt, ending)?,
    }
    Ok(Applied::Done)
}

fn find(transaction: &Transaction<'_>, id: &RequestId) -> Result<Option<Stored>, QueueError> {
    let found = transaction
        .prepare_cached(FIND)
        .and_then(|mut statement| {
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            statement.query_row([id.as_str()], columns).optional()
        })
        .map_err(|error| match error {
            rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..) => {
                poisoned(id, "of table live", error)
            }
            other => storage("find a request")(other),
        })?;
    let Some((sequence, name, attempt, attempts)) = found else { return Ok(None) };
    let name: String = name;
    let standing = match state(&name) {
        Some(state) if !state.is_terminal() => Standing { state, attempt: Attempt(attempt) },
        _ => return Err(poisoned(id, "state", "not a state of a live request")),
    };
    Ok(Some(Stored { sequence, standing, attempts }))
}

/// The failed attempts with one more.
fn appended(
    id: &RequestId,
    stored: Option<Vec<u8>>,
    failure: Option<&AttemptRecord>,
) -> Result<Option<Vec<u8>>, QueueError> {
    let Some(failure) = failure else { return Ok(stored) };
    let mut attempts: Vec<AttemptRecord> = match &stored {
        Some(bytes) => unpack(bytes).map_err(|error| poisoned(id, "attempts", error))?,
        None => Vec::new(),
    };
    attempts.push(failure.clone());
    pack(&attempts).map(Some)
}

/// Moves a request to the history.
fn end(transaction: &Transaction<'_>, sequence: i64, attempt: Attempt, ending: &Ending) -> Result<(), QueueError> {
    if let Some(placement) = &ending.placement {
        let started_at = placement.started_at.map(|at| at.0);
        let values = params![sequence, placement.worker_id, placement.assigned_at.0, started_at];
        execute(transaction, PLACE, values)?;
    }
    let (inline, reference) = match &ending.output {
        Some(Output::Inline(bytes)) => (Some(bytes.as_ref()), None),
        Some(Output::Blob(reference)) => (None, Some(reference)),
        None => (None, None),
    };
    let error = ending.error.as_ref().map(pack).transpose()?;
    let metrics = ending.metrics.as_ref().map(pack).transpose()?;
    let timings = pack(&ending.timings)?;
    let values = named_params! {
        ":sequence": sequence,
        ":state": name(ending.state),
        ":attempt": attempt.0,
        ":ended_at": ending.ended_at.0,
        ":output_ref": reference,
        ":error": error,
        ":timings": timings,
        ":metrics": metrics,
        ":output": inline,
    };
    execute(transaction, END, values)?;
    execute(transaction, LEAVE, [sequence])
}

fn execute(transaction: &Transaction<'_>, sql: &str, values: impl rusqlite::Params) -> Result<(), QueueError> {
    let done = transaction.prepare_cached(sql).and_then(|mut statement| statement.execute(values));
    done.map(drop).map_err(storage("store a change"))
}
