//! What a failure of the store means to the callers of the queue.

use std::fmt::Display;

use rusqlite::{Error, ErrorCode};

use crate::queue::QueueError;

/// Says what was tried when SQLite failed: damage is corrupt, everything else may pass.
pub(super) fn storage(operation: &'static str) -> impl Fn(Error) -> QueueError {
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            QueueError::Corrupt { detail: format!("cannot {operation}: {error}") }
        }
        _ => QueueError::Unavailable { operation, source: Box::new(error) },
    }
}

/// A row that this version cannot read. Names the request and the column, never the value: it may be a payload.
pub(super) fn poisoned(request: impl Display, column: &str, problem: impl Display) -> QueueError {
    QueueError::Corrupt { detail: format!("request {request}: column {column}: {problem}") }
}
