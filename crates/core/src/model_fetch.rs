//! Fetching one model with the tries that the wire contract gives it (11.7). Owns no state.

use std::time::Duration;

use gen_worker_proto::pb;
use tracing::warn;

use crate::{
    binding::Binding,
    model_source::{FetchProgress, FetchedModel, ModelError, ModelSource},
    sanitize::sanitize,
};

/// Waits between the tries of one fetch: three tries in all.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// A model, present and held: tried three times, as the contract says. What cannot pass fails at once.
///
/// # Errors
/// As [`ModelSource::fetch`], of the last try.
///
/// # Cancel safety
/// As [`ModelSource::fetch`].
pub async fn fetch(
    models: &dyn ModelSource,
    binding: &Binding,
    snapshot: Option<&pb::Snapshot>,
    progress: &dyn FetchProgress,
) -> Result<FetchedModel, ModelError> {
    with_tries(&binding.wire_ref(), || models.fetch(binding, snapshot, progress)).await
}

/// As [`fetch`], of whatever `attempt` brings; `reference` is for the log.
///
/// # Errors
/// That of the last try.
///
/// # Cancel safety
/// That of `attempt`.
pub async fn with_tries<F: Future<Output = Result<FetchedModel, ModelError>>>(
    reference: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<FetchedModel, ModelError> {
    for wait in WAITS {
        match attempt().await {
            Err(error) if error.is_passing() => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                let reason = error.reason();
                warn!(model = %reference, reason, cause = %sanitize(&cause), "fetching a model failed, trying again");
                tokio::time::sleep(wait).await;
            }
            done => return done,
        }
    }
    attempt().await
}
