//! Events a handler emits while it runs.

use std::{
    borrow::Cow,
    time::{SystemTime, UNIX_EPOCH},
};

/// Where events of a request go. Best effort: an implementation never blocks and may drop what it is given.
pub trait EventSink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: RequestEvent);
}

/// A sink that drops everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvents;

impl EventSink for NoEvents {
    fn emit(&self, _event: RequestEvent) {}
}

/// Something a handler told. The request id is the sink's to add.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestEvent {
    /// `request.progress`, `request.log`, ...
    pub kind: Cow<'static, str>,
    /// What it told.
    pub payload: serde_json::Value,
    /// When, in seconds since the Unix epoch.
    pub timestamp: f64,
}

impl RequestEvent {
    /// An event that happens now.
    #[must_use]
    pub fn now(kind: &'static str, payload: serde_json::Value) -> Self {
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Self { kind: kind.into(), payload, timestamp }
    }
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For the author of the endpoint.
    Debug,
    /// For whoever watches.
    #[default]
    Info,
    /// Something to look at.
    Warning,
    /// Something failed.
    Error,
}

impl Level {
    /// Name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
