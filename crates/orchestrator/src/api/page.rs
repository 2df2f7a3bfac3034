//! Pages of lists, with cursors that stay valid while the list changes: a cursor names the last entry that was
//! given, not a position.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{code::Code, error::ApiError, options::within};
use crate::queue::LIST_ROWS_MAX;

/// Entries of a page when the caller does not say.
const LIMIT: usize = 50;

/// Most entries of a page.
const LIMIT_MAX: usize = LIST_ROWS_MAX;

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Most entries, 1 to 500. 50 when left out.
    pub(super) limit: Option<u16>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub(super) items: Vec<T>,
    /// Cursor of the next page; null on the last one.
    pub(super) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page with other entries.
    pub(super) fn map<U>(self, entry: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(entry).collect(), next_cursor: self.next_cursor }
    }
}

/// Checks a limit.
pub(super) fn limit(limit: Option<u16>) -> Result<usize, ApiError> {
    limit.map_or(Ok(LIMIT), |limit| within("limit", usize::from(limit), 1..=LIMIT_MAX))
}

/// Cuts a page out of a list that is sorted by a unique key.
pub(super) fn page<T>(sorted: Vec<T>, query: &PageQuery, key: impl Fn(&T) -> &str) -> Result<Page<T>, ApiError> {
    let limit = limit(query.limit)?;
    let after = query.cursor.as_deref().map(open).transpose()?;
    let from = after.map_or(0, |after| sorted.partition_point(|entry| key(entry) <= after.as_str()));
    let more = sorted.len() > from + limit;
    let items: Vec<T> = sorted.into_iter().skip(from).take(limit).collect();
    let next_cursor = items.last().filter(|_| more).map(|entry| seal(key(entry)));
    Ok(Page { items, next_cursor })
}

/// Makes a cursor. What is inside is nobody's business; base64 keeps it so.
pub(super) fn seal(position: &str) -> String {
    URL_SAFE_NO_PAD.encode(position)
}

/// Opens a cursor.
pub(super) fn open(cursor: &str) -> Result<String, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let position = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    position.ok_or_else(|| ApiError::new(Code::Invalid, "`cursor` is not one that this server gave"))
}

#[cfg(test)]
mod tests;
