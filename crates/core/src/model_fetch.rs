//! Fetching one model with the tries that the wire contract gives it (11.7). Owns no state.

use std::time::Duration;

use gen_worker_proto::pb;
use tracing::warn;

use crate::{
    binding::Binding,
    model_source::{FetchProgress, FetchedModel, ModelError, ModelSource},
    sanitize::sanitize,
};

/// Tries when nobody says otherwise (model contract, 3.6).
pub(crate) const TRIES_DEFAULT: u32 = 3;

/// The wait after the first try, how much each next one is longer, and the longest: 1 s and 4 s for the contract's three.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_FACTOR: u32 = 4;
const WAIT_LONGEST: Duration = Duration::from_secs(30);

/// A model, present and held: tried as often as [`ModelSource::tries`] says. What cannot pass fails at once.
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
    with_tries(models.tries(), &binding.wire_ref(), || models.fetch(binding, snapshot, progress)).await
}

/// As [`fetch`], of whatever `attempt` brings, so many times; `reference` is for the log.
///
/// # Errors
/// That of the last try.
///
/// # Cancel safety
/// That of `attempt`.
pub async fn with_tries<F: Future<Output = Result<FetchedModel, ModelError>>>(
    tries: u32,
    reference: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<FetchedModel, ModelError> {
    let mut wait = WAIT_FIRST;
    for _ in 1..tries {
        match attempt().await {
            Err(error) if error.is_passing() => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                let reason = error.reason();
                warn!(model = %reference, reason, cause = %sanitize(&cause), "fetching a model failed, trying again");
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(WAIT_FACTOR).min(WAIT_LONGEST);
            }
            done => return done,
        }
    }
    attempt().await
}

#[cfg(test)]
mod tests {
    //! How often, and after which waits.
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    async fn attempts(tries: u32, error: fn() -> ModelError) -> Vec<u64> {
        let (began, at) = (Instant::now(), RefCell::new(Vec::new()));
        let outcome = with_tries(tries, "o/r", async || {
            at.borrow_mut().push(began.elapsed().as_secs());
            Err(error())
        });
        assert!(outcome.await.is_err());
        at.into_inner()
    }

    fn passing() -> ModelError {
        ModelError::Download("o/r".into(), "it broke".into())
    }

    #[tokio::test(start_paused = true)]
    async fn m3_6_what_may_pass_is_tried_as_often_as_said_and_waits_longer_each_time() {
        assert_eq!(attempts(TRIES_DEFAULT, passing).await, [0, 1, 5]);
        assert_eq!(attempts(6, passing).await, [0, 1, 5, 21, 51, 81]);
        assert_eq!(attempts(1, passing).await, [0]);
        assert_eq!(attempts(0, passing).await, [0], "once in any case");
    }

    #[tokio::test(start_paused = true)]
    async fn m3_6_what_cannot_pass_is_tried_once() {
        assert_eq!(attempts(9, || ModelError::UrlExpired("o/r".into())).await, [0]);
    }
}
