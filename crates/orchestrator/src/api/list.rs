//! The list of requests, newest first.

use axum::{extract::State, response::Response};
use serde::Deserialize;

use super::{
    Shared,
    code::Code,
    error::{ApiError, ErrorBody},
    extract::{Caller, Query},
    object::RequestObject,
    page::{self, Page},
    submit::function,
    times,
};
use crate::{queue::Filter, request::State as Phase};

/// Which requests.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only this state.
    state: Option<Phase>,
    /// Only this function.
    function: Option<String>,
    /// Only this tenant; a caller sees no other than its own.
    tenant: Option<String>,
    /// Only requests created at or after this time, RFC 3339.
    since: Option<String>,
    /// Most entries, 1 to 500. 50 when left out.
    limit: Option<u16>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Requests, newest first. New ones do not disturb the pages that follow.
#[utoipa::path(get, path = "/v1/requests", tag = "requests", params(ListQuery), responses(
    (status = 200, description = "A page of requests", body = Page<RequestObject<'_>>),
    (status = 400, description = "Bad query", body = ErrorBody),
    (status = 401, description = "No or bad credentials", body = ErrorBody),
    (status = 403, description = "A web page of another origin, without tokens", body = ErrorBody),
    (status = 403, description = "Another tenant", body = ErrorBody),
    (status = 503, description = "The store cannot be used now", body = ErrorBody)))]
pub(super) async fn list(
    State(api): State<Shared>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    if query.tenant.is_some_and(|tenant| tenant != *caller.tenant) {
        return Err(ApiError::new(Code::Forbidden, "`tenant` is not the caller's"));
    }
    let limit = page::limit(query.limit)?;
    let filter = Filter {
        tenant: Some(caller.tenant.as_ref().to_owned()),
        state: query.state,
        function: query.function.as_deref().map(function).transpose()?,
        since: query.since.as_deref().map(since).transpose()?,
        before_sequence: query.cursor.as_deref().map(before).transpose()?,
        limit,
    };
    let rows = api.handle.list(filter).await?;
    let next_cursor = rows.last().filter(|_| rows.len() == limit).map(|last| page::seal(&last.sequence.to_string()));
    Ok(write(&rows, next_cursor.as_deref()))
}

fn since(text: &str) -> Result<crate::request::UnixMs, ApiError> {
    times::parse(text).ok_or_else(|| ApiError::new(Code::Invalid, "`since` is not an RFC 3339 time"))
}

fn before(cursor: &str) -> Result<i64, ApiError> {
    page::open(cursor)?.parse().map_err(|_| ApiError::new(Code::Invalid, "`cursor` is not one that this server gave"))
}

/// The page in its JSON form. Written by hand around the objects, because each of them writes itself, fallback for odd
/// outputs included.
fn write(rows: &[crate::request::Request], next_cursor: Option<&str>) -> Response {
    use axum::{http::header, response::IntoResponse as _};
    let mut body = Vec::from(b"{\"items\":[");
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        RequestObject::new(row, false).write(&mut body);
    }
    body.extend_from_slice(b"],\"next_cursor\":");
    serde_json::to_writer(&mut body, &next_cursor).expect("text serializes");
    body.push(b'}');
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
