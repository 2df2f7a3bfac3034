//! How a request is to be run: what callers may say (contract, section 3) and what it comes to.

use std::time::Duration;

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{bindings::ModelEntry, code::Code, error::ApiError, prefer::Prefer};
use crate::request::{Durability, Options, UnixMs};

/// Longest a call may wait for an end, in milliseconds; proxies cut longer ones anyway.
pub(super) const WAIT_MS_MAX: u64 = 60_000;

/// Longest timeout and deadline, in milliseconds: 30 days. Longer ones are mistakes of unit.
const DURATION_MS_MAX: u64 = 30 * 24 * 3_600 * 1_000;

const PRIORITIES: std::ops::RangeInclusive<i16> = -100..=100;
const ATTEMPTS: std::ops::RangeInclusive<u8> = 1..=10;

/// Options of a request, in a body. All may be left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"timeout_ms": 30000, "priority": 10, "max_attempts": 1}))]
pub struct RequestOptions {
    /// Handler time in milliseconds; the endpoint's own when left out.
    timeout_ms: Option<u64>,
    /// From submit to the end, in milliseconds; past it the request fails with `deadline_exceeded`.
    deadline_ms: Option<u64>,
    /// -100 to 100, higher goes first. 0 when left out.
    #[schema(minimum = -100, maximum = 100)]
    priority: Option<i16>,
    /// 1 to 10 attempts in total. 3 when left out.
    #[schema(minimum = 1, maximum = 10)]
    max_attempts: Option<u8>,
    /// What a reply to the submit guarantees. `durable` when left out.
    durability: Option<Durability>,
    /// Whether the request may be drained to a checkpoint in favor of others. False when left out.
    preemptible: Option<bool>,
    /// Whether a caller that vanishes while it waits cancels the request. On `/v1/run` true when left out, else false.
    cancel_on_disconnect: Option<bool>,
    /// How long the call waits for the end, in milliseconds. On `/v1/run` 60000 when left out, else 0.
    #[schema(maximum = 60_000)]
    wait_ms: Option<u64>,
    /// Refuse with `no_worker` instead of queueing when no worker can run the function now.
    require_worker: Option<bool>,
    /// Slot to model: a ref, or a ref with adapters.
    models: std::collections::BTreeMap<String, ModelEntry>,
}

/// Options of `/v1/run`, in the query.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct RunQuery {
    /// Handler time in milliseconds; the endpoint's own when left out.
    timeout_ms: Option<u64>,
    /// From submit to the end, in milliseconds.
    deadline_ms: Option<u64>,
    /// -100 to 100, higher goes first.
    priority: Option<i16>,
    /// 1 to 10 attempts in total.
    max_attempts: Option<u8>,
    /// What a reply to the submit guarantees.
    durability: Option<Durability>,
    /// Whether the request may be drained to a checkpoint in favor of others.
    preemptible: Option<bool>,
    /// Whether a caller that vanishes while it waits cancels the request. True when left out.
    cancel_on_disconnect: Option<bool>,
    /// How long the call waits for the end, in milliseconds. 60000 when left out.
    wait_ms: Option<u64>,
    /// Refuse with `no_worker` instead of queueing when no worker can run the function now.
    require_worker: Option<bool>,
}

impl From<RunQuery> for RequestOptions {
    fn from(query: RunQuery) -> Self {
        Self {
            timeout_ms: query.timeout_ms,
            deadline_ms: query.deadline_ms,
            priority: query.priority,
            max_attempts: query.max_attempts,
            durability: query.durability,
            preemptible: query.preemptible,
            cancel_on_disconnect: query.cancel_on_disconnect,
            wait_ms: query.wait_ms,
            require_worker: query.require_worker,
            models: std::collections::BTreeMap::new(),
        }
    }
}

/// What a route assumes where the caller says nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    wait_ms: u64,
    cancel_on_disconnect: bool,
}

/// Routes that wait for the result.
pub(super) const SYNCHRONOUS: Defaults = Defaults { wait_ms: WAIT_MS_MAX, cancel_on_disconnect: true };

/// Routes that answer at once.
pub(super) const AT_ONCE: Defaults = Defaults { wait_ms: 0, cancel_on_disconnect: false };

/// Options as they are followed.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// What is stored with the request.
    pub(super) options: Options,
    /// The deadline as the caller gave it, relative; part of what makes two bodies equal.
    pub(super) deadline_ms: u64,
    pub(super) wait: Duration,
    pub(super) cancel_on_disconnect: bool,
    pub(super) require_worker: bool,
}

impl RequestOptions {
    /// Lets headers have the last word.
    pub(super) fn with_headers(mut self, headers: &HeaderMap, prefer: Prefer) -> Result<Self, ApiError> {
        if let Some(timeout) = header(headers, "x-timeout-ms")? {
            self.timeout_ms = Some(timeout);
        }
        if let Some(cancel) = header(headers, "x-cancel-on-disconnect")? {
            self.cancel_on_disconnect = Some(cancel);
        }
        if let Some(seconds) = prefer.wait_seconds {
            // A preference is a wish: more than is possible gets what is possible.
            self.wait_ms = Some(seconds.saturating_mul(1_000).min(WAIT_MS_MAX));
        }
        Ok(self)
    }

    /// Checks ranges and fills in what was left out.
    pub(super) fn resolve(self, defaults: Defaults, now: UnixMs) -> Result<Call, ApiError> {
        let timeout = within("timeout_ms", self.timeout_ms.unwrap_or(0), 0..=DURATION_MS_MAX)?;
        let deadline_ms = match self.deadline_ms {
            Some(deadline) => within("deadline_ms", deadline, 1..=DURATION_MS_MAX)?,
            None => 0,
        };
        let wait_ms = within("wait_ms", self.wait_ms.unwrap_or(defaults.wait_ms), 0..=WAIT_MS_MAX)?;
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let options = Options {
            timeout_ms: signed(timeout),
            deadline: self.deadline_ms.is_some().then(|| UnixMs(now.0.saturating_add(signed(deadline_ms)))),
            priority: within("priority", self.priority.unwrap_or(0), PRIORITIES)?,
            max_attempts: within("max_attempts", self.max_attempts.unwrap_or(3), ATTEMPTS)?,
            durability: self.durability.unwrap_or_default(),
            preemptible: self.preemptible.unwrap_or(false),
            models: super::bindings::choices(self.models)?,
        };
        Ok(Call {
            options,
            deadline_ms,
            wait: Duration::from_millis(wait_ms),
            cancel_on_disconnect: self.cancel_on_disconnect.unwrap_or(defaults.cancel_on_disconnect),
            require_worker: self.require_worker.unwrap_or(false),
        })
    }
}

/// Checks a range.
pub(super) fn within<T>(name: &str, value: T, range: std::ops::RangeInclusive<T>) -> Result<T, ApiError>
where
    T: PartialOrd + std::fmt::Display,
{
    if range.contains(&value) {
        return Ok(value);
    }
    let message = format!("`{name}` is {value}, expected {} to {}", range.start(), range.end());
    Err(ApiError::new(Code::Invalid, message))
}

fn header<T: std::str::FromStr>(headers: &HeaderMap, name: &'static str) -> Result<Option<T>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    parsed.map(Some).ok_or_else(|| ApiError::new(Code::Invalid, format!("header `{name}` has no usable value")))
}

#[cfg(test)]
mod tests;
