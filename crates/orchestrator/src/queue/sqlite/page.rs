//! Reading requests: one, a page of a listing, a page of the unfinished.
//!
//! A listing starts from the table or index that leaves it the fewest rows to look at: `live` for a live state, the
//! index of the unsuccessful for failed and canceled, else the index of the function or the tenant, else the newest
//! rows. A lower time bound becomes a lower sequence first.

use gen_worker_proto::{FunctionName, RequestId};
use rusqlite::{Connection, OptionalExtension as _, Params, params_from_iter, types::Value};

use super::{
    failure::storage,
    row::{self, COLUMNS},
};
use crate::{
    queue::{Filter, LIST_ROWS_MAX, QueueError},
    request::{Request, State, UnixMs},
};

const FROM_REQUEST: &str = "request LEFT JOIN live ON live.sequence = request.sequence
    LEFT JOIN history ON history.sequence = request.sequence";

/// The cross join keeps the order: newest requests first, not the whole history first.
const FROM_REQUEST_ENDED: &str = "request CROSS JOIN history ON history.sequence = request.sequence
    LEFT JOIN live ON live.sequence = request.sequence";

const FROM_LIVE: &str = "live CROSS JOIN request ON request.sequence = live.sequence
    LEFT JOIN history ON history.sequence = live.sequence";

const FROM_HISTORY: &str = "history CROSS JOIN request ON request.sequence = history.sequence
    LEFT JOIN live ON live.sequence = history.sequence";

/// One request with its payload.
pub(super) fn get(connection: &Connection, id: &RequestId) -> Result<Option<Request>, QueueError> {
    let sql = select("request.payload", FROM_REQUEST, "request.id = ?1");
    Ok(query(connection, "read a request", &sql, [id.as_str()])?.pop())
}

/// Unfinished requests with their payloads, oldest first.
pub(super) fn unfinished(connection: &Connection, after: i64, limit: usize) -> Result<Vec<Request>, QueueError> {
    let rest = "live.sequence > ?1 ORDER BY live.sequence LIMIT ?2";
    let sql = select("request.payload", FROM_LIVE, rest);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    query(connection, "read unfinished requests", &sql, [after, limit])
}

/// A page without payloads, newest first.
pub(super) fn list(connection: &Connection, filter: &Filter) -> Result<Vec<Request>, QueueError> {
    let since = match filter.since {
        Some(since) => Some((since, first_since(connection, since)?)),
        None => None,
    };
    let (sql, values) = page(filter, since);
    query(connection, "list requests", &sql, params_from_iter(values))
}

/// Names of the functions ever advertised, sorted.
pub(super) fn known_functions(connection: &Connection) -> Result<Vec<FunctionName>, QueueError> {
    let failed = storage("read known functions");
    let mut statement = connection.prepare_cached("SELECT name FROM known_function ORDER BY name").map_err(&failed)?;
    let names = statement.query_map([], |row| row.get::<_, String>(0)).map_err(&failed)?;
    names
        .map(|name| {
            let name = name.map_err(&failed)?;
            FunctionName::parse(&name)
                .map_err(|error| QueueError::Corrupt { detail: format!("known function: {error}") })
        })
        .collect()
}

/// The statement of a page and its values.
fn page(filter: &Filter, since: Option<(UnixMs, i64)>) -> (String, Vec<Value>) {
    let mut values = Vec::new();
    let mut conditions = vec!["TRUE".to_owned()];
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        conditions.push(format!("{condition} ?{}", values.len()));
    };
    let driver = match filter.state {
        Some(state) if !state.is_terminal() => "live",
        Some(State::Failed | State::Canceled) => "history",
        _ => "request",
    };
    if let Some(before) = filter.before_sequence {
        add(&format!("{driver}.sequence <"), before.into());
    }
    if let Some((since, first)) = since {
        add(&format!("{driver}.sequence >="), first.into());
        add("request.created_at >=", since.0.into());
    }
    if let Some(function) = &filter.function {
        add("request.function =", function.as_str().to_owned().into());
    }
    if let Some(tenant) = &filter.tenant {
        // A function is the rarer of the two: the plus keeps the tenant's index out of its way.
        let plus = if filter.function.is_some() { "+" } else { "" };
        add(&format!("{plus}request.tenant ="), tenant.clone().into());
    }
    let limit = filter.limit.clamp(1, LIST_ROWS_MAX);
    let (from, of_state) = match (filter.state, driver) {
        (Some(state), "live") => (FROM_LIVE, format!("live.state = '{}'", row::name(state))),
        // The second condition is what lets SQLite use the partial index.
        (Some(state), "history") => {
            (FROM_HISTORY, format!("history.state = '{}' AND history.state <> 'succeeded'", row::name(state)))
        }
        (Some(state), _) => (FROM_REQUEST_ENDED, format!("history.state = '{}'", row::name(state))),
        (None, _) => (FROM_REQUEST, "TRUE".to_owned()),
    };
    conditions.push(of_state);
    let rest = format!("{} ORDER BY {driver}.sequence DESC LIMIT {limit}", conditions.join(" AND "));
    (select("x''", from, &rest), values)
}

/// A sequence at or before the first request created at or after `since`: bisects the clock, which never falls.
fn first_since(connection: &Connection, since: UnixMs) -> Result<i64, QueueError> {
    let failed = storage("find a time");
    let bounds = "SELECT coalesce((SELECT sequence FROM request ORDER BY sequence LIMIT 1), 0),
        coalesce((SELECT sequence FROM request ORDER BY sequence DESC LIMIT 1), 0)";
    let mut bounds = connection.prepare_cached(bounds).map_err(&failed)?;
    let at = "SELECT clock_ms FROM request WHERE sequence >= ?1 ORDER BY sequence LIMIT 1";
    let mut at = connection.prepare_cached(at).map_err(&failed)?;
    let (mut low, mut high): (i64, i64) =
        bounds.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&failed)?;
    while low < high {
        let middle = low + (high - low) / 2;
        let clock: Option<i64> = at.query_row([middle], |row| row.get(0)).optional().map_err(&failed)?;
        if clock.is_some_and(|clock| clock < since.0) { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

fn select(payload: &str, from: &str, rest: &str) -> String {
    format!("SELECT {} FROM {from} WHERE {rest}", COLUMNS.replace("{payload}", payload))
}

fn query(
    connection: &Connection,
    operation: &'static str,
    sql: &str,
    values: impl Params,
) -> Result<Vec<Request>, QueueError> {
    let failed = storage(operation);
    let mut statement = connection.prepare_cached(sql).map_err(&failed)?;
    let mut rows = statement.query(values).map_err(&failed)?;
    let mut requests = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        requests.push(row::request(row)?);
    }
    Ok(requests)
}
