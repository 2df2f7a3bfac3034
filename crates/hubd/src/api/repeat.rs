//! Calls that come once more because their clients did not hear the answer.

use axum::http::HeaderMap;
use gen_worker_hub::{api::CommitCreate, model_ref::RepoName};
use serde_json::json;

use super::{caller::Caller, error::ApiError, uploads::OPEN_S};
use crate::metadata::Repeat;

/// Longest key of a call, in bytes.
const KEY_BYTES_MAX: usize = 128;

/// How long a call without a name may come again: clients try for 13 minutes at most (Hub contract, 6.5). Later the same words mean
/// another commit, of somebody who begins anew.
const REPEAT_S: u64 = 15 * 60;

/// The name that a client gave its call, under which it sends it again.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    let message = format!("Idempotency-Key has 1 to {KEY_BYTES_MAX} printable characters");
    key.map(|key| Some(key.to_owned())).ok_or_else(|| ApiError::invalid("invalid_key", message))
}

/// By what a commit is known again. Clients without a name for the call are known by what they say: who they are, and all of the
/// commit.
pub(super) fn of_commit(
    caller: &Caller,
    headers: &HeaderMap,
    repo: &RepoName,
    commit: &CommitCreate,
    now_s: u64,
) -> Result<Repeat, ApiError> {
    let key = key(headers)?;
    let author = match caller {
        // Tokens of one attempt are one author: it may have been renewed in between.
        Caller::Job(claims) => json!([claims.tenant, claims.request_id, claims.attempt]),
        other => json!(other.name()),
    };
    let mut hasher = blake3::Hasher::new();
    // Lists of JSON: nothing else is written like it. As it is read, it has no size of its own.
    let written = serde_json::to_writer(&mut hasher, &(author, repo.to_string(), &key, commit));
    written.map_err(|error| ApiError::invalid("invalid_commit", error.to_string()))?;
    let is_named = key.is_some();
    let live_after_s = if is_named { now_s } else { now_s.saturating_add(OPEN_S - REPEAT_S) };
    Ok(Repeat { key: hasher.finalize().to_hex().to_string(), is_named, live_after_s })
}
