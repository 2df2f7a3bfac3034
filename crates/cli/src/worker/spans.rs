//! A span of every job and of each of its phases for an OpenTelemetry collector, in binaries built with feature `otel`.

#[cfg(feature = "otel")]
mod export;

use crate::{
    env::{Environment, names},
    exit::Failure,
};

#[cfg(feature = "otel")]
pub(super) use export::Spans;

/// Spans that go nowhere: this binary cannot export any.
#[cfg(not(feature = "otel"))]
pub(super) enum Spans {}

#[cfg(not(feature = "otel"))]
impl Spans {
    pub(super) fn observer(&self) -> std::sync::Arc<dyn gen_worker_core::JobObserver> {
        match *self {}
    }

    pub(super) async fn flush(self) {
        match self {}
    }
}

/// Starts exporting if a collector is named. Needs a runtime.
///
/// # Errors
/// An address that is none, or a binary that cannot export: spans that somebody waits for must not be missing in
/// silence.
pub(super) fn start(env: &Environment) -> Result<Option<Spans>, Failure> {
    let variable = &names::OTEL_EXPORTER_OTLP_ENDPOINT;
    let Some(endpoint) = env.text(variable)? else { return Ok(None) };
    #[cfg(feature = "otel")]
    {
        let service = env.text(&names::OTEL_SERVICE_NAME)?.unwrap_or("gen-worker");
        let spans = Spans::to(endpoint, service);
        spans.map(Some).map_err(|error| Failure::usage(format!("{}: {error}", variable.name)))
    }
    #[cfg(not(feature = "otel"))]
    {
        tracing::warn!(endpoint, "{} has no effect: build the endpoint with feature `otel`", variable.name);
        Ok(None)
    }
}
