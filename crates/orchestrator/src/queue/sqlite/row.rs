//! Rows into records. Whatever a row holds, the outcome is a record or an error that names the request.

use bytes::Bytes;
use gen_worker_proto::{Attempt, FunctionName, RequestId};
use rusqlite::{Row, types::FromSql};
use serde::de::DeserializeOwned;

use super::{codec::unpack, failure::poisoned};
use crate::{
    queue::QueueError,
    request::{Ending, NewRequest, Output, Request, State, UnixMs},
};

/// The columns [`request`] reads, in its order; `{payload}` is where a caller that wants none puts an empty one.
pub(super) const COLUMNS: &str = "
    request.sequence, request.id, request.function, request.tenant, request.release_id, request.created_at,
    request.body_digest, request.options, request.metadata, {payload} AS payload,
    coalesce(history.state, live.state) AS state, live.sequence IS NOT NULL AS is_live,
    coalesce(history.attempt, live.attempt) AS attempt, coalesce(history.worker_id, live.worker_id) AS worker_id,
    coalesce(history.assigned_at, live.assigned_at) AS assigned_at,
    coalesce(history.started_at, live.started_at) AS started_at,
    coalesce(history.attempts, live.attempts) AS attempts, coalesce(live.canceled, 0) AS canceled,
    history.ended_at, history.output_ref, history.error, history.timings, history.metrics, history.output";

const STATES: [State; 6] =
    [State::Queued, State::Assigned, State::Running, State::Succeeded, State::Failed, State::Canceled];

/// The name of a state in the store.
pub(super) fn name(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Assigned => "assigned",
        State::Running => "running",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Canceled => "canceled",
    }
}

/// The state of a name in the store.
pub(super) fn state(text: &str) -> Option<State> {
    STATES.into_iter().find(|state| name(*state) == text)
}

/// Reads a row of [`COLUMNS`].
///
/// # Errors
/// Corrupt, naming the request and the column.
pub(super) fn request(row: &Row<'_>) -> Result<Request, QueueError> {
    let sequence = row.get(0).map_err(|error| poisoned("of unknown sequence", "sequence", error))?;
    let id: String = row.get(1).map_err(|error| poisoned(format_args!("with sequence {sequence}"), "id", error))?;
    let mut columns = Columns { row, id: &id, next: 2 };
    let submitted = submitted(&mut columns)?;
    let text: String = columns.value()?;
    let Some(state) = state(&text) else { return Err(columns.wrong("it names no state")) };
    let is_live: bool = columns.value()?;
    if is_live == state.is_terminal() {
        return Err(columns.wrong("the request is both live and ended"));
    }
    Ok(Request {
        submitted,
        sequence,
        state,
        attempt: Attempt(columns.value()?),
        worker_id: columns.value()?,
        assigned_at: columns.value::<Option<i64>>()?.map(UnixMs),
        started_at: columns.value::<Option<i64>>()?.map(UnixMs),
        attempts: columns.packed()?.unwrap_or_default(),
        cancel_requested: columns.value()?,
        ending: if is_live { None } else { Some(ending(&mut columns, state)?) },
    })
}

fn submitted(columns: &mut Columns<'_, '_>) -> Result<NewRequest, QueueError> {
    let id = match RequestId::parse(columns.id) {
        Ok(id) => id,
        Err(error) => return Err(columns.wrong(error)),
    };
    let name: String = columns.value()?;
    let function = match FunctionName::parse(&name) {
        Ok(function) if function.as_str() == name => function,
        _ => return Err(columns.wrong("it names no function")),
    };
    Ok(NewRequest {
        id,
        function,
        tenant: columns.value()?,
        release_id: columns.value()?,
        created_at: UnixMs(columns.value()?),
        body_digest: columns.value()?,
        options: columns.packed()?.unwrap_or_default(),
        metadata: columns.packed()?.unwrap_or_default(),
        payload: columns.bytes()?.unwrap_or_default(),
    })
}

fn ending(columns: &mut Columns<'_, '_>, state: State) -> Result<Ending, QueueError> {
    let ended_at = UnixMs(columns.value()?);
    let reference: Option<String> = columns.value()?;
    let error = columns.packed()?;
    let Some(timings) = columns.packed()? else { return Err(columns.wrong("it is absent")) };
    let metrics = columns.packed()?;
    let output = match (columns.bytes()?, reference) {
        (Some(bytes), None) => Some(Output::Inline(bytes)),
        (None, Some(reference)) => Some(Output::Blob(reference)),
        (None, None) => None,
        (Some(_), Some(_)) => return Err(columns.wrong("there is a reference, too")),
    };
    Ok(Ending { state, output, error, timings, metrics, ended_at, placement: None })
}

/// A row read from left to right.
struct Columns<'a, 'row> {
    row: &'a Row<'row>,
    id: &'a str,
    next: usize,
}

impl Columns<'_, '_> {
    fn value<T: FromSql>(&mut self) -> Result<T, QueueError> {
        let index = self.next;
        self.next += 1;
        self.row.get(index).map_err(|error| self.wrong(error))
    }

    /// A structured column; absent ones read as `None`.
    fn packed<T: DeserializeOwned>(&mut self) -> Result<Option<T>, QueueError> {
        let bytes = self.blob()?;
        bytes.map(unpack).transpose().map_err(|error| self.wrong(error))
    }

    fn bytes(&mut self) -> Result<Option<Bytes>, QueueError> {
        Ok(self.blob()?.map(Bytes::copy_from_slice))
    }

    fn blob(&mut self) -> Result<Option<&[u8]>, QueueError> {
        let index = self.next;
        self.next += 1;
        let read = self.row.get_ref(index).map(|value| value.as_blob_or_null());
        match read {
            Ok(Ok(blob)) => Ok(blob),
            Ok(Err(error)) => Err(self.wrong(error)),
            Err(error) => Err(self.wrong(error)),
        }
    }

    /// The error for the column read last.
    fn wrong(&self, problem: impl std::fmt::Display) -> QueueError {
        let column = self.row.as_ref().column_name(self.next.saturating_sub(1)).unwrap_or("unknown");
        poisoned(format_args!("{:?}", self.id), column, problem)
    }
}
